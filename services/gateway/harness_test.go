package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/pkg/kafka/kafkatest"
	"weir/pkg/telemetry"
)

const sourcesYAML = `
sources:
  - {id: source1, name: The first, write_keys: [key1, key1-next]}
  - {id: foobar, write_keys: [key2]}
  - {id: off, enabled: false, write_keys: [key-off]}
  - {id: node, write_keys: [wk_node_next, wk_node_classic, wk_rs_node]}
  - {id: browser, write_keys: [wk_test, wk_ajs]}
  - {id: others, write_keys: [wk_python, wk_go, wk_ruby]}
`

// world is one gateway in front of one broker.
type world struct {
	t       *testing.T
	cluster *kfake.Cluster
	cfg     Config
	tel     *telemetry.Telemetry
	addr    string
	logs    *logbook
	stop    context.CancelFunc
	done    chan error
}

// start runs a gateway until the test ends.
func start(t *testing.T, change func(*Config)) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := prepare(t, cluster.ListenAddrs(), change)
	w.cluster = cluster
	w.run(true)
	return w
}

func prepare(t *testing.T, brokers []string, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, logs: &logbook{}, cfg: DefaultConfig(), done: make(chan error, 1)}
	w.cfg.Brokers = brokers
	w.cfg.Listen = "127.0.0.1:0"
	w.cfg.Sources = filepath.Join(t.TempDir(), "sources.yaml")
	w.cfg.TopicPartitions, w.cfg.TopicReplication = 12, 1
	w.cfg.AckDeadline = 30 * time.Second // these tests run in real time, on machines that do other things
	require.NoError(t, os.WriteFile(w.cfg.Sources, []byte(sourcesYAML), 0o600))
	if change != nil {
		change(&w.cfg)
	}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "gateway", LogLevel: "debug", Output: w.logs})
	require.NoError(t, err)
	w.tel = tel
	return w
}

// run starts the gateway; it is stopped, and must have ended well, when the test ends.
func (w *world) run(wait bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	ready := make(chan string, 1)
	go func() { w.done <- Run(ctx, w.cfg, w.tel, func(addr string) { ready <- addr }) }()
	w.t.Cleanup(func() {
		client.CloseIdleConnections() // the server would wait for those it never heard from
		cancel()
		require.NoError(w.t, <-w.done)
	})
	if !wait {
		return
	}
	select {
	case w.addr = <-ready:
	case err := <-w.done:
		w.done <- err
		require.NoError(w.t, err)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	hungUp bool // the server closes the connection
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	require.Equal(t, "application/json", a.header.Get("Content-Type"), a.body)
	var fields struct {
		Success *bool
		Message string
		Code    string
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &fields), a.body)
	require.NotNil(t, fields.Success, a.body)
	require.Equal(t, a.status == 200, *fields.Success, a.body)
	if !*fields.Success {
		require.NotEmpty(t, fields.Message)
		require.NotEmpty(t, fields.Code)
	}
	return fields.Code
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

func do(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

// request makes a request; headers are pairs.
func (w *world) request(method, path, body string, headers ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(method, "http://"+w.addr, strings.NewReader(body))
	require.NoError(w.t, err)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?") // as they are written here
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (w *world) post(path, body string, headers ...string) answer {
	w.t.Helper()
	return do(w.t, w.request("POST", path, body, headers...))
}

const basicKey1 = "Basic a2V5MTo=" // key1:

// batch posts events for source1.
func (w *world) batch(events ...string) answer {
	w.t.Helper()
	return w.post("/v1/batch", batchOf(events...), "Authorization", basicKey1)
}

func batchOf(events ...string) string { return `{"batch":[` + strings.Join(events, ",") + `]}` }

func track(id string) string {
	return fmt.Sprintf(`{"type":"track","event":"Bought","userId":"u1","messageId":%q,"properties":{"price":9.90}}`, id)
}

// records reads all that a topic holds.
func (w *world) records(topic string) []*kgo.Record {
	w.t.Helper()
	return kafkatest.ReadAll(w.t, topic, kgo.SeedBrokers(w.cfg.Brokers...))
}

func maxMessageBytes(t *testing.T, w *world, topic string) int {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Brokers...))
	require.NoError(t, err)
	defer cl.Close()
	described, _, err := kafka.Describe(t.Context(), cl, topic)
	require.NoError(t, err)
	return described.MaxMessageBytes
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func fields(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m), "%s", text)
	return m
}

// requireNothingHeld waits until the budget is whole again: Kafka's client lets go of a request just after it has woken who
// answers it.
func (w *world) requireNothingHeld() {
	w.t.Helper()
	const held = "weir_gateway_produce_buffer_usage_bytes"
	for limit := time.Now().Add(10 * time.Second); w.metric(held) != 0 && time.Now().Before(limit); {
		runtime.Gosched()
	}
	require.Zero(w.t, w.metric(held))
}

// metric reads a sample from the metrics page; 0 when it is not there.
func (w *world) metric(sample string) float64 {
	w.t.Helper()
	rec := &recorder{header: http.Header{}}
	r, err := http.NewRequest("GET", "/metrics", nil)
	require.NoError(w.t, err)
	w.tel.MetricsHandler().ServeHTTP(rec, r)
	for line := range strings.Lines(rec.String()) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			var f float64
			_, err := fmt.Sscan(value, &f)
			require.NoError(w.t, err)
			return f
		}
	}
	return 0
}

type recorder struct {
	bytes.Buffer
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}

// logbook keeps log lines, and lets a test wait for one.
type logbook struct {
	mu    sync.Mutex
	lines []string
	wait  []waiter
}

type waiter struct {
	part string
	seen chan struct{}
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, string(p))
	for i := len(b.wait) - 1; i >= 0; i-- {
		if strings.Contains(string(p), b.wait[i].part) {
			close(b.wait[i].seen)
			b.wait = append(b.wait[:i], b.wait[i+1:]...)
		}
	}
	return len(p), nil
}

// next is closed once a line with the part is logged from now on.
func (b *logbook) next(part string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := waiter{part, make(chan struct{})}
	b.wait = append(b.wait, w)
	return w.seen
}

func (b *logbook) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "")
}
