package sink

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/embedded"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
)

// theS3 is shared: there can be one per process. Each world has a bucket. It ends with
// the process.
var theS3 *embedded.S3

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-sink")
	if err != nil {
		panic(err)
	}
	theS3, err = embedded.StartS3(embedded.S3Options{Dir: dir, Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret"})
	if err != nil {
		panic(err)
	}
	for k, v := range map[string]string{
		"AWS_ENDPOINT_URL_S3": "http://" + theS3.Addr(), "AWS_REGION": embedded.Region,
		"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait more than they work
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// world is a Kafka, a bucket and the sinks between them.
type world struct {
	t      *testing.T
	kafka  *kfake.Cluster
	client *kgo.Client
	store  *s3.Store
	cfg    Config
	seen   *facts
	sent   map[int32]int64 // records produced per partition

	letters []row // of those, what is no event
}

// newWorld runs beside other tests: most of each is waiting.
func newWorld(t *testing.T, partitions int32, opts ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	return newSerialWorld(t, partitions, opts...)
}

// worlds makes the lake of each world its own, also when -count repeats a test.
var worlds atomic.Int64

// newSerialWorld is for tests that change the environment.
func newSerialWorld(t *testing.T, partitions int32, opts ...kfake.Opt) *world {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.ClusterID("world"), kfake.GroupMinSessionTimeout(time.Second),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }))...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Kafka.Brokers = cluster.ListenAddrs()
	cfg.Lake = fmt.Sprintf("s3://%s/lake%d", strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())), worlds.Add(1))
	cfg.TopicPartitions, cfg.TopicReplication = partitions, 1
	cfg.FileAge = 300 * time.Millisecond
	cfg.FileSize = settings.MiB
	cfg.Memory = settings.Memory{Bytes: 256 * settings.MiB}
	cfg.SessionTimeout = 5 * time.Second
	w := &world{t: t, kafka: cluster, cfg: cfg, seen: newFacts(), sent: map[int32]int64{}}
	w.reconnect()
	for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.Heartbeat, kmsg.OffsetCommit} {
		cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.seen.happened()
			return nil, nil, false
		})
	}
	loc, err := lake.ParseLocation(cfg.Lake)
	require.NoError(t, err)
	w.store, err = s3.Open(t.Context(), s3.Config{Lake: loc}, nil)
	require.NoError(t, err)
	require.NoError(t, w.store.CreateBucket(t.Context()))
	w.createTopic()
	return w
}

// reconnect makes a client that has not heard of anything yet.
func (w *world) reconnect() {
	var err error
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	require.NoError(w.t, err)
	w.t.Cleanup(w.client.Close)
}

func (w *world) createTopic() {
	require.NoError(w.t, kafka.EnsureTopics(w.t.Context(), w.client, []kafka.TopicSpec{w.cfg.layout().Events(w.cfg.Topic)}))
}

// eventOf is one event of a source, with a payload of its own.
func eventOf(source string, n int) *kgo.Record {
	return &kgo.Record{
		Key:   []byte(source),
		Value: fmt.Appendf(nil, `{"type":"track","event":"E","userId":"u%d","properties":{"n":%d}}`, n, n),
	}
}

// produce writes records to one partition and counts them.
func (w *world) produce(p int32, records ...*kgo.Record) {
	w.t.Helper()
	for _, r := range records {
		r.Topic, r.Partition = w.cfg.Topic, p
	}
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), records...).FirstErr())
	w.sent[p] += int64(len(records))
}

func (w *world) produceEvents(p int32, sources []string, n int) {
	w.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = eventOf(sources[i%len(sources)], i)
	}
	w.produce(p, records...)
}

// sinkProcess is a sink that runs.
type sinkProcess struct {
	stop context.CancelFunc
	done chan struct{}
	err  error
	tel  *telemetry.Telemetry
	log  *logBuffer
}

func (w *world) start(change ...func(*Config)) *sinkProcess {
	w.t.Helper()
	cfg := w.cfg
	for _, c := range change {
		c(&cfg)
	}
	require.NoError(w.t, settings.Join(cfg.Validate()))
	ctx, stop := context.WithCancel(context.Background())
	p := &sinkProcess{stop: stop, done: make(chan struct{}), log: &logBuffer{seen: w.seen}}
	var err error
	p.tel, err = telemetry.Start(ctx, telemetry.Options{Service: "sink", Output: io.Discard})
	require.NoError(w.t, err)
	p.tel.Log = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	go func() {
		defer close(p.done)
		p.err = Run(ctx, cfg, p.tel)
	}()
	w.t.Cleanup(func() { _ = p.end(); w.dumpOnFailure(p); _ = p.tel.Shutdown(context.Background()) })
	return p
}

