// Package spill stops Kafka under load and kills the gateway meanwhile, as processes: what was answered 200 must be in
// Kafka afterwards, each client's events in their order. `make test` plays nine seconds; a long outage is
//
//	go test ./loadtest/spill -v -timeout 30m -args -away 10m -rate 2000
package spill

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/parts"
	"weir/pkg/embedded"
)

var (
	away   = flag.Duration("away", 9*time.Second, "how long Kafka is away")
	rate   = flag.Int("rate", 2000, "events a second")
	kills  = flag.Int("kills", 2, "how often the gateway is killed while Kafka is away")
	midway = flag.Bool("midway", true, "whether it is killed once more while it gives the events back")
)

const (
	topic   = "weir.events"
	clients = 64
	batch   = 20 // events of a request
	padding = 200
)

// gateway is the process under test, started again after each kill.
type gateway struct {
	t           *testing.T
	bin, dir    string
	addr, admin string
	broker      string
	mu          sync.Mutex
	cmd         *exec.Cmd
	ended       chan struct{}
}

func (g *gateway) start() {
	g.t.Helper()
	log, err := os.OpenFile(filepath.Join(g.dir, "gateway.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(g.t, err)
	defer log.Close()
	cmd := exec.Command(g.bin, "gateway", "--listen", g.addr, "--admin", g.admin, "--kafka-brokers", g.broker, "--sources", filepath.Join(g.dir, "sources.yaml"),
		"--topic-partitions", "4", "--topic-replication", "1", "--spill", filepath.Join(g.dir, "spill"), "--spill-size", "8GiB")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(g.t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	g.mu.Lock()
	g.cmd, g.ended = cmd, ended
	g.mu.Unlock()
	g.poll(30*time.Second, func() error {
		resp, err := http.Get("http://" + g.admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			return fmt.Errorf("readyz: %s", text)
		}
		return nil
	})
}

func (g *gateway) kill(sig syscall.Signal) {
	g.mu.Lock()
	cmd, ended := g.cmd, g.ended
	g.mu.Unlock()
	_ = cmd.Process.Signal(sig)
	<-ended
}

// poll asks again and again: another process's progress has no other sign.
func (g *gateway) poll(limit time.Duration, ask func() error) {
	g.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(limit)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-giveUp:
			require.NoError(g.t, err)
		}
	}
}

// metric sums the samples of a name.
func (g *gateway) metric(name string) (sum float64, err error) {
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
			if err != nil {
				return 0, err
			}
			sum += v
		}
	}
	return sum, nil
}

// residentMiB is the process's memory now.
func (g *gateway) residentMiB() int {
	g.mu.Lock()
	pid := g.cmd.Process.Pid
	g.mu.Unlock()
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb >> 10
		}
	}
	return 0
}

// load posts batches from many clients, and keeps what was acknowledged. No event is sent twice.
type load struct {
	acked   [clients][]int // the first event of each batch, by client
	starts  atomic.Int64   // answers of a gateway that starts
	refused atomic.Int64   // others than 200
	broken  atomic.Int64   // no answer
	slowest atomic.Int64
}

