package kafka

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"weir/pkg/flush"
)

// member is a group with one living member, and a client for raw commits beside it.
type member struct {
	kafka   *kfake.Cluster
	control *kgo.Client
	topic   Topic
	request CommitRequest
}

func newMember(t *testing.T, opts ...kfake.Opt) *member {
	t.Helper()
	m := &member{kafka: cluster(t, opts...)}
	cfg := Config{Brokers: m.kafka.ListenAddrs()}
	m.control = client(t, cfg)
	require.NoError(t, EnsureTopics(t.Context(), m.control, []TopicSpec{layout.Events("events")}))
	var err error
	m.topic, _, err = Describe(t.Context(), m.control, "events")
	require.NoError(t, err)
	assigned := make(chan CommitRequest, 10)
	client(t, cfg, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("events"), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, _ map[string][]int32) {
			id, generation := cl.GroupMetadata()
			assigned <- CommitRequest{MemberID: id, Generation: generation}
		}))
	m.request = <-assigned
	m.request.Group, m.request.Topic, m.request.TopicID = "g", "events", m.topic.ID
	m.request.Partition, m.request.Offset, m.request.LeaderEpoch = 2, 7, 3
	m.request.Metadata, m.request.Timeout = "weir1 some metadata", 5*time.Second
	return m
}

// sent counts the commits that reach the broker from now on.
func (m *member) sent() *atomic.Int32 {
	n := new(atomic.Int32)
	m.kafka.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		n.Add(1)
		return nil, nil, false
	})
	return n
}

func (m *member) committed(t *testing.T) map[int32]Committed {
	t.Helper()
	c, err := FetchCommitted(t.Context(), m.control, "g", m.topic, 0, 1, 2, 3)
	require.NoError(t, err)
	return c
}

func TestCommitAndFetch(t *testing.T) {
	m := newMember(t)
	require.Empty(t, m.committed(t))
	require.Equal(t, flush.Input{Kind: flush.CommitApplied}, CommitOffset(t.Context(), m.control, m.request))
	require.Equal(t, map[int32]Committed{2: {Offset: 7, LeaderEpoch: 3, Metadata: "weir1 some metadata"}}, m.committed(t))
}

func TestFetchOfAGroupThatNeverWas(t *testing.T) {
	k := cluster(t)
	cl := client(t, Config{Brokers: k.ListenAddrs()})
	require.NoError(t, EnsureTopics(t.Context(), cl, []TopicSpec{layout.Events("events")}))
	topic, _, err := Describe(t.Context(), cl, "events")
	require.NoError(t, err)
	c, err := FetchCommitted(t.Context(), cl, "nobody", topic, 0)
	require.NoError(t, err)
	require.Empty(t, c)
}

func TestFetchErrorsAreNotSilence(t *testing.T) {
	m := newMember(t)
	require.Equal(t, flush.CommitApplied, CommitOffset(t.Context(), m.control, m.request).Kind)
	m.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.TopicAuthorizationFailed, Topic: "events"})
	_, err := FetchCommitted(t.Context(), m.control, "g", m.topic, 2)
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)

	answer := kmsg.OffsetFetchResponseGroup{Topics: []kmsg.OffsetFetchResponseGroupTopic{{
		Topic: "events", Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{{Partition: 2, Offset: -1}},
	}}}
	c, err := readCommitted(answer, "g", m.topic, []int32{2})
	require.NoError(t, err)
	require.Empty(t, c)
	_, err = readCommitted(answer, "g", m.topic, []int32{2, 3})
	require.ErrorContains(t, err, "asked for 2 partitions of events, answered 1")
}

// Every error that a coordinator may answer, what it proves, and that it is sent once.
func TestClassification(t *testing.T) {
	want := map[*kerr.Error]flush.InputKind{
		kerr.RebalanceInProgress:       flush.CommitNotApplied,
		kerr.CoordinatorNotAvailable:   flush.CommitUncertain,
		kerr.CoordinatorLoadInProgress: flush.CommitUncertain,
		kerr.NotCoordinator:            flush.CommitUncertain,
		kerr.IllegalGeneration:         flush.CommitFenced,
		kerr.UnknownMemberID:           flush.CommitOver,
		kerr.FencedInstanceID:          flush.CommitOver,
		kerr.StaleMemberEpoch:          flush.CommitOver,
		kerr.UnknownTopicID:            flush.CommitOver,
		// Everything else: nobody promises that it was not applied.
		kerr.RequestTimedOut:            flush.CommitUnanswered,
		kerr.UnknownServerError:         flush.CommitUnanswered,
		kerr.UnknownTopicOrPartition:    flush.CommitUnanswered,
		kerr.OffsetMetadataTooLarge:     flush.CommitUnanswered,
		kerr.InvalidCommitOffsetSize:    flush.CommitUnanswered,
		kerr.GroupAuthorizationFailed:   flush.CommitUnanswered,
		kerr.TopicAuthorizationFailed:   flush.CommitUnanswered,
		kerr.InvalidGroupID:             flush.CommitUnanswered,
		kerr.GroupIDNotFound:            flush.CommitUnanswered,
		kerr.CorruptMessage:             flush.CommitUnanswered,
		kerr.UnsupportedVersion:         flush.CommitUnanswered,
		kerr.NotEnoughReplicas:          flush.CommitUnanswered,
		kerr.KafkaStorageError:          flush.CommitUnanswered,
		kerr.UnstableOffsetCommit:       flush.CommitUnanswered,
		kerr.InconsistentTopicID:        flush.CommitUnanswered,
		kerr.ClusterAuthorizationFailed: flush.CommitUnanswered,
	}
	m := newMember(t)
	for answer, kind := range want {
		n := m.sent()
		m.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: answer, Topic: "events", Count: 1})
		in := CommitOffset(t.Context(), m.control, m.request)
		require.Equal(t, kind.String(), in.Kind.String(), answer.Message)
		require.ErrorIs(t, in.Err, answer)
		require.Equal(t, int32(1), n.Load(), answer.Message)
		require.Equal(t, flush.CommitApplied, CommitOffset(t.Context(), m.control, m.request).Kind, "after %s", answer.Message)
	}
	for code := int16(1); code < 200; code++ { // whatever Kafka has or will have
		err := kerr.ErrorForCode(code)
		kerrErr := new(kerr.Error)
		if errors.As(err, &kerrErr) && want[kerrErr] == 0 {
			require.Equal(t, flush.CommitUnanswered, Classify(err), err)
		}
	}
}

