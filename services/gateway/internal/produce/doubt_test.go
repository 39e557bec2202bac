package produce

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// appends makes the broker append what it is sent and say that it does not know.
func (s *stage) appends() func() {
	return s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: -1}).Remove
}

// A broker appended a record, its answer was lost, and it refuses for a long time what the client sends again: however
// long, the record stands in Kafka once.
func TestALostAnswer(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition} {
		t.Run(refusal.Message, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				require.NoError(t, s.deliver("a", "first"))
				s.lose.Store(true)
				var first kmsg.Request
				back := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: refusal, Count: -1, When: func(r kmsg.Request) bool {
					if first == nil {
						first = r
					}
					return r != first
				}}).Remove
				require.NoError(t, s.deliver("a", "second"))
				require.False(t, s.lose.Load())
				require.EqualValues(t, 2, stored(s.cluster))
				require.NoError(t, s.deliver("a", "third"))
				time.Sleep(time.Minute)
				back()
				time.Sleep(time.Minute)
				require.Equal(t, []string{"first", "second", "third"}, s.values("a"))
				require.False(t, s.log.Holds())
			})
		})
	}
}

// A gateway stops while Kafka has a record that it did not acknowledge: the next one finds it.
func TestAStopInDoubt(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		require.NoError(t, s.deliver("a", "first"))
		back := s.appends()
		require.NoError(t, s.deliver("a", "second"))
		require.EqualValues(t, 2, stored(s.cluster))
		s.end()
		s.start(s.dir)
		back()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"first", "second"}, s.values("a"))
		require.False(t, s.log.Holds())
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(t, []Look{{Requests: 1, Found: 1}}, s.looked)
	})
}

// The client gives up what it has of a topic that was made anew, and Kafka may have that: the topic tells.
func TestForgetInDoubt(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		require.NoError(t, s.deliver("a", "first"))
		back := s.appends()
		require.NoError(t, s.deliver("a", "second"))
		require.NoError(t, s.deliver("a", "third"))
		s.p.Forget("events")
		time.Sleep(time.Second)
		back()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"first", "second", "third"}, s.values("a"))
		require.False(t, s.log.Holds())
	})
}

// However long the topics cannot be read, they are read in the end.
func TestLookUntilItSucceeds(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		require.NoError(t, s.deliver("a", "first"))
		back := s.appends()
		require.NoError(t, s.deliver("a", "second"))
		readable := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError, Count: -1}).Remove
		s.end()
		back()
		s.start(s.dir)
		time.Sleep(10 * time.Minute)
		require.EqualValues(t, 2, stored(s.cluster))
		readable()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"first", "second"}, s.values("a"))
		require.False(t, s.log.Holds())
	})
}
