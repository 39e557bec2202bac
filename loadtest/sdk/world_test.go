//go:build e2e

package sdk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/authority"
	"weir/loadtest/parts"
	"weir/pkg/embedded"
)

// patience is how long the slowest library may take: Java's waits up to 30 s before it sends again.
const patience = 2 * time.Minute

// setup is what differs between the gateways of the scenarios.
type setup struct {
	tls    bool
	key    string   // that the libraries use; "" = their own
	fields string   // of every source, beside its id and its key, in YAML
	flags  []string // of the gateway
	cut    bool     // the first answer of each library is lost on its way
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
	if s.cut {
		url = w.lossy(libraries)
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

// send gives every library a round of events.
func (w *world) send(commands ...command) {
	for _, s := range w.senders {
		s.send(commands...)
	}
}

func address(t *testing.T) string {
	t.Helper()
	port, err := parts.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}
