//go:build duckdb && e2e

// Package held holds an offset commit of the sink back on its way to Apache Kafka, over two more flushes, and lets it
// arrive: nothing may change. A client that commits and goes on without leaving its group has its state moved back.
package held

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/loadtest/parts"
	"weir/pkg/embedded"
	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/telemetry"
	"weir/services/sink"
	"weir/services/verify"
)

const patience = time.Minute

func TestHeldCommit(t *testing.T) {
	broker := startParts(t)
	t.Run("a member that stays", func(t *testing.T) { bareMember(t, broker) })
	for name, pod := range map[string]string{"dynamic": "", "static": "sink-0"} {
		t.Run(name, func(t *testing.T) { heldSink(t, broker, name, pod) })
	}
}

func startParts(t *testing.T) (broker string) {
	_, err := parts.FetchKafka(t.Context())
	parts.Need(t, "kafka", err)
	k, err := parts.StartKafka(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(k.Stop)
	s, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	for setting, value := range map[string]string{
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"AWS_ENDPOINT_URL_S3": "http://" + s.Addr(), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(setting, value)
	}
	return k.Addr
}

// bareMember shows that the bytes are dangerous: while the member lives the broker takes them at any time.
func bareMember(t *testing.T, broker string) {
	const topic, group = "bare", "bare"
	w := newWire(func(*kmsg.OffsetCommitRequest) bool { return true })
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
	id, _, err := kafka.Describe(t.Context(), cl, topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		cl.PollFetches(ctx)
		_, generation := cl.GroupMetadata()
		return generation > 0
	}, patience, time.Millisecond)
	member, generation := cl.GroupMetadata()
	commit := func(offset int64, timeout time.Duration, opts ...kgo.Opt) flush.Input {
		own, err := kgo.NewClient(append(opts, kgo.SeedBrokers(broker))...)
		require.NoError(t, err)
		defer own.Close()
		return kafka.CommitOffset(t.Context(), own, kafka.CommitRequest{
			Group: group, Topic: topic, TopicID: id.ID, Offset: offset, LeaderEpoch: -1, Metadata: fmt.Sprint("at ", offset),
			MemberID: member, Generation: generation, Timeout: timeout,
		})
	}
	require.Equal(t, flush.CommitUnanswered, commit(1, 2*time.Second, kgo.Dialer(w.dial)).Kind)
	require.Equal(t, flush.CommitApplied, commit(2, patience).Kind)
	_, metadata := committed(t, cl, group, topic)
	require.Equal(t, "at 2", metadata)
	require.NoError(t, answer(t, w))
	offset, metadata := committed(t, cl, group, topic)
	require.Equal(t, int64(1), offset, "the state went back")
	require.Equal(t, "at 1", metadata)
}

func heldSink(t *testing.T, broker, name, pod string) {
	var heldSeq uint64
	w := newWire(func(r *kmsg.OffsetCommitRequest) bool {
		p := r.Topics[0].Partitions[0]
		if p.Metadata == nil {
			return false
		}
		state, err := flush.ParseMetadata(p.Offset, p.LeaderEpoch, *p.Metadata)
		heldSeq = state.Seq
		return err == nil && state.Phase == flush.Intent && state.Seq >= 3
	})
	cfg := sink.DefaultConfig()
	cfg.Kafka.Brokers, cfg.Kafka.Extra = []string{broker}, []kgo.Opt{kgo.Dialer(w.dial)}
	cfg.Topic, cfg.Group, cfg.FlushTopic, cfg.DeadLetterTopic = name+".events", name, name+".flushes", name+".letters"
	cfg.Lake, cfg.PodName = "s3://weir/"+name, pod
	cfg.FileAge, cfg.SessionTimeout, cfg.TopicPartitions, cfg.TopicReplication = 300*time.Millisecond, 5*time.Second, 1, 1
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sink.Run(ctx, cfg, telemetry.Discard()) }()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(cfg.Topic), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	defer cl.Close()
	sent := produceUntil(t, cl, w.got)
	state := awaitState(t, cl, cfg, func(s flush.State) bool { return s.Seq >= heldSeq && s.Phase == flush.Done })
	for s := state.Seq; state.Seq < s+2; {
		sent += produce(t, cl, sent)
		state = awaitState(t, cl, cfg, func(n flush.State) bool { return n.Seq > state.Seq && n.Phase == flush.Done })
	}
	awaitOffset(t, cl, cfg, int64(sent))
	offset, metadata := committed(t, cl, cfg.Group, cfg.Topic)

	err = answer(t, w)
	t.Logf("held: the intent of flush %d; committed by now: flush %d; the broker answers: %v", heldSeq, state.Seq, err)
	require.Error(t, err)
	after, again := committed(t, cl, cfg.Group, cfg.Topic)
	require.Equal(t, offset, after)
	require.Equal(t, metadata, again)

	sent += produce(t, cl, sent)
	awaitOffset(t, cl, cfg, int64(sent))
	stop()
	require.NoError(t, <-ended)
	check := verify.DefaultConfig()
	check.Lake, check.Topic, check.Group, check.Kafka.Brokers, check.Rows = cfg.Lake, cfg.Topic, cfg.Group, []string{broker}, true
	report, err := verify.Run(t.Context(), check)
	require.NoError(t, err)
	require.True(t, report.OK(), "%+v", report)
}

// produceUntil keeps events coming until the commit is held.
func produceUntil(t *testing.T, cl *kgo.Client, held <-chan struct{}) (sent int) {
	deadline := time.After(patience)
	for {
		select {
		case <-held:
			return sent
		case <-deadline:
			require.FailNow(t, "no commit was held")
		case <-time.After(50 * time.Millisecond):
			sent += produce(t, cl, sent)
		}
	}
}

func produce(t *testing.T, cl *kgo.Client, from int) int {
	const n = 10
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Key: []byte("source1"), Value: fmt.Appendf(nil, `{"type":"track","event":"e","messageId":"m%d","userId":"u"}`, from+i)})
	}
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
	return n
}

func awaitState(t *testing.T, cl *kgo.Client, cfg sink.Config, until func(flush.State) bool) (state flush.State) {
	require.Eventually(t, func() bool {
		offset, metadata := committed(t, cl, cfg.Group, cfg.Topic)
		s, err := flush.ParseMetadata(offset, -1, metadata)
		state = s
		return err == nil && until(s)
	}, patience, 100*time.Millisecond)
	return state
}

func awaitOffset(t *testing.T, cl *kgo.Client, cfg sink.Config, end int64) {
	require.Eventually(t, func() bool {
		offset, metadata := committed(t, cl, cfg.Group, cfg.Topic)
		s, err := flush.ParseMetadata(offset, -1, metadata)
		return err == nil && s.Phase == flush.Done && offset == end
	}, patience, 100*time.Millisecond)
}

func committed(t *testing.T, cl *kgo.Client, group, topic string) (offset int64, metadata string) {
	all, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
	require.NoError(t, err)
	o, ok := all.Lookup(topic, 0)
	if !ok {
		return -1, ""
	}
	require.NoError(t, o.Err)
	return o.At, o.Metadata
}

// answer releases the commit and tells what the broker makes of it.
func answer(t *testing.T, w *wire) error {
	resp, err := w.release()
	require.NoError(t, err)
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