func TestCommitIsFencedByTheBroker(t *testing.T) {
	m := newMember(t)
	old := m.request
	old.Generation--
	require.Equal(t, flush.CommitFenced, CommitOffset(t.Context(), m.control, old).Kind)
	stranger := m.request
	stranger.MemberID = "somebody"
	require.Equal(t, flush.CommitOver, CommitOffset(t.Context(), m.control, stranger).Kind)
	require.Empty(t, m.committed(t))
}

// The topic was deleted, and is there again under its name: its offsets are not those of
// the one that was read. Brokers that commit by name only are asked before.
func TestCommitForATopicThatIsAnotherNow(t *testing.T) {
	for name, opts := range map[string][]kfake.Opt{"by id": nil, "by name": {kfake.MaxVersions(kversion.V3_9_0())}} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, opts...)
			require.Equal(t, flush.CommitApplied, CommitOffset(t.Context(), m.control, m.request).Kind)
			_, err := kadm.NewClient(m.control).DeleteTopics(t.Context(), "events")
			require.NoError(t, err)
			in := CommitOffset(t.Context(), m.control, m.request)
			require.Equal(t, flush.CommitOver, in.Kind)
			require.ErrorIs(t, in.Err, kerr.UnknownTopicID)

			require.NoError(t, EnsureTopics(t.Context(), m.control, []TopicSpec{layout.Events("events")}))
			n := m.sent()
			in = CommitOffset(t.Context(), m.control, m.request)
			require.Equal(t, flush.CommitOver, in.Kind)
			require.ErrorIs(t, in.Err, kerr.UnknownTopicID)
			require.Equal(t, name == "by id", n.Load() == 1, "what is stored under a name is not sent")
			m.topic, _, err = Describe(t.Context(), m.control, "events")
			require.NoError(t, err)
			require.Empty(t, m.committed(t))
		})
	}
}

// What the topic is cannot be found out: nothing was sent.
func TestCommitByNameWithoutMetadata(t *testing.T) {
	m := newMember(t, kfake.MaxVersions(kversion.V3_9_0()))
	n := m.sent()
	m.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "events", Err: kerr.LeaderNotAvailable, Count: -1})
	require.Equal(t, flush.CommitUncertain, CommitOffset(t.Context(), m.control, m.request).Kind)
	require.Zero(t, n.Load())
}

func TestCommitThatIsNotAnswered(t *testing.T) {
	m := newMember(t)
	m.request.Timeout = 300 * time.Millisecond
	n := m.sent()
	m.kafka.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, nil, true
	})
	in := CommitOffset(t.Context(), m.control, m.request)
	require.Equal(t, flush.CommitUnanswered, in.Kind)
	require.ErrorIs(t, in.Err, context.DeadlineExceeded)
	require.Equal(t, int32(1), n.Load())
}

func TestCommitWhoseConnectionDies(t *testing.T) {
	m := newMember(t)
	n := m.sent()
	m.kafka.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("hang up"), true
	})
	require.Equal(t, flush.CommitUnanswered, CommitOffset(t.Context(), m.control, m.request).Kind)
	require.Equal(t, int32(1), n.Load(), "the client must not send it again by itself")
}

// What fails before the commit is sent proves that it was not applied.
func TestCommitThatWasNeverSent(t *testing.T) {
	m := newMember(t)
	m.request.Timeout = 500 * time.Millisecond
	n := m.sent()
	f := m.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable, Count: -1})
	require.Equal(t, flush.CommitUncertain, CommitOffset(t.Context(), m.control, m.request).Kind)
	f.Remove()
	m.kafka.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
		m.kafka.KeepControl()
		return nil, errors.New("hang up"), true
	})
	require.Equal(t, flush.CommitUncertain, CommitOffset(t.Context(), m.control, m.request).Kind)
	m.kafka.Close()
	require.Equal(t, flush.CommitUncertain, CommitOffset(t.Context(), m.control, m.request).Kind)
	require.Zero(t, n.Load())
}

func TestCommitRefusesMetadataThatDoesNotSurvive(t *testing.T) {
	m := newMember(t)
	n := m.sent()
	for _, md := range []string{"ä", "a\nb", strings.Repeat("x", MaxMetadata+1)} {
		m.request.Metadata = md
		in := CommitOffset(t.Context(), m.control, m.request)
		require.Equal(t, flush.CommitUnanswered, in.Kind)
		require.Error(t, in.Err)
	}
	require.Zero(t, n.Load())
	m.request.Metadata = strings.Repeat("x", MaxMetadata)
	require.Equal(t, flush.CommitApplied, CommitOffset(t.Context(), m.control, m.request).Kind)
}
