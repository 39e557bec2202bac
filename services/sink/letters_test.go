package sink

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// letterLimit changes what the dead-letter topic takes.
func (w *world) letterLimit(bytes int) {
	text := strconv.Itoa(bytes)
	resp, err := w.admin().AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &text}}, w.cfg.DeadLetterTopic)
	require.NoError(w.t, err)
	require.NoError(w.t, resp[0].Err)
}

// noLetters are records that are no events, the second of them large. They come in one
// batch, so that one flush takes them.
func (w *world) noLetters(p int32) (but []row) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Second))
	require.NoError(w.t, err)
	defer cl.Close()
	var records []*kgo.Record
	for _, size := range []int{10, 200 << 10, 10} {
		but = append(but, row{p, w.sent[p]})
		records = append(records, &kgo.Record{Topic: w.cfg.Topic, Partition: p, Key: []byte("a"), Value: random(size)})
		w.sent[p]++
	}
	require.NoError(w.t, cl.ProduceSync(w.t.Context(), records...).FirstErr())
	return but
}

func (w *world) awaitBlocked(p *sinkProcess) {
	w.t.Helper()
	w.await("it says so", func() bool { return strings.Contains(p.log.String(), "partition waits") })
	require.Contains(w.t, p.log.String(), "the dead letter of weir.events/0 offset 11 (malformed) has ")
	require.Contains(w.t, p.log.String(), "topic weir.deadletters takes 100000: raise its max.message.bytes to ")
	require.Contains(w.t, dependencies(p.tel.Health.Report()), "partition weir.events/0 down")
	blocked, ok := p.metric("weir_sink_partitions_blocked")
	require.True(w.t, ok)
	require.Equal(w.t, 1.0, blocked)
}

func (w *world) requireUnblocked(p *sinkProcess, but []row) {
	w.t.Helper()
	w.letterLimit(400 << 10)
	w.awaitFlushed()
	require.NotContains(w.t, dependencies(p.tel.Health.Report()), "partition weir.events/0")
	blocked, _ := p.metric("weir_sink_partitions_blocked")
	require.Zero(w.t, blocked)
	require.NoError(w.t, p.end())
	w.requireOnce(but...)
}

// The dead-letter topic's limit is lowered while the sink runs: the partition waits before
// the decision and says what to raise, others go on, and with the limit raised so does it.
func TestDeadLetterIsLargerThanItsTopic(t *testing.T) {
	w := newWorld(t, 2)
	p := w.start()
	w.produceEvents(0, []string{"a"}, 10)
	w.awaitFlushed()
	before, _ := w.state(0)
	w.letterLimit(100_000)
	but := w.noLetters(0)
	w.awaitBlocked(p)
	w.produceEvents(1, []string{"a"}, 5)
	w.awaitPartition(1)
	s, _ := w.state(0)
	require.Equal(t, before, s, "nothing is decided")
	require.Empty(t, w.read(w.cfg.DeadLetterTopic))
	w.requireUnblocked(p, but)
	require.Len(t, w.read(w.cfg.DeadLetterTopic), 3)
}

// It is lowered right after the decision: the same, and the next owner does not pass over
// it either. What was acknowledged is produced once by each owner.
func TestDeadLetterTopicShrinksAfterTheDecision(t *testing.T) {
	w := newWorld(t, 1)
	p := w.start()
	w.produceEvents(0, []string{"a"}, 10)
	w.awaitFlushed()
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		w.kafka.SleepControl(func() { w.letterLimit(100_000) })
		return nil, false, true
	})
	but := w.noLetters(0)
	w.awaitBlocked(p)
	require.NoError(t, p.end())
	require.Len(t, w.read(w.cfg.DeadLetterTopic), 1)

	p = w.start()
	w.awaitBlocked(p)
	w.requireUnblocked(p, but)
	letters := w.read(w.cfg.DeadLetterTopic)
	require.Len(t, letters, 4)
	require.Len(t, letters[2].Value, 200<<10)
}