func (w *world) dumpOnFailure(p *sinkProcess) {
	if w.t.Failed() || os.Getenv("SHOW") != "" {
		w.t.Log(p.log.String())
	}
}

// end drains the sink and waits.
func (p *sinkProcess) end() error {
	p.stop()
	<-p.done
	return p.err
}

// metric reads one value from /metrics: of the first series whose name and labels
// contain all of the words.
func (p *sinkProcess) metric(words ...string) (float64, bool) {
	rec := httptest.NewRecorder()
	p.tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, "#") || slices.ContainsFunc(words, func(x string) bool { return !strings.Contains(line, x) }) {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line[:len(line)-1], ' ')+1:len(line)-1], 64)
		return v, err == nil
	}
	return 0, false
}

// position is the next offset that a sink reads from a partition, by its gauges.
func (w *world) position(p *sinkProcess, partition int32) int64 {
	w.t.Helper()
	label := fmt.Sprintf("messaging_destination_partition_id=%q", fmt.Sprint(partition))
	fetch, ok1 := p.metric("weir_sink_lag_records", label, `stage="fetch"`)
	commit, ok2 := p.metric("weir_sink_lag_records", label, `stage="commit"`)
	s, ok3 := w.state(partition)
	if !ok1 || !ok2 || !ok3 {
		return -1
	}
	return s.Low + int64(commit) - int64(fetch)
}

// facts lets a test wait for lines of the log, which are the facts as people see them.
type facts struct {
	mu      sync.Mutex
	changed chan struct{}
}

func newFacts() *facts { return &facts{changed: make(chan struct{})} }

func (f *facts) happened() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *facts) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen *facts
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.seen.happened()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until ok holds, looking again whenever a sink has logged something.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		next := w.seen.next()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-limit.C:
			require.FailNow(w.t, "waited too long", what)
		}
	}
}

// awaitFlushed waits until every record that was produced is below its partition's
// committed low.
func (w *world) awaitFlushed() {
	w.t.Helper()
	w.await("everything is flushed", func() bool {
		for p, n := range w.sent {
			if s, ok := w.state(p); !ok || s.Low < n || s.Phase != flush.Done {
				return false
			}
		}
		return true
	})
}

func (w *world) state(p int32) (flush.State, bool) {
	topic, _, err := kafka.Describe(w.t.Context(), w.client, w.cfg.Topic)
	require.NoError(w.t, err)
	c, err := kafka.FetchCommitted(w.t.Context(), w.client, w.cfg.Group, topic, p)
	require.NoError(w.t, err)
	if _, ok := c[p]; !ok {
		return flush.State{}, false
	}
	s, err := flush.ParseMetadata(c[p].Offset, c[p].LeaderEpoch, c[p].Metadata)
	return s, err == nil
}

// row is where a row of the table says that it stood in Kafka.
type row struct {
	partition int32
	offset    int64
}

