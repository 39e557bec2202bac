package produce

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/event"
)

// entered is a flight of source a with one event of a user, that has entered.
func entered(t *testing.T, h *Hangar, p *Producer, user uint64, value string) (*Flight, error) {
	t.Helper()
	f, ok := h.Begin("a", 1)
	require.True(t, ok)
	if err := p.Enter(f); err != nil {
		f.Release()
		return nil, err
	}
	require.True(t, f.Room(1))
	f.Headers = append(f.Headers, Header{Key: "weir-request-id", Value: []byte(value)})
	f.AddEvent("events", []byte("a"), []byte(value), time.Now(), user)
	return f, nil
}

// hold makes the broker wait with every answer to a produce request until it is let go.
func hold(c *kfake.Cluster) (letGo func()) {
	gone := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-gone })
		return nil, nil, false
	})
	return func() { close(gone) }
}

// Nothing of an epoch is handed to Kafka's client while it has something of the one before, however many follow each other.
func TestASwitchWaits(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer) {
		letGo := hold(c)
		old, err := entered(t, h, p, 0, "old")
		require.NoError(t, err)
		p.Send(old)
		share := h.Budget.Of("a")
		var order []string
		var mu sync.Mutex
		var all sync.WaitGroup
		for epoch := range 3 {
			share.Switch(2<<epoch, int64(epoch+1))
			all.Go(func() {
				f, err := entered(t, h, p, 5, fmt.Sprint(epoch+1))
				require.NoError(t, err)
				defer f.Release()
				mu.Lock()
				order = append(order, string(f.records[0].Headers[1].Value))
				mu.Unlock()
				time.Sleep(time.Millisecond)
				require.NoError(t, p.Deliver(f))
			})
			synctest.Wait()
		}
		require.Empty(t, order, "the first is not acknowledged")
		letGo()
		require.NoError(t, p.Wait(old))
		old.Release()
		all.Wait()
		require.Equal(t, []string{"1/2/1", "1/4/2", "5/8/3"}, order)
		synctest.Wait()
		require.Zero(t, h.Budget.Used())
	})
}

// Who waits for longer than Kafka may take is refused as late, and holds up nobody.
func TestASwitchThatIsHeldUp(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer) {
		letGo := hold(c)
		old, err := entered(t, h, p, 0, "old")
		require.NoError(t, err)
		p.Send(old)
		h.Budget.Of("a").Switch(2, 1)
		start := time.Now()
		_, err = entered(t, h, p, 0, "held up")
		require.ErrorIs(t, err, ErrLate)
		require.Equal(t, p.opts.Deadline, time.Since(start))
		h.Budget.Of("a").Switch(4, 2)
		require.ErrorIs(t, p.Wait(old), ErrLate)
		letGo()
		old.Release()
		synctest.Wait()
		f, err := entered(t, h, p, 2, "after")
		require.NoError(t, err)
		require.Equal(t, 4, f.Fanout())
		require.NoError(t, p.Deliver(f))
		f.Release()
		given := map[string]int64{}
		h.Budget.Measure(func(source string, n int64) { given[source] += n })
		require.Equal(t, map[string]int64{"a": 8}, given, "what Kafka has, late or not")
		h.Budget.Measure(func(string, int64) { require.Fail(t, "it was told") })
	})
}

// A flight that is neither sent nor spilled lets the next epoch begin when it ends.
func TestAFlightThatIsGivenUp(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, _ *kfake.Cluster, h *Hangar, p *Producer) {
		old, err := entered(t, h, p, 0, "old")
		require.NoError(t, err)
		h.Budget.Of("a").Switch(2, 1)
		time.AfterFunc(time.Second, old.Release)
		start := time.Now()
		f, err := entered(t, h, p, 0, "next")
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(start))
		f.Release()
	})
}

