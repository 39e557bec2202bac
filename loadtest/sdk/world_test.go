//go:build e2e

package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/authority"
	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/embedded"
	"weir/pkg/kafka/kafkatest"
)

// patience is how long the slowest library may take: Java's waits up to 30 s before it sends again.
const patience = 2 * time.Minute

// setup is what differs between the gateways of the scenarios.
type setup struct {
	tls    bool
	key    string   // that the libraries use; "" = their own
	fields string   // of every source, beside its id and its key, in YAML
	flags  []string // of the gateway
}

// world is one gateway process in front of one Kafka, and every library that sends to it.
type world struct {
	t       *testing.T
	bin     string
	dir     string
	at      embedded.KafkaOptions
	kafka   *embedded.Kafka // nil = away
	gateway *parts.Process
	addr    string
	admin   string
	flags   []string
	senders []*sender
}

func open(t *testing.T, bin string, libraries []library, s setup) *world {
	t.Helper()
	w := &world{t: t, bin: bin, dir: t.TempDir(), flags: s.flags, addr: address(t), admin: address(t)}
	w.at = embedded.KafkaOptions{Dir: filepath.Join(w.dir, "kafka"), Addr: address(t)}
	w.startKafka()
	t.Cleanup(w.stopKafka)
	url, trust := "http://"+w.addr, func(library) []string { return nil }
	if s.tls {
		ours := authority.New(t, "ours")
		cert, key, _ := ours.Issue(t, "gateway")
		w.flags = append(w.flags, "--tls-cert", cert, "--tls-key", key)
		url, trust = "https://"+w.addr, func(l library) []string { return l.trusts(t, ours.File) }
	}
	w.writeSources(libraries, s.fields)
	w.startGateway()
	t.Cleanup(func() { w.gateway.Kill() })
	for _, l := range libraries {
		if l.err == nil {
			w.senders = append(w.senders, l.start(t, url, keyOf(l, s), trust(l)...))
		}
	}
	return w
}

func keyOf(l library, s setup) string {
	if s.key != "" {
		return s.key
	}
	return l.name + "-key"
}

func (w *world) writeSources(libraries []library, fields string) {
	w.t.Helper()
	text := "sources:\n"
	for _, l := range libraries {
		text += fmt.Sprintf("- {id: %s, write_keys: [%[1]s-key]%s}\n", l.name, fields)
	}
	require.NoError(w.t, os.WriteFile(w.sources(), []byte(text), 0o600))
}

func (w *world) sources() string { return filepath.Join(w.dir, "sources.yaml") }

func (w *world) startKafka() {
	w.t.Helper()
	var err error
	w.kafka, err = embedded.StartKafka(w.at)
	require.NoError(w.t, err)
}

func (w *world) stopKafka() {
	if w.kafka != nil {
		require.NoError(w.t, w.kafka.Close())
		w.kafka = nil
	}
}

func (w *world) startGateway() {
	w.t.Helper()
	args := append([]string{
		"gateway", "--listen", w.addr, "--admin", w.admin, "--kafka-brokers", w.at.Addr, "--sources", w.sources(),
		"--topic-partitions", "4", "--topic-replication", "1", "--access-log",
	}, w.flags...)
	var err error
	w.gateway, err = parts.StartProcess("gateway", w.dir, nil, w.bin, args...)
	require.NoError(w.t, err)
	require.NoError(w.t, w.gateway.Await(w.t.Context(), patience, func(ctx context.Context) error {
		_, err := w.ask(ctx, "/readyz")
		return err
	}))
}

// ask gets a page of the gateway's admin port.
func (w *world) ask(ctx context.Context, path string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, text)
	}
	return string(text), err
}

// unspilled is nil once the spill has given everything back.
func (w *world) unspilled(ctx context.Context) error {
	text, err := w.ask(ctx, "/metrics")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if held, ok := strings.CutPrefix(line, "weir_gateway_spill_held "); ok && strings.TrimSpace(held) == "0" {
			return nil
		}
	}
	return fmt.Errorf("the spill still holds events")
}

// exchange is a line of the gateway's access log.
type exchange struct {
	Msg    string
	Agent  string
	Status int
	Reason string
}

// answers counts what the gateway has answered a library, by status and reason.
func (w *world) answers(l library) map[string]int {
	w.t.Helper()
	text, err := os.ReadFile(w.gateway.LogPath)
	require.NoError(w.t, err)
	counts := map[string]int{}
	for line := range bytes.Lines(text) {
		var x exchange
		if json.Unmarshal(line, &x) == nil && x.Msg == "request" && strings.HasPrefix(x.Agent, l.agent) {
			counts[strings.TrimSpace(fmt.Sprint(x.Status, " ", x.Reason))]++
		}
	}
	return counts
}

