package kafka

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/event"
)

// BatchSize is what the broker gets from a producer.
func TestBatchSize(t *testing.T) {
	k := cluster(t)
	zstd := []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()}
	cl := client(t, Config{Brokers: k.ListenAddrs()}, kgo.ProducerBatchCompression(zstd...), kgo.ProducerBatchMaxBytes(1<<24))
	require.NoError(t, EnsureTopics(t.Context(), cl, []TopicSpec{layout.Events("events")}))
	c, err := kgo.DefaultCompressor(zstd...)
	require.NoError(t, err)
	got := make(chan int, 1)
	k.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		got <- len(r.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records)
		return nil, nil, false
	})
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	for _, r := range []event.Record{
		{},
		{Key: []byte("k"), Value: []byte{}},
		{Value: bytes.Repeat([]byte("a"), 500<<10)},
		{Key: []byte("k"), Value: noise, Headers: []event.Header{{Key: "a", Value: noise[:70]}, {Key: "b"}}},
		{Value: noise[:200<<10], Headers: []event.Header{{Key: "a", Value: bytes.Repeat([]byte("b"), 100<<10)}}},
	} {
		out := ToKgo(r)
		out.Topic = "events"
		require.NoError(t, cl.ProduceSync(t.Context(), out).FirstErr())
		require.Equal(t, <-got, BatchSize(&r, c, 0))
		require.GreaterOrEqual(t, BatchSize(&r, nil, 1<<30), BatchSize(&r, c, 0), "as it is, and not compressed")
	}
}
