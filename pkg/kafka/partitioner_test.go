package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"weir/pkg/event"
)

func inLane(key string, value []byte) *kgo.Record {
	return &kgo.Record{Key: []byte(key), Headers: []kgo.RecordHeader{{Key: "weir-request-id", Value: []byte("1/2/3")}, {Key: event.HeaderFanout, Value: value}}}
}

// Without a lane a record is where every Kafka client puts it, and with one as many partitions further.
func TestPartitioner(t *testing.T) {
	ours, usual := Partitioner().ForTopic("t"), kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		n := rapid.IntRange(1, 100).Draw(t, "partitions")
		fanout := 1 << rapid.IntRange(0, 8).Draw(t, "bits")
		lane := rapid.IntRange(0, fanout-1).Draw(t, "lane")
		plain := &kgo.Record{Key: []byte(key)}
		base := usual.Partition(plain, n)
		require.Equal(t, base, ours.Partition(plain, n))
		require.Equal(t, base, ours.Partition(inLane(key, []byte("no lane")), n))
		r := inLane(key, event.Lane{Lane: lane, Fanout: fanout, Epoch: 1}.Append(nil))
		require.Equal(t, (base+lane)%n, ours.Partition(r, n))
		require.True(t, ours.RequiresConsistency(r))
	})
}

// A record without a key is spread as the usual partitioner spreads it.
func TestPartitionerWithoutAKey(t *testing.T) {
	ours := Partitioner().ForTopic("t")
	r := &kgo.Record{}
	require.False(t, ours.RequiresConsistency(r))
	seen := map[int]bool{}
	for range 1000 {
		ours.(kgo.TopicPartitionerOnNewBatch).OnNewBatch()
		seen[ours.Partition(r, 4)] = true
	}
	require.Len(t, seen, 4)
}

func TestPartitionerAllocatesNothing(t *testing.T) {
	ours := Partitioner().ForTopic("t")
	r := inLane("source", event.Lane{Lane: 3, Fanout: 4, Epoch: 12345}.Append(nil))
	require.Zero(t, testing.AllocsPerRun(100, func() { ours.Partition(r, 12) }))
}