func (l *load) client(ctx context.Context, c int, url string) {
	web := &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	tick := time.NewTicker(time.Second * clients * batch / time.Duration(*rate))
	defer tick.Stop()
	for n := 0; ; n += batch {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		req, _ := http.NewRequest(http.MethodPost, url, bytes.NewReader(bodyOf(c, n)))
		req.SetBasicAuth(fmt.Sprintf("key%d", c%4), "")
		start := time.Now()
		resp, err := web.Do(req)
		if err != nil {
			l.broken.Add(1)
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		for took := int64(time.Since(start)); ; {
			if was := l.slowest.Load(); took <= was || l.slowest.CompareAndSwap(was, took) {
				break
			}
		}
		switch {
		case resp.StatusCode == 200:
			l.acked[c] = append(l.acked[c], n)
		case bytes.Contains(text, []byte("is starting")):
			l.starts.Add(1)
		default:
			l.refused.Add(1)
		}
	}
}

func bodyOf(c, n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range batch {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"track","event":"Spill","userId":"u","messageId":"%d-%d","properties":{"pad":"%s"}}`, c, n+i, strings.Repeat("x", padding))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func build(t *testing.T) string {
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "weir")
	out, err := exec.Command("go", "build", "-o", bin, "weir/services/weir").CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

// broker is a Kafka that can be stopped and started again on what it had.
type broker struct {
	addr        string
	stop, start func(t *testing.T)
}

func TestEmbedded(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	o := embedded.KafkaOptions{Dir: filepath.Join(t.TempDir(), "kafka"), Addr: address(t)}
	var kafka *embedded.Kafka
	b := broker{
		addr: o.Addr,
		stop: func(t *testing.T) { require.NoError(t, kafka.Close()) },
		start: func(t *testing.T) {
			var err error
			kafka, err = embedded.StartKafka(o)
			require.NoError(t, err)
		},
	}
	b.start(t)
	defer func() { b.stop(t) }()
	scenario(t, b)
}

// address is a free one.
func address(t *testing.T) string {
	port, err := parts.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func scenario(t *testing.T, kafka broker) {
	dir := t.TempDir()
	g := &gateway{t: t, bin: build(t), dir: dir, addr: address(t), admin: address(t), broker: kafka.addr}
	var text strings.Builder
	text.WriteString("sources:\n")
	for i := range 4 {
		fmt.Fprintf(&text, "  - {id: source%d, write_keys: [key%d]}\n", i, i)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sources.yaml"), []byte(text.String()), 0o600))
	g.start()
	defer func() { g.kill(syscall.SIGKILL) }()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l := &load{}
	var posting sync.WaitGroup
	for c := range clients {
		posting.Go(func() { l.client(ctx, c, "http://"+g.addr+"/v1/batch") })
	}
	pause(5 * time.Second)
	before := g.residentMiB()
	kafka.stop(t)
	gone := time.Now()
	var resident []int
	for i := range *kills + 1 {
		for part := time.Now(); time.Since(part) < *away/time.Duration(*kills+1); {
			pause(500 * time.Millisecond)
			resident = append(resident, g.residentMiB())
		}
		if i < *kills {
			g.kill(syscall.SIGKILL)
			g.start()
		}
	}
	outage := time.Since(gone)
	kafka.start(t)
	back := time.Now()
	heldAt, err := g.metric("weir_gateway_spill_held")
	require.NoError(t, err)
	require.Positive(t, heldAt)
	if *midway {
		g.poll(time.Minute, func() error { // some of it is given back, and more is on its way
			if held, err := g.metric("weir_gateway_spill_held"); err != nil || held > heldAt*9/10 {
				return fmt.Errorf("%v records are held: %w", held, err)
			}
			return nil
		})
		g.kill(syscall.SIGKILL)
		g.start()
		back = time.Now()
		if heldAt, err = g.metric("weir_gateway_spill_held"); err != nil {
			heldAt = 0
		}
	}
	g.poll(5*time.Minute, func() error {
		resident = append(resident, g.residentMiB())
		held, err := g.metric("weir_gateway_spill_held")
		if err == nil && held > 0 {
			err = fmt.Errorf("%v records are held", held)
		}
		return err
	})
	drained := time.Since(back)
	replayed, err := g.metric("weir_gateway_spill_records_total")
	require.NoError(t, err)
	pause(2 * time.Second)
	stop()
	posting.Wait()

	lost, doubled, disordered, acked := l.audit(t, kafka.addr)
	t.Logf("Kafka away %s, %d events/s, gateway killed %d times: %d acknowledged, %d lost, %d doubled, %d out of order; %d requests refused, %d by a gateway that started, %d without an answer; slowest answer %s",
		outage.Round(time.Second), *rate, *kills, acked, lost, doubled, disordered, l.refused.Load(), l.starts.Load(), l.broken.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond))
	t.Logf("memory %d MiB before, %d MiB at most; %.0f records held when Kafka was back, drained in %s (%.0f events/s, beside %d/s of load); %.0f counted by the last process",
		before, slices.Max(resident), heldAt, drained.Round(10*time.Millisecond), heldAt/drained.Seconds()+float64(*rate), *rate, replayed)
	require.Zero(t, lost)
	require.Zero(t, disordered)
	require.Zero(t, doubled, "what was on its way at a kill is looked for")
	require.Less(t, time.Duration(l.slowest.Load()), 6*time.Second)
	require.Zero(t, l.refused.Load())
}

// pause lets other processes run.
func pause(d time.Duration) { <-time.After(d) }

// audit compares Kafka with what was acknowledged.
func (l *load) audit(t *testing.T, broker string) (lost, doubled, disordered, acked int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	var want, got int64
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	var seen [clients]map[int]bool
	var last [clients]int
	for c := range clients {
		seen[c], last[c] = map[int]bool{}, -1
	}
	for got < want {
		fetches := cl.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			var e struct{ MessageID string }
			require.NoError(t, json.Unmarshal(r.Value, &e))
			client, number, _ := strings.Cut(e.MessageID, "-")
			c, _ := strconv.Atoi(client)
			n, _ := strconv.Atoi(number)
			switch {
			case seen[c][n]:
				doubled++
			case n < last[c]:
				disordered++
			}
			seen[c][n], last[c] = true, max(last[c], n)
		})
	}
	for c := range clients {
		for _, first := range l.acked[c] {
			for n := first; n < first+batch; n++ {
				acked++
				if !seen[c][n] {
					lost++
				}
			}
		}
	}
	return lost, doubled, disordered, acked
}