// With a spill a flight that Kafka does not take gives way once it has its place there. What follows it goes behind it, as
// it was going to be, and Kafka gets it only once it has what is before it: also where the partition of the later one takes
// records while that of the earlier one does not.
func TestASwitchOverTheSpill(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		base := baseOf("a")
		beside := "b" // a source of the same partition
		for baseOf(beside) != base {
			beside += "b"
		}
		refuse := func(partition int32) func() {
			return s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "events", Partitions: []int32{partition}, Err: kerr.NotEnoughReplicas, Count: -1}).Remove
		}
		send := func(value string) {
			start := time.Now()
			f, err := entered(t, s.h, s.p, 1, value)
			require.NoError(t, err)
			require.NoError(t, s.p.Deliver(f))
			require.LessOrEqual(t, time.Since(start), s.p.patience(), "a place in the spill is enough")
			f.Release()
		}
		takesBase, takesLane := refuse(base), refuse(1-base)
		var all sync.WaitGroup
		all.Go(func() { send("0") })
		synctest.Wait()
		s.h.Budget.Of("a").Switch(2, 1)
		send("1")
		all.Wait()
		s.h.Budget.Of("a").Switch(1, 2)
		send("2")
		takesBase()
		time.Sleep(time.Minute)
		for range 100 { // Kafka is not away
			require.NoError(t, s.deliver(beside, "busy"))
			time.Sleep(300 * time.Millisecond)
		}
		require.Equal(t, []string{"0"}, s.values("a"), "its partition would take the last one")
		takesLane()
		time.Sleep(time.Minute)
		require.Equal(t, map[string]string{"0": "0 ", "1": "1 1/2/1", "2": "0 0/1/2"}, s.lanes(base))
		require.False(t, s.log.Holds())
	})
}

// baseOf is the partition of a key, of two.
func baseOf(key string) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(key)}, 2))
}

// lanes are how far from its base each record of source a stands, and what it says of its lane.
func (s *stage) lanes(base int32) map[string]string {
	at := map[string]string{}
	for _, r := range s.read("events") {
		if string(r.Key) != "a" {
			continue
		}
		lane := ""
		for _, h := range r.Headers {
			if h.Key == event.HeaderFanout {
				lane = string(h.Value)
			}
		}
		at[string(r.Value)] = fmt.Sprint((r.Partition+2-base)%2, " ", lane)
	}
	return at
}

// Who has looked up a spread just before a switch that saw nobody looks again.
func TestASwitchBetweenALookAndAnEntry(t *testing.T) {
	share := NewHangar(1 << 20).Budget.Of("a")
	old := share.spread.Load()
	share.Switch(2, 1)
	require.False(t, old.enter())
	require.True(t, share.spread.Load().enter())
	require.Zero(t, old.inside.Load())
}

// Whoever switches, enters and leaves at once: no flight goes by an epoch while one goes by an earlier one, and nobody
// waits in vain.
func TestSwitchesAreSafe(t *testing.T) {
	const flights, switches = 8, 3000
	h := NewHangar(1 << 30)
	p := New(nil, Options{Deadline: time.Minute})
	share := h.Budget.Of("a")
	var inside [switches + 1]atomic.Int32
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range flights {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, ok := h.Begin("a", 1)
				require.True(t, ok)
				require.NoError(t, p.Enter(f))
				epoch := epochIn(f)
				inside[epoch].Add(1)
				runtime.Gosched()
				for earlier := max(0, epoch-8); earlier < epoch; earlier++ {
					require.Zero(t, inside[earlier].Load())
				}
				inside[epoch].Add(-1)
				f.Release()
			}
		})
	}
	for epoch := range switches {
		share.Switch(1<<(epoch%4), int64(epoch+1))
		if epoch%3 > 0 { // and else two at once
			f, _ := h.Begin("a", 1)
			require.NoError(t, p.Enter(f))
			f.Release()
		}
	}
	close(stop)
	all.Wait()
	f, _ := h.Begin("a", 1)
	require.NoError(t, p.Enter(f))
	require.Equal(t, switches, epochIn(f))
	f.Release()
}

