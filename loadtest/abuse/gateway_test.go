package abuse

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/gateway"
)

const (
	goodKey, badKey, slowKey = "good-write-key", "bad-write-key", "slow-write-key"

	sources = "sources: [{id: good, enabled: true, write_keys: [" + goodKey + "]}, {id: bad, enabled: true, write_keys: [" + badKey + "]}, " +
		"{id: slow, enabled: true, write_keys: [" + slowKey + "]}]\n"
	topic = "weir.events"

	inFlight = 96 * settings.MiB // of the gateway under abuse; by default it is 256 MiB
	patience = time.Minute       // for what comes at once on a machine that does nothing else
)

// asGateway makes this binary the gateway's process: its memory is measured without the test's own.
const asGateway = "WEIR_ABUSED_GATEWAY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asGateway); dir != "" {
		if err := beGateway(dir, os.Getenv("WEIR_ABUSED_BROKER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beGateway runs until its input ends, and prints where it and its metrics are.
func beGateway(dir, broker string) error {
	settings.BoundHeap() // as weir gateway does
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "gateway"})
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer admin.Close()
	go func() { _ = http.Serve(admin, tel.MetricsHandler()) }()
	cfg := gateway.DefaultConfig()
	cfg.Brokers, cfg.Listen, cfg.Sources, cfg.TopicReplication = []string{broker}, "127.0.0.1:0", filepath.Join(dir, "sources.yaml"), 1
	cfg.Topic, cfg.TopicPartitions, cfg.InFlight = topic, 4, settings.Memory{Bytes: inFlight}
	cfg.AckDeadline = 30 * time.Second // the Kafka beside it shares the machine with all the abuse
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return errors.Join(gateway.Run(ctx, cfg, tel, func(addr string) { fmt.Println(addr, admin.Addr()) }), tel.Shutdown(context.Background()))
}

// world is a gateway's process in front of a Kafka in this one.
type world struct {
	t     *testing.T
	kafka *embedded.Kafka
	addr  string
	admin string
	pid   int
	base  float64 // MiB that the process held before the abuse
	end   func() error
	log   string // file of the gateway's log
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	w.kafka, err = embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.kafka.Close()) })
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sources.yaml"), []byte(sources), 0o600))
	w.log = filepath.Join(dir, "log")
	log, err := os.Create(w.log)
	require.NoError(t, err)
	defer log.Close()

	self, err := os.Executable()
	require.NoError(t, err)
	ctx, kill := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), asGateway+"="+dir, "WEIR_ABUSED_BROKER="+w.kafka.Addr())
	cmd.Stderr = log
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { kill(); _ = cmd.Wait() }) // the second time, where the test got so far
	w.end = func() error { return errors.Join(input.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &w.addr, &w.admin)
	require.NoError(t, err)
	w.pid = cmd.Process.Pid
	w.base = w.memory("VmRSS:")
	return w
}

// memory is a size from the kernel's page of the gateway's process, in MiB; 0 where there is no such page.
func (w *world) memory(field string) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), field)
	var kib float64
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(w.t, err)
	return kib / 1024
}

const (
	perConnection = 24 * settings.KiB // of one that is open, beside its request: its goroutine, its buffers, its headers
	pooled        = 64 * settings.MiB // buffers and decompressors of requests that are over, until the collector's next round
)

// requireBounded compares the most that the process ever held to what it may: what it held before the abuse, twice
// what requests and connections may hold, since the collector lets the heap double before it looks, and what is pooled.
func (w *world) requireBounded(t *testing.T, connections int) {
	t.Helper()
	bound := w.base + float64(2*(inFlight+settings.Bytes(connections)*perConnection)+pooled)/float64(settings.MiB)
	peak := w.memory("VmHWM:")
	t.Logf("at most %.0f MiB resident so far, of %.0f; %.0f before the abuse; %d connections are held", peak, bound, w.base, connections)
	if peak == 0 || underRace() {
		t.Log("the sizes are not compared: no /proc, or the race detector's memory is in them")
		return
	}
	require.Less(t, peak, bound)
}

func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// held is what the gateway says that requests hold, in bytes.
func (w *world) held() float64 { return w.metric("weir_gateway_produce_buffer_usage_bytes") }

// metric reads a sample from the gateway's metrics; 0 where it has not counted any.
func (w *world) metric(sample string) (value float64) {
	w.t.Helper()
	resp, err := http.Get("http://" + w.admin)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	_, rest, found := strings.Cut(string(page), "\n"+sample+" ")
	if !found {
		return 0
	}
	_, err = fmt.Sscan(rest, &value)
	require.NoError(w.t, err)
	return value
}

// await looks again and again until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); !so(); <-tick.C {
		require.True(t, time.Now().Before(late), "too long until %s", what)
	}
}

// dial opens a connection on which everything must happen within the test's patience.
func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.DialTimeout("tcp", w.addr, patience)
	require.NoError(w.t, err)
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}
