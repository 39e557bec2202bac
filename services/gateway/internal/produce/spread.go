package produce

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"weir/pkg/event"
	"weir/services/gateway/internal/fanout"
)

// Spread is over how many partitions the events of one source go, from a switch of its fan-out until the next. A flight
// goes by the one that was in force when it entered, and holds it until its records are acknowledged or in the spill. No
// flight goes by a spread while one goes by that before it: so an event of a later epoch is handed to Kafka's client only
// once there is none of an earlier epoch in it.
type Spread struct {
	fanout int
	lanes  [][]byte // values of the header, by lane; nil = the source never was hot, and no record says anything

	inside atomic.Int64           // flights that go by it; while it is closed also its own
	next   atomic.Pointer[Spread] // nil = it is in force
	opened chan struct{}          // closed once nothing goes by what was before; nil = nothing ever did
	passed atomic.Bool            // opened is closed
}

func newSpread(size int, epoch int64) *Spread {
	s := &Spread{fanout: size, opened: make(chan struct{})}
	s.inside.Store(1)
	if epoch == 0 {
		return s
	}
	for lane := range size {
		s.lanes = append(s.lanes, event.Lane{Lane: lane, Fanout: size, Epoch: epoch}.Append(nil))
	}
	return s
}

// enter counts a flight in; false means that the spread is not in force any more.
func (s *Spread) enter() bool {
	s.inside.Add(1)
	if s.next.Load() == nil { // whoever puts another in its place sees the flight
		return true
	}
	s.leave()
	return false
}

// leave counts a flight out; the last one opens what comes after. It must not block.
func (s *Spread) leave() {
	if s.inside.Add(-1) == 0 {
		s.pass()
	}
}

// pass opens what comes after, where nothing goes by this one any more.
func (s *Spread) pass() {
	if next := s.next.Load(); next != nil && s.inside.Load() == 0 {
		next.open()
	}
}

// open lets flights go by the spread. It may be called more than once.
func (s *Spread) open() {
	if s.passed.CompareAndSwap(false, true) {
		close(s.opened)
		s.leave()
	}
}

// Switch changes the fan-out of a source; epoch 0 is that of one which never was hot. One goroutine calls it.
func (s *Share) Switch(size int, epoch int64) {
	old, next := s.spread.Load(), newSpread(size, epoch)
	s.spread.Store(next)
	old.next.Store(next)
	old.pass()
}

// Fanout is over how many partitions the flight's events go. It holds once the flight has entered.
func (f *Flight) Fanout() int {
	if s := f.spread.Load(); s != nil {
		return s.fanout
	}
	return 1
}

// Enter lets the flight go by the fan-out that its source has now; AddEvent follows it. Where the source has just been
// switched it waits for the flights before. Where these are neither acknowledged nor spilled in time it goes to the spill
// itself, or without one fails with ErrLate. The deadline of the answer counts from here.
func (p *Producer) Enter(f *Flight) error {
	f.sent = time.Now()
	s := f.share.spread.Load()
	for !s.enter() {
		s = f.share.spread.Load()
	}
	f.spread.Store(s)
	if s.opened == nil {
		return nil
	}
	select {
	case <-s.opened:
		return nil
	default:
	}
	return p.awaitSwitch(f, s)
}

// awaitSwitch waits until the flights of the epoch before are gone.
func (p *Producer) awaitSwitch(f *Flight, s *Spread) error {
	patience := p.opts.Deadline
	if p.opts.Spill != nil {
		patience /= 2 // by then what Kafka does not take has its place in the spill, but for that of a stream whose client is slow
	}
	f.timer.Reset(patience)
	defer f.timer.Stop()
	select {
	case <-s.opened:
		return nil
	case <-f.timer.C:
	}
	if p.opts.Spill != nil {
		f.aside = true
		return nil
	}
	f.exit()
	return fmt.Errorf("%w of what was sent before the fan-out of the source changed", ErrLate)
}

// exit lets the flight go by no fan-out any more.
func (f *Flight) exit() {
	if s := f.spread.Swap(nil); s != nil {
		s.leave()
	}
}

// AddEvent puts the record of an event into the flight, with the headers that all records share and, where its source has
// one, with its lane; Room was made for it. user is a hash of whose event it is.
func (f *Flight) AddEvent(topic string, key, value []byte, at time.Time, user uint64) {
	f.size += int64(len(value))
	f.Add(topic, key, value, at, f.headersOf(user))
}

// headersOf are the headers of a record in the user's lane. Those of a lane are made once a flight, so that the records of
// a lane share them.
func (f *Flight) headersOf(user uint64) []Header {
	s := f.spread.Load()
	if s == nil || s.lanes == nil {
		return f.Headers
	}
	lane, n := fanout.Lane(user, s.fanout), len(f.Headers)+1
	if len(f.lanes) == 0 {
		f.lanes = slices.Grow(f.lanes, s.fanout)[:s.fanout]
		clear(f.lanes)
		f.laneHeaders = slices.Grow(f.laneHeaders, n*min(s.fanout, cap(f.records)))
	}
	if f.lanes[lane] == 0 {
		f.laneHeaders = append(append(f.laneHeaders, f.Headers...), Header{Key: event.HeaderFanout, Value: s.lanes[lane]})
		f.lanes[lane] = int32(len(f.laneHeaders))
	}
	to := int(f.lanes[lane])
	return f.laneHeaders[to-n : to : to]
}

// Measure tells how many bytes of events of each source Kafka has acknowledged since it was called last. One goroutine
// calls it. What the spill gives back does not count.
func (b *Budget) Measure(tell func(source string, bytes int64)) {
	b.shares.Range(func(source, share any) bool {
		s := share.(*Share)
		given := s.given.Load()
		if given > s.told {
			tell(source.(string), given-s.told)
		}
		s.told = given
		return true
	})
}
