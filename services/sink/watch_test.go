package sink

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition that has something to do and does nothing is named, whatever the reason is;
// others are not, and it is not any more once it goes on.
func TestStuckPartitionIsNamed(t *testing.T) {
	w := newWorld(t, 2)
	w.cfg.SessionTimeout = 2 * time.Second
	w.produceEvents(1, []string{"a"}, 5)
	p := w.start()
	w.awaitFlushed()

	open, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("hanging"), kgo.DefaultProduceTopic(w.cfg.Topic))
	require.NoError(t, err)
	defer open.Close()
	require.NoError(t, open.BeginTransaction())
	require.NoError(t, open.ProduceSync(t.Context(), eventOf("a", 1)).FirstErr()) // partition 0 cannot be read beyond it
	w.sent[0] += 2

	w.await("it is named", func() bool { return strings.Contains(p.log.String(), "partition is stuck") })
	require.Contains(t, p.log.String(), "at offset 0 of 1, in: wait for records; /debug/pprof/goroutine?debug=2")
	require.Contains(t, dependencies(p.tel.Health.Report()), "partition weir.events/0 down")
	require.NotContains(t, dependencies(p.tel.Health.Report()), "partition weir.events/1")
	require.True(t, p.tel.Health.Report().Ready)
	stuck, ok := p.metric("weir_sink_partitions_stuck")
	require.True(t, ok)
	require.Equal(t, 1.0, stuck)

	require.NoError(t, open.EndTransaction(t.Context(), kgo.TryCommit))
	w.awaitFlushed()
	w.await("it is named no more", func() bool { return !strings.Contains(dependencies(p.tel.Health.Report()), "partition weir.events/0") })
	require.NoError(t, p.end())
	w.requireOnce(row{0, 1})
}

// What the brokers refuse whatever the sink does ends the process, with what to change.
func TestRefusedByTheBrokers(t *testing.T) {
	for _, c := range []struct {
		key    kmsg.Key
		err    *kerr.Error
		advice string
	}{
		{kmsg.JoinGroup, kerr.GroupAuthorizationFailed, "allow its user Read on group weir-sink"},
		{kmsg.JoinGroup, kerr.InvalidSessionTimeout, "session-timeout 5s is not within the brokers'"},
		{kmsg.JoinGroup, kerr.InconsistentGroupProtocol, "has members that are no weir sinks"},
		{kmsg.JoinGroup, kerr.GroupMaxSizeReached, "group weir-sink is full"},
		{kmsg.Fetch, kerr.TopicAuthorizationFailed, "allow its user Read and Describe on topic weir.events"},
	} {
		t.Run(strings.ToLower(strings.ReplaceAll(c.err.Message, "_", "-")), func(t *testing.T) {
			w := newWorld(t, 1)
			w.produceEvents(0, []string{"a"}, 1)
			w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, Err: c.err, Count: -1})
			p := w.start()
			<-p.done
			require.ErrorIs(t, p.err, c.err)
			require.ErrorContains(t, p.err, c.advice)
		})
	}
}
