package produce

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
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

// A reading that is cut off goes on from where it came to: of records that are the same one is not found twice, which would
// lose the other.
func TestLookGoesOn(t *testing.T) {
	const request = "r"
	record := func(key, value string) kgo.Record {
		return kgo.Record{
			Topic: "events", Key: []byte(key), Value: []byte(value), Timestamp: time.Now().Add(-time.Minute).Truncate(time.Millisecond),
			Headers: []Header{{Key: "weir-request-id", Value: []byte(request)}},
		}
	}
	var readable func()
	before := func(t *testing.T, s *stage, dir string) {
		cl, err := s.client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
		require.NoError(t, err)
		defer cl.Close()
		partitionOf := func(r kgo.Record) int32 {
			require.NoError(t, cl.ProduceSync(t.Context(), &r).FirstErr())
			return r.Partition
		}
		at := partitionOf(record("a", "same"))
		other := "b"
		for partitionOf(record(other, "once")) == at {
			other += "b"
		}
		log, err := spill.Open(spill.Options{Dir: dir, Size: 1 << 30, Observe: func(spill.Commit) {}})
		require.NoError(t, err)
		for _, f := range []*Flight{{records: []kgo.Record{record("a", "same"), record("a", "same")}}, {records: []kgo.Record{record(other, "once")}}} {
			n := len(f.records)
			frame := f.encode(nil, segment.Request{At: 1, Open: true, Key: f.key(), Records: n}, everyRecord)
			ticket, err := log.Put(frame, f.key(), n, true)
			require.NoError(t, err)
			require.NoError(t, log.Wait(ticket, nil))
		}
		require.NoError(t, log.Close(t.Context()))
		readable = s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Partitions: []int32{1 - at}, Err: kerr.UnknownServerError, Count: -1}).Remove
	}
	onStageAfter(t, before, func(t *testing.T, s *stage) {
		time.Sleep(5 * time.Minute)
		require.True(t, s.log.Holds())
		readable()
		time.Sleep(time.Minute)
		require.False(t, s.log.Holds())
		require.Equal(t, []string{"same", "same"}, s.values("a"))
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(t, []Look{{Requests: 2, Found: 2}}, s.looked)
	})
}

// Kafka's client keeps what Kafka does not acknowledge for as long as that is away: a quarter of what the gateway may hold.
// The rest goes to the disk at once.
func TestTheClientHoldsAQuarter(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		require.NoError(t, s.deliver("first", "x"), "Kafka is there")
		back := s.appends()
		quarter := s.h.Budget.Limit() / 4
		var requests sync.WaitGroup
		for i := range 13 {
			requests.Go(func() {
				f, ok := s.h.Begin(fmt.Sprint("source", i), 6*300_000)
				require.True(t, ok)
				defer f.Release()
				require.True(t, f.Room(6))
				for range 6 {
					f.Add("events", fmt.Append(nil, "source", i), bytes.Repeat([]byte("x"), 300_000), time.Now(), nil)
				}
				require.NoError(t, s.p.Deliver(f))
			})
			synctest.Wait()
		}
		require.False(t, s.p.away.Load(), "nobody has waited yet")
		require.LessOrEqual(t, s.p.Buffered(), quarter)
		require.Greater(t, s.p.Buffered(), quarter/2)
		requests.Wait()
		back()
		time.Sleep(2 * time.Minute)
		require.False(t, s.log.Holds())
		require.EqualValues(t, 1+13*6, stored(s.cluster))
	})
}
