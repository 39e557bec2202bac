package redrive

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/kafka"
)

// world is a broker in virtual time with the topics of a deployment.
type world struct {
	t       *testing.T
	net     *kfake.VirtualNetwork
	cluster *kfake.Cluster
	client  *kgo.Client // of the test itself
	events  kafka.Topic
	next    map[int32]int64 // offsets of the records that became dead letters
}

const (
	eventsTopic   = "weir.events"
	lettersTopic  = "weir.deadletters"
	rejectedTopic = "weir.rejected"
	ledgerTopic   = "weir.redriven"
)

// inWorld runs f in a bubble of its own.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: new(kfake.VirtualNetwork), next: map[int32]int64{}}
		var err error
		w.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(w.net.Listen))
		require.NoError(t, err)
		defer w.cluster.Close()
		w.client, err = kgo.NewClient(kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(w.net.DialContext),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
			kgo.ProducerBatchMaxBytes(16<<20))
		require.NoError(t, err)
		defer w.client.Close()
		layout := kafka.Layout{Partitions: 3, Replication: 1, Retention: kafka.Forever}
		require.NoError(t, kafka.EnsureTopics(t.Context(), w.client, []kafka.TopicSpec{
			layout.Events(eventsTopic), layout.Aside(lettersTopic, 1<<20), layout.Aside(rejectedTopic, 1<<20),
		}))
		w.events, _, err = kafka.Describe(t.Context(), w.client, eventsTopic)
		require.NoError(t, err)
		f(t, w)
	})
}

// config is that of a redrive of dead letters without a limit to its rate.
func (w *world) config() Config {
	return Config{
		Look: Look{
			Kafka:         kafka.Config{Brokers: []string{"127.0.0.1:9092"}, Extra: w.options(w.net.DialContext)},
			RedrivenTopic: ledgerTopic, MaxAttempts: 3, Aside: Aside{DeadLetters, lettersTopic},
		},
		Topic: eventsTopic, TopicReplication: 1,
	}
}

func (w *world) options(dial func(context.Context, string, string) (net.Conn, error)) []kgo.Opt {
	return []kgo.Opt{kgo.Dialer(dial), kgo.WithDecompressor(decompressor{})}
}

// decompressor reads zstd with a decoder that is made outside of every bubble: the
// client's own are closed by a finalizer, which runs in none.
type decompressor struct{}

var decoder = func() *zstd.Decoder {
	d, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	return d
}()

func (decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecZstd {
		return decoder.DecodeAll(src, nil)
	}
	return kgo.DefaultDecompressor().Decompress(src, codec)
}

// run redrives, and wants no error.
func (w *world) run(change ...func(*Config)) *Report {
	w.t.Helper()
	report, err := w.try(change...)
	require.NoError(w.t, err)
	return report
}

func (w *world) try(change ...func(*Config)) (*Report, error) {
	cfg := w.config()
	for _, c := range change {
		c(&cfg)
	}
	return Run(w.t.Context(), cfg)
}

func (w *world) produce(topic string, partition int32, r event.Record) {
	w.t.Helper()
	rec := kafka.ToKgo(r)
	rec.Topic, rec.Partition = topic, partition
	require.NoError(w.t, w.client.ProduceSync(w.t.Context(), rec).FirstErr())
}

// letter puts a record aside as the sink does.
func (w *world) letter(partition int32, r event.Record, reason event.Reason) event.Record {
	w.t.Helper()
	r.Topic, r.TopicID, r.Partition, r.Offset = eventsTopic, w.events.ID, partition, w.next[partition]
	if r.Timestamp.IsZero() {
		r.Timestamp = time.UnixMilli(1_795_428_000_123).UTC()
	}
	w.next[partition]++
	w.produce(lettersTopic, partition, event.DeadLetter(&r, reason))
	return r
}

// letters puts n records of source a aside, in all partitions.
func (w *world) letters(n int) {
	w.t.Helper()
	for i := range n {
		w.letter(int32(i%3), plain(i), event.NoType)
	}
}

// plain is a record without a type: no event.
func plain(n int) event.Record {
	return event.Record{Key: fmt.Appendf(nil, "source%d", n%7), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
}

// read reads what is committed in a topic, to its end.
func (w *world) read(topic string) (all []*kgo.Record) {
	w.t.Helper()
	t, _, err := kafka.Describe(w.t.Context(), w.client, topic)
	require.NoError(w.t, err)
	look := w.config().Look
	r, err := openReader(&look)
	require.NoError(w.t, err)
	defer r.close()
	spans, err := kafka.Spans(w.t.Context(), w.client, topic)
	require.NoError(w.t, err)
	for p := range t.Partitions {
		require.NoError(w.t, r.scan(w.t.Context(), t, p, spans[p].Start, spans[p].End, func(rec *kgo.Record) error {
			all = append(all, rec)
			return nil
		}))
	}
	return all
}

// requireOnce: what is in the events topic is values, each once, and the ledger says so
// and nothing else.
func (w *world) requireOnce(values ...string) {
	w.t.Helper()
	var got []string
	at := map[string]bool{}
	for _, r := range w.read(eventsTopic) {
		got = append(got, string(r.Value))
		at[fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)] = true
	}
	slices.Sort(got)
	slices.Sort(values)
	require.Equal(w.t, values, got)
	origins := map[string]bool{}
	for _, r := range w.read(ledgerTopic) {
		var e Entry
		require.NoError(w.t, json.Unmarshal(r.Value, &e))
		place := fmt.Sprintf("%s/%d/%d", e.Topic, e.Partition, e.Offset)
		require.True(w.t, at[place], "the ledger names %s, where nothing came back", place)
		require.False(w.t, origins[string(r.Key)], "%s stands twice in the ledger", r.Key)
		delete(at, place)
		origins[string(r.Key)] = true
	}
	require.Empty(w.t, at, "came back, and the ledger does not know")
}

// plains are the values of letters.
func plains(n int) (values []string) {
	for i := range n {
		values = append(values, string(plain(i).Value))
	}
	return values
}

func headers(r *kgo.Record) map[string]string {
	h := map[string]string{}
	for _, x := range r.Headers {
		h[x.Key] = string(x.Value)
	}
	return h
}

// machine is where a redrive runs. Once it has crashed nothing of it is heard.
type machine struct {
	net     *kfake.VirtualNetwork
	mu      sync.Mutex
	conns   []net.Conn
	crashed bool
}

func (m *machine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	crashed := m.crashed
	m.mu.Unlock()
	if crashed {
		return nil, net.ErrClosed
	}
	conn, err := m.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.crashed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	m.conns = append(m.conns, conn)
	return conn, nil
}

func (m *machine) crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	for _, c := range m.conns {
		_ = c.Close()
	}
}
