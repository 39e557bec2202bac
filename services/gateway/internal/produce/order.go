package produce

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"
)

// Order keeps the messages of one stream in order where there is a spill. One goroutine sends them and one waits for
// them, both in their order. Of the messages of one source:
//
//   - None gets its place in the spill before each earlier one is in Kafka or has its own: replay would bring it there
//     first. Whoever gives one a place gives it to those before it, also where Kafka's client has them still.
//   - None is handed to Kafka's client behind one that waits for a place, that the client has failed, or that it has had
//     for longer than Kafka may take. Behind one that has its place none is handed either, by the rule of the spill.
//   - One that the client failed gets no place where the client took a later one, which it would come to stand behind. It
//     is not acknowledged, and the stream ends with it. This can only be where the later one was handed before
//     the client told of the failure: it fails all that it holds of a partition together.
//
// The zero value is that of no messages.
type Order struct {
	mu      sync.Mutex
	flights []*Flight // sent and not released, oldest first
}

var (
	errInKafka   = errors.New("Kafka has it")
	errOvertaken = errors.New("a later message of the stream may be in Kafka")
)

// leave takes a flight out that is answered, or that nobody waits for.
func (o *Order) leave(f *Flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.flights, f); i >= 0 {
		o.flights = slices.Delete(o.flights, i, i+1)
	}
}

// hasPlace says whether the flight has a place in the spill.
func (f *Flight) hasPlace() bool {
	o := f.order()
	o.mu.Lock()
	defer o.mu.Unlock()
	return f.placed
}

// Spilled says whether the flight is durable in the spill.
func (f *Flight) Spilled() bool { return f.hasPlace() && f.ticket.Durable() }

// isLate says whether Kafka's client has had the flight since before then, and not said what became of it.
func (f *Flight) isLate(then time.Time) bool { return f.pending.Load() > 0 && f.handed.Before(then) }

// inKafka says whether every record is there.
func (f *Flight) inKafka() bool {
	return !f.handed.IsZero() && f.pending.Load() == 0 && f.failure.Load() == nil
}

// failed says whether Kafka's client has said of every record what became of it, and did not bring them all there.
func (f *Flight) failed() bool {
	return !f.handed.IsZero() && f.pending.Load() == 0 && f.failure.Load() != nil
}

func sameSource(a, b *Flight) bool { return bytes.Equal(a.key(), b.key()) }

// holdsBack says whether an earlier message keeps this one from Kafka's client. Called locked.
func (o *Order) holdsBack(f *Flight, then time.Time) bool {
	for _, e := range o.flights {
		switch {
		case e == f:
			return false
		case !sameSource(e, f) || e.inKafka():
		case e.handed.IsZero() && !e.placed, e.failure.Load() != nil, !e.placed && e.isLate(then):
			return true
		}
	}
	return false
}

// place gives every message of the flight's source that has neither place nor outcome its place in the spill, those
// behind it too: they will hardly fare better, and share its fsync. It ends with the first that gets none. Called locked.
func (p *Producer) place(f *Flight) error {
	o := f.order()
	for _, e := range o.flights {
		if !sameSource(e, f) || e.inKafka() {
			continue
		}
		if err := p.placeOne(o, e); err != nil {
			return err
		}
	}
	return nil
}

func (p *Producer) placeOne(o *Order, f *Flight) error {
	switch {
	case f.placed:
		return f.ticket.Refused()
	case f.handed.IsZero():
		return p.put(f, false, everyRecord)
	case f.pending.Load() > 0:
		return p.putOpen(f)
	}
	failure := f.failure.Load()
	switch {
	case failure == nil: // it came to be in Kafka just now
		return nil
	case refused(*failure):
		return *failure
	case o.overtaken(f):
		return errOvertaken
	case f.doubt.Load():
		return p.putOpen(f)
	}
	return p.put(f, false, f.lacks)
}

// overtaken says whether Kafka's client failed the flight, and has, or brought to Kafka, a later one of its source. Called locked.
func (o *Order) overtaken(f *Flight) bool {
	if !f.failed() {
		return false
	}
	for _, e := range o.behind(f) {
		if sameSource(e, f) && !e.handed.IsZero() && (e.pending.Load() > 0 || e.failure.Load() == nil) {
			return true
		}
	}
	return false
}

// behind are the messages after the flight. Called locked.
func (o *Order) behind(f *Flight) []*Flight {
	return o.flights[slices.Index(o.flights, f)+1:]
}

// hearLater waits, where Kafka's client failed the flight, for what it says of later ones that it has.
func (p *Producer) hearLater(f *Flight, due time.Time) {
	for f.failed() {
		later := f.order().unheard(f)
		if later == nil || errors.Is(later.outcome(due), ErrLate) && !later.heard {
			return
		}
	}
}

// unheard is the next message of the source behind the flight of which Kafka's client said nothing; nil = none.
func (o *Order) unheard(f *Flight) *Flight {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.behind(f) {
		if sameSource(e, f) && !e.handed.IsZero() && e.pending.Load() > 0 {
			return e
		}
	}
	return nil
}