func epochIn(f *Flight) int {
	s := f.spread.Load()
	if s.lanes == nil {
		return 0
	}
	l, _ := event.ParseLane(s.lanes[0])
	return int(l.Epoch)
}

// The headers of a lane are made once a flight and say what they say of every record of it; those of a source that never
// was hot are the flight's own.
func TestHeadersOfLanes(t *testing.T) {
	h := NewHangar(1 << 30)
	p := New(nil, Options{Deadline: time.Minute})
	for _, size := range []int{0, 1, 2, 64, event.MaxFanout} {
		if size > 0 {
			h.Budget.Of("a").Switch(size, 7)
		}
		f, _ := h.Begin("a", 1)
		require.NoError(t, p.Enter(f))
		require.True(t, f.Room(1000))
		f.Headers = append(f.Headers, Header{Key: "a", Value: []byte("1")}, Header{Key: "b", Value: []byte("2")})
		for user := range 1000 {
			f.AddEvent("events", []byte("a"), []byte("v"), time.Now(), uint64(user)*0x9e3779b97f4a7c15)
		}
		first := map[string]*Header{}
		for user, r := range f.records {
			if size == 0 {
				require.Same(t, &f.Headers[0], &r.Headers[0])
				continue
			}
			lane := int(uint64(user)*0x9e3779b97f4a7c15) & (size - 1)
			want := fmt.Sprintf("%d/%d/7", lane, size)
			require.Len(t, r.Headers, 3)
			require.Equal(t, f.Headers, r.Headers[:2])
			require.Equal(t, Header{Key: event.HeaderFanout, Value: []byte(want)}, r.Headers[2])
			if first[want] == nil {
				first[want] = &r.Headers[0]
			}
			require.Same(t, first[want], &r.Headers[0])
		}
		f.Release()
	}
}

// A hot source costs no allocation for an event, nor for a flight that is used again.
func TestLanesAllocateNothing(t *testing.T) {
	h := NewHangar(1 << 30)
	p := New(nil, Options{Deadline: time.Minute})
	h.Budget.Of("a").Switch(64, 7)
	f, _ := h.Begin("a", 1)
	key, value := []byte("a"), []byte("v")
	fill := func() {
		require.NoError(t, p.Enter(f))
		f.Headers = append(f.Headers[:0], Header{Key: "a", Value: value})
		for user := range uint64(100) {
			f.AddEvent("events", key, value, time.Time{}, user)
		}
		f.exit()
		f.records, f.lanes, f.laneHeaders = f.records[:0], f.lanes[:0], f.laneHeaders[:0]
	}
	require.True(t, f.Room(100))
	fill()
	require.Zero(t, testing.AllocsPerRun(100, fill))
	f.Release()
}

// BenchmarkEnter is what the fan-out of its source costs a request of 20 events: of one that never was hot, and of a hot one.
func BenchmarkEnter(b *testing.B) {
	h := NewHangar(1 << 30)
	p := New(nil, Options{Deadline: time.Minute})
	key, value := []byte("a"), make([]byte, 1000)
	for _, size := range []int{0, 8, 64} {
		if size > 0 {
			h.Budget.Of("a").Switch(size, 7)
		}
		f, _ := h.Begin("a", 1)
		f.Room(20)
		f.Headers = append(f.Headers, Header{Key: event.HeaderReceivedAt, Value: value}, Header{Key: event.HeaderRequestID, Value: value})
		b.Run(fmt.Sprint("fanout=", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Enter(f)
				for user := range uint64(20) {
					f.AddEvent("events", key, value, time.Time{}, user*0x9e3779b97f4a7c15)
				}
				f.exit()
				f.records, f.lanes, f.laneHeaders = f.records[:0], f.lanes[:0], f.laneHeaders[:0]
			}
		})
		f.Release()
	}
}