// rows reads every object of a table, however it got there, and lists its rows.
func (w *world) rows() []row {
	w.t.Helper()
	var rows []row
	for o, err := range w.store.List(w.t.Context(), "eventlogs/", "") {
		require.NoError(w.t, err)
		body, _, err := w.store.Get(w.t.Context(), o.Key)
		require.NoError(w.t, err)
		file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
		require.NoError(w.t, err)
		rows = append(rows, readRows(w.t, file)...)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	return rows
}

func readRows(t *testing.T, file *parquet.File) []row {
	t.Helper()
	partition, ok := file.Schema().Lookup("kafkapartition")
	require.True(t, ok)
	offset, ok := file.Schema().Lookup("kafkaoffset")
	require.True(t, ok)
	var rows []row
	reader := parquet.NewReader(file)
	defer func() { _ = reader.Close() }()
	buf := make([]parquet.Row, 64)
	for {
		n, err := reader.ReadRows(buf)
		for _, r := range buf[:n] {
			var out row
			r.Range(func(column int, v []parquet.Value) bool {
				switch column {
				case partition.ColumnIndex:
					out.partition = v[0].Int32()
				case offset.ColumnIndex:
					out.offset = v[0].Int64()
				}
				return true
			})
			rows = append(rows, out)
		}
		if err == io.EOF {
			return rows
		}
		require.NoError(t, err)
	}
}

// rawLines counts the lines of the raw copy.
func (w *world) rawLines() int {
	w.t.Helper()
	lines := 0
	for o, err := range w.store.List(w.t.Context(), "raw/", "") {
		require.NoError(w.t, err)
		body, _, err := w.store.Get(w.t.Context(), o.Key)
		require.NoError(w.t, err)
		d, err := zstd.NewReader(bytes.NewReader(body))
		require.NoError(w.t, err)
		text, err := io.ReadAll(d)
		require.NoError(w.t, err)
		d.Close()
		lines += bytes.Count(text, []byte("\n"))
	}
	return lines
}

// requireOnce checks that every record that was produced, but for those named, stands
// in the table once, and in the raw copy.
func (w *world) requireOnce(but ...row) {
	w.t.Helper()
	var want []row
	for _, p := range slices.Sorted(maps.Keys(w.sent)) {
		for o := range w.sent[p] {
			if r := (row{p, o}); !slices.Contains(but, r) {
				want = append(want, r)
			}
		}
	}
	require.Equal(w.t, want, w.rows())
	require.Equal(w.t, len(want), w.rawLines())
	w.requireNotified()
}

// requireNotified checks that every flush that a manifest chain names was told to the
// catalog, in order, each with its predecessor.
func (w *world) requireNotified() {
	w.t.Helper()
	last := map[int32]flush.Notification{}
	for _, r := range w.read(w.cfg.FlushTopic) {
		n, err := codec.DecodeCommitted(r.Value)
		require.NoError(w.t, err)
		require.Equal(w.t, w.cfg.Lake, n.Lake)
		before := last[n.Partition]
		if n.Seq == before.Seq {
			require.Equal(w.t, before.Manifest, n.Manifest, "two manifests under one seq")
			continue
		}
		require.Equal(w.t, before.Seq+1, n.Seq)
		require.Equal(w.t, before.Manifest, n.Predecessor)
		last[n.Partition] = n
	}
	for p := range w.sent {
		s, ok := w.state(p)
		require.True(w.t, ok)
		require.Equal(w.t, s.Manifest, last[p].Manifest, "partition %d", p)
	}
}

// read reads a topic to its end.
func (w *world) read(topic string) []*kgo.Record {
	w.t.Helper()
	spans, err := kafka.Spans(w.t.Context(), w.client, topic)
	require.NoError(w.t, err)
	var left int64
	from := map[int32]kgo.Offset{}
	for p, s := range spans {
		from[p] = kgo.NewOffset().At(s.Start)
		left += s.End - s.Start
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	require.NoError(w.t, err)
	defer cl.Close()
	var records []*kgo.Record
	for int64(len(records)) < left {
		records = append(records, cl.PollFetches(w.t.Context()).Records()...)
	}
	return records
}

// admin is for what operators do.
func (w *world) admin() *kadm.Client { return kadm.NewClient(w.client) }

func (w *world) awaitPartition(p int32) {
	w.t.Helper()
	w.await("the partition is flushed", func() bool {
		s, ok := w.state(p)
		return ok && s.Low == w.sent[p] && s.Phase == flush.Done
	})
}

func (w *world) topicID() lake.TopicID {
	w.t.Helper()
	topic, _, err := kafka.Describe(w.t.Context(), w.client, w.cfg.Topic)
	require.NoError(w.t, err)
	return topic.ID
}

func (w *world) manifests() []*flush.Manifest {
	w.t.Helper()
	var list []*flush.Manifest
	for o, err := range w.store.List(w.t.Context(), "_weir/"+w.cfg.Group+"/", "") {
		require.NoError(w.t, err)
		if !strings.HasSuffix(o.Key, ".json") {
			continue
		}
		body, _, err := w.store.Get(w.t.Context(), o.Key)
		require.NoError(w.t, err)
		m, err := codec.DecodeManifest(o.Key, body)
		require.NoError(w.t, err)
		list = append(list, m)
	}
	return list
}

// random is text that compresses to about three quarters.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rand.IntN(64)]
	}
	return b
}

func headers(r *kgo.Record) map[string]string {
	h := map[string]string{}
	for _, x := range r.Headers {
		h[x.Key] = string(x.Value)
	}
	return h
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
