package produce

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// message makes a flight of one record of a stream.
func (s *stage) message(o *Order, key, value string) *Flight {
	s.t.Helper()
	f, ok := s.h.Begin(key, 1)
	require.True(s.t, ok)
	require.True(s.t, f.Room(1))
	f.Order = o
	f.Add("events", []byte(key), []byte(value), time.Now(), nil)
	return f
}

// stream sends numbered messages of one source, as a stream does: one goroutine sends, one waits for each in turn. It
// ends after n messages, or with the first that is not durable.
func (s *stage) stream(key string, n int, pause, slow time.Duration) (acknowledged []string, err error) {
	o, inside := new(Order), make(chan *Flight, 256)
	ended := make(chan struct{})
	go func() {
		defer close(inside)
		for i := range n {
			select {
			case <-ended:
				return
			default:
			}
			f := s.message(o, key, fmt.Sprint(i))
			s.p.Send(f)
			inside <- f
			time.Sleep(pause)
		}
	}()
	for f := range inside {
		if err == nil {
			if err = s.p.Wait(f); err == nil {
				acknowledged = append(acknowledged, string(f.records[0].Value))
			} else {
				close(ended)
			}
			time.Sleep(slow)
		}
		f.Release()
	}
	return acknowledged, err
}

// Kafka goes and comes back at any moment of a stream, which is answered quickly or slowly, beside requests of the same
// source: every message is acknowledged, and stands in Kafka once, in the order of the stream.
func TestOrderOfAStream(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 2500 * time.Millisecond, 4 * time.Second, 5 * time.Second, 6 * time.Second, 7500 * time.Millisecond, 30 * time.Second} {
		for name, slow := range map[string]time.Duration{"answers are taken": 0, "answers are taken slowly": 60 * time.Millisecond} {
			t.Run(fmt.Sprint(away, ", ", name), func(t *testing.T) {
				onStage(t, func(t *testing.T, s *stage) {
					const n = 1000
					stop := make(chan struct{})
					go func() {
						defer close(stop)
						for i := range 100 {
							require.NoError(t, s.deliver("a", fmt.Sprint("request ", i)))
							time.Sleep(700 * time.Millisecond)
						}
					}()
					go func() {
						for i := range 3 {
							time.Sleep(3*time.Second + time.Duration(i)*37*time.Millisecond)
							back := s.away()
							time.Sleep(away)
							back()
						}
					}()
					got, err := s.stream("a", n, 50*time.Millisecond, slow)
					require.NoError(t, err)
					require.Len(t, got, n)
					<-stop
					time.Sleep(2 * time.Minute)
					require.False(t, s.log.Holds())
					next := 0
					for _, v := range s.values("a") {
						if v == fmt.Sprint(next) {
							next++
						} else {
							require.Contains(t, v, "request ", "in the place of message %d", next)
						}
					}
					require.Equal(t, n, next)
				})
			})
		}
	}
}

// A message that has to be spilled takes its place behind those that Kafka's client has still.
func TestNoPlaceBeforeAnEarlierMessage(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		o := new(Order)
		first := s.message(o, "a", "first")
		s.p.Send(first)
		require.False(t, first.hasPlace(), "Kafka's client has it")
		s.p.PresumeAway()
		second := s.message(o, "a", "second")
		s.p.Send(second)
		other := s.message(o, "b", "of another source")
		s.p.Send(other)
		require.True(t, first.hasPlace())
		require.True(t, second.handed.IsZero())
		for _, f := range []*Flight{first, second, other} {
			require.NoError(t, s.p.Wait(f))
			require.True(t, f.Spilled())
			f.Release()
		}
		time.Sleep(6 * time.Second)
		back()
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"first", "second"}, s.values("a"))
		require.Equal(t, []string{"of another source"}, s.values("b"))
	})
}

// What the client failed is not spilled behind a later message that it took: it is not acknowledged.
func TestAFailedMessageThatWasOvertaken(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		o := new(Order)
		first, second := s.message(o, "a", "first"), s.message(o, "a", "second")
		s.p.Send(first)
		s.p.Send(second)
		synctest.Wait()
		time.Sleep(time.Second)
		require.True(t, second.inKafka())
		first.fail(kerr.NotEnoughReplicas) // the client never does this, but between a failure and its telling
		first.records[0].Offset = undelivered
		require.ErrorIs(t, s.p.Wait(first), kerr.NotEnoughReplicas)
		require.False(t, first.hasPlace())
		require.False(t, s.log.Holds())
		first.Release()
		require.NoError(t, s.p.Wait(second))
		second.Release()
	})
}

// Behind a message that Kafka refuses, or that finds no place, none is handed to Kafka's client.
func TestWhatHoldsAMessageBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: -1})
		o := new(Order)
		refused := s.message(o, "a", "refused")
		s.p.Send(refused)
		time.Sleep(time.Second)
		refuse.Remove()
		behind := s.message(o, "a", "behind it")
		s.p.Send(behind)
		other := s.message(o, "b", "of another source")
		s.p.Send(other)
		require.True(t, behind.handed.IsZero())
		require.False(t, behind.hasPlace())
		require.False(t, other.handed.IsZero())
		require.ErrorIs(t, s.p.Wait(refused), kerr.MessageTooLarge)
		for _, f := range []*Flight{refused, behind} { // the stream has ended
			f.Release()
		}
		require.NoError(t, s.p.Wait(other))
		other.Release()
		time.Sleep(10 * time.Second)
		require.Empty(t, s.values("a"))
	})
}

// What a spilled request holds is charged to its source until Kafka's client has let go of it.
func TestWhatIsSpilledIsCharged(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		share := s.h.Budget.Of("a")
		f := s.message(nil, "a", "value")
		held := share.held.Load()
		require.NoError(t, s.p.Deliver(f))
		require.True(t, f.Spilled())
		f.Release()
		require.Equal(t, held, share.held.Load(), "the client's record; the frame is on the disk")
		require.NoError(t, s.deliver("a", "spilled at once"))
		time.Sleep(time.Minute)
		require.Equal(t, held, share.held.Load(), "the client keeps it")
		back()
		time.Sleep(10 * time.Second)
		require.Zero(t, share.held.Load())
		require.Equal(t, []string{"value", "spilled at once"}, s.values("a"))
	})
}

// A message that was spilled, and that Kafka acknowledged after all, waits for no later one.
func TestASpilledMessageWaitsForNoLaterOne(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		o := new(Order)
		first := s.message(o, "a", "first")
		s.p.Send(first)
		s.p.PresumeAway()
		second := s.message(o, "a", "second")
		s.p.Send(second)
		time.Sleep(time.Second)
		back()
		time.Sleep(10 * time.Second)
		require.True(t, first.inKafka() && first.hasPlace())
		require.False(t, s.log.Holds())
		back = s.away()
		third := s.message(o, "a", "third")
		s.p.Send(third)
		require.False(t, third.handed.IsZero())
		start := time.Now()
		require.NoError(t, s.p.Wait(first))
		require.NoError(t, s.p.Wait(second))
		require.Zero(t, time.Since(start))
		back()
		require.NoError(t, s.p.Wait(third))
		for _, f := range []*Flight{first, second, third} {
			f.Release()
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"first", "second", "third"}, s.values("a"))
	})
}