// none is the status of a library that is not heard of.
const none = 0

// answered is nil once every library has had an answer of that status.
func (w *world) answered(status func(library) int) func(context.Context) error {
	return func(context.Context) error {
		for _, s := range w.senders {
			want, answers := status(s.library), w.answers(s.library)
			if want != none && !has(answers, want) {
				return fmt.Errorf("%s has had no %d: %v", s.name, want, answers)
			}
		}
		return nil
	}
}

func has(answers map[string]int, status int) bool {
	for answer := range answers {
		if strings.HasPrefix(answer, fmt.Sprint(status)) {
			return true
		}
	}
	return false
}

// settled is nil once every library has said of each event what became of it.
func (w *world) settled(context.Context) error {
	for _, s := range w.senders {
		if err := s.settled(); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the progress of other processes while the gateway runs.
func (w *world) await(ready func(context.Context) error) {
	w.t.Helper()
	require.NoError(w.t, w.gateway.Await(w.t.Context(), patience, ready))
}

// until is await for who may not end the test.
func (w *world) until(ready func() error) error {
	return w.gateway.Await(w.t.Context(), patience, func(context.Context) error { return ready() })
}

// each plays with every library at its own pace.
func (w *world) each(play func(*sender) error) {
	w.t.Helper()
	ends := make(chan error, len(w.senders))
	for _, s := range w.senders {
		go func() { ends <- play(s) }()
	}
	for range w.senders {
		require.NoError(w.t, <-ends)
	}
}

// send gives every library a round of events.
func (w *world) send(commands ...command) {
	for _, s := range w.senders {
		s.send(commands...)
	}
}

// breakOff takes the gateway's place and breaks off every request, until each library has sent one.
func (w *world) breakOff() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	require.NoError(w.t, err)
	defer l.Close()
	require.NoError(w.t, l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	missing := map[string]string{}
	for _, s := range w.senders {
		missing[s.name] = s.agent
	}
	for len(missing) > 0 {
		conn, err := l.Accept()
		require.NoError(w.t, err, "none of %v came", missing)
		r, err := http.ReadRequest(bufio.NewReader(conn))
		_ = conn.Close()
		if err != nil {
			continue // a connection that was opened in advance
		}
		for name, agent := range missing {
			if strings.HasPrefix(r.UserAgent(), agent) {
				delete(missing, name)
			}
		}
	}
}

// judge ends the libraries and the gateway, and holds what they say against Kafka, each library in a test of its own.
func (w *world) judge(libraries []library, p promise) {
	w.t.Helper()
	told := map[string]map[int][]string{}
	for _, s := range w.senders {
		told[s.name] = s.end(w.t)
	}
	w.gateway.Stop() // what its Kafka client still holds is written
	events, rejected := w.topic(fleet.Topic), w.topic("weir.rejected")
	for _, l := range libraries {
		w.t.Run(l.name, func(t *testing.T) {
			parts.Need(t, l.part, l.err)
			s := w.senderOf(l)
			y := tally{sent: s.sent, told: told[l.name], events: events[l.name], rejected: rejected[l.name]}
			t.Logf("%s: %d events sent, %d in Kafka, %d rejected, %d records doubled; answers %v",
				l.version, len(s.sent), len(y.events), len(y.rejected), y.doubled(), w.answers(l))
			require.Empty(t, y.faults(p), "%s", s.said.String())
		})
	}
	if w.t.Failed() {
		w.t.Log(w.gateway.Tail())
	}
}

func (w *world) senderOf(l library) *sender {
	for _, s := range w.senders {
		if s.name == l.name {
			return s
		}
	}
	return nil
}

// topic gives the messageIds under which each event stands in a topic, by source and number.
func (w *world) topic(name string) map[string]map[int][]string {
	w.t.Helper()
	found := map[string]map[int][]string{}
	for _, r := range kafkatest.ReadAll(w.t, name, kgo.SeedBrokers(w.at.Addr)) {
		var e struct {
			MessageID, PreviousID string
			Properties, Traits    struct{ N *int }
		}
		require.NoError(w.t, json.Unmarshal(r.Value, &e), "%s", r.Value)
		n := 0
		switch {
		case e.Properties.N != nil:
			n = *e.Properties.N
		case e.Traits.N != nil:
			n = *e.Traits.N
		default:
			_, err := fmt.Sscan(e.PreviousID, &n)
			require.NoError(w.t, err, "%s", r.Value)
		}
		source := string(r.Key)
		if found[source] == nil {
			found[source] = map[int][]string{}
		}
		found[source][n] = append(found[source][n], e.MessageID)
	}
	return found
}

func address(t *testing.T) string {
	t.Helper()
	port, err := parts.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
