package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/event"
	"weir/pkg/lake"
)

var layout = Layout{Partitions: 4, Replication: 1, Retention: 7 * day}

func TestSpecs(t *testing.T) {
	require.Equal(t, TopicSpec{
		Name: "events", Partitions: 12, Replication: 3,
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000", "min.insync.replicas": "2"},
	}, Layout{Partitions: 12, Replication: 3, Retention: 7 * day}.Events("events"))
	require.Equal(t, TopicSpec{
		Name: "flushes", Partitions: 1, Replication: 1,
		Config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "8388608"},
	}, layout.Flushes("flushes"))
	require.Equal(t, fmt.Sprint(1000+65536), layout.Aside("dead", 1000).Config["max.message.bytes"])
}

func TestEnsureTopics(t *testing.T) {
	k := cluster(t)
	cl := client(t, Config{Brokers: k.ListenAddrs()})
	_, _, err := Describe(t.Context(), cl, "events")
	require.ErrorIs(t, err, ErrNoTopic)

	began := time.Now()
	specs := []TopicSpec{layout.Events("events"), layout.Flushes("flushes"), layout.Aside("dead", 1<<20)}
	require.NoError(t, EnsureTopics(t.Context(), cl, specs))
	require.Less(t, time.Since(began), 3*time.Second, "the client's old metadata must not be waited for")

	events, cluster, err := Describe(t.Context(), cl, "events")
	require.NoError(t, err)
	require.Equal(t, "test", cluster)
	require.NotZero(t, events.ID)
	require.Equal(t, int32(4), events.Partitions)
	require.False(t, events.Compacted)
	dead, _, err := Describe(t.Context(), cl, "dead")
	require.NoError(t, err)
	require.Equal(t, 1<<20+Margin, dead.MaxMessageBytes)

	again := layout.Events("events")
	again.Partitions = 9
	require.NoError(t, EnsureTopics(t.Context(), cl, []TopicSpec{again}))
	same, _, err := Describe(t.Context(), cl, "events")
	require.NoError(t, err)
	require.Equal(t, events, same, "a topic that exists is left as it is")
}

func TestEnsureTopicsSaysWhatIsWrong(t *testing.T) {
	k := cluster(t)
	cl := client(t, Config{Brokers: k.ListenAddrs()})
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.InvalidReplicationFactor})
	err := EnsureTopics(t.Context(), cl, []TopicSpec{{Name: "x", Partitions: 2, Replication: 3}})
	require.ErrorIs(t, err, kerr.InvalidReplicationFactor)
	require.ErrorContains(t, err, "create topic x (2 partitions, replication 3)")
}

func TestDescribeKnowsCompaction(t *testing.T) {
	k := cluster(t)
	cl := client(t, Config{Brokers: k.ListenAddrs()})
	for policy, want := range map[string]bool{"delete": false, "compact": true, "compact,delete": true} {
		name := fmt.Sprintf("t-%d", len(policy))
		require.NoError(t, EnsureTopics(t.Context(), cl, []TopicSpec{{Name: name, Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": policy}}}))
		topic, _, err := Describe(t.Context(), cl, name)
		require.NoError(t, err)
		require.Equal(t, want, topic.Compacted, policy)
	}
}

func TestOffsetsOfALog(t *testing.T) {
	k := cluster(t)
	cl := client(t, Config{Brokers: k.ListenAddrs()}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, EnsureTopics(t.Context(), cl, []TopicSpec{layout.Events("events")}))
	for range 5 {
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Partition: 1, Value: []byte("v")}).FirstErr())
	}
	_, err := kadm.NewClient(cl).DeleteRecords(t.Context(), kadm.Offsets{"events": {1: {Topic: "events", Partition: 1, At: 2}}})
	require.NoError(t, err)
	spans, err := Spans(t.Context(), cl, "events")
	require.NoError(t, err)
	require.Len(t, spans, 4)
	require.Equal(t, int64(2), spans[1].Start)
	require.Equal(t, int64(5), spans[1].End)
	spans, err = Spans(t.Context(), cl, "events", 1)
	require.NoError(t, err)
	require.Len(t, spans, 1)
	end, err := EpochEnd(t.Context(), cl, "events", 1, spans[1].LeaderEpoch)
	require.NoError(t, err)
	require.Equal(t, int64(5), end)
	_, err = Spans(t.Context(), cl, "events", 99)
	require.Error(t, err, "a partition that is not there is no empty one")
}

func TestRecords(t *testing.T) {
	at := time.UnixMilli(1_764_000_000_123)
	k := &kgo.Record{
		Topic: "events", Partition: 3, Offset: 42, LeaderEpoch: 7, Timestamp: at,
		Key: []byte("k"), Value: nil, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}},
	}
	var r event.Record
	r.Headers = make([]event.Header, 0, 8)
	FromKgo(&r, k, lake.TopicID{9})
	require.Equal(t, event.Record{
		Topic: "events", TopicID: lake.TopicID{9}, Partition: 3, Offset: 42, LeaderEpoch: 7, Timestamp: at, Key: []byte("k"),
		Headers: []event.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}},
	}, r)
	back := ToKgo(r)
	require.Equal(t, k.Headers, back.Headers)
	require.Equal(t, k.Key, back.Key)
	require.Nil(t, back.Value)
	require.Equal(t, at, back.Timestamp)

	FromKgo(&r, &kgo.Record{Topic: "events", Offset: 43}, lake.TopicID{9})
	require.Empty(t, r.Headers, "nothing of the record before stays")
	require.Nil(t, r.Key)
	require.Zero(t, testing.AllocsPerRun(100, func() { FromKgo(&r, k, lake.TopicID{9}) }))
}
