package produce

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

// patience is how much of the deadline Kafka has before a request goes to the spill; the
// rest is the disk's.
func (p *Producer) patience() time.Duration { return p.opts.Deadline * 2 / 5 }

// PresumeAway sends new requests to the spill until Kafka has taken something.
func (p *Producer) PresumeAway() { p.away.Store(true) }

// deliverOrSpill keeps the order of each source: while the spill holds something of it,
// what is newer goes there too.
func (p *Producer) deliverOrSpill(f *Flight, start time.Time) (spilled bool, err error) {
	if p.mustSpill(f) {
		return true, p.spillAll(f, start)
	}
	p.hand(f)
	err = p.outcome(f, p.patience())
	if f.pending.Load() > 0 {
		p.lose(start, err)
		if spillErr := p.spillOpen(f, start); spillErr == nil {
			return true, nil
		}
		err = p.outcome(f, max(p.opts.Deadline-time.Since(start), 0))
	}
	failure := f.failure.Load()
	switch {
	case f.pending.Load() > 0:
		return false, err
	case failure == nil:
		return false, nil
	case refused(*failure):
		return false, domainError(*failure)
	}
	err = domainError(*failure)
	p.lose(start, err)
	if spillErr := p.spillMissing(f, start); spillErr != nil {
		return false, err
	}
	return true, nil
}

// mustSpill says whether the flight may not go to Kafka directly.
func (p *Producer) mustSpill(f *Flight) bool {
	key := f.records[0].Key
	held, turn := p.opts.Spill.Held(key)
	if turn != nil {
		f.timer.Reset(p.patience())
		select {
		case <-turn:
		case <-f.timer.C:
		}
		held, _ = p.opts.Spill.Held(key)
	}
	if held || !p.away.Load() {
		return held
	}
	// While it holds something, giving that back finds out when Kafka is back; nobody has to ask in vain.
	err := p.opts.Spill.Able()
	return err == nil || errors.Is(err, spill.ErrFull) && p.opts.Spill.Holds()
}

// lose notes a request that Kafka did not take; Kafka is away if it took nothing since.
func (p *Producer) lose(start time.Time, err error) {
	p.note(err)
	if p.lastGood.Load() <= start.UnixNano() {
		p.away.Store(true)
	}
}

// refused says whether Kafka refuses the record itself: it would do so again.
func refused(err error) bool {
	for _, e := range []*kerr.Error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp,
		kerr.UnsupportedForMessageFormat, kerr.PolicyViolation,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// spillAll spills a flight of which Kafka's client has nothing.
func (p *Producer) spillAll(f *Flight, start time.Time) error {
	t, err := p.put(f, start, false, func(int) bool { return true })
	if err == nil {
		err = p.commit(f, t, start)
	}
	return err
}

// spillMissing spills the records that Kafka's client failed.
func (p *Producer) spillMissing(f *Flight, start time.Time) error {
	t, err := p.put(f, start, false, f.lacks)
	if err == nil {
		err = p.commit(f, t, start)
	}
	return err
}

// spillOpen spills a flight that Kafka's client has, all of it. Its outcome, when it
// comes, decides whether it is written again.
func (p *Producer) spillOpen(f *Flight, start time.Time) error {
	t, err := p.put(f, start, true, func(int) bool { return true })
	if err != nil {
		return err
	}
	f.ticket, f.told = t, p.resolve
	if f.stage.Or(ticketed)&landed != 0 {
		p.resolve(f)
	}
	return p.commit(f, t, start)
}

// resolve tells the spill what became of a flight that stands in it. It runs in the
// goroutine of the promises, or in the request's where they were first.
func (p *Producer) resolve(f *Flight) {
	var missing segment.Missing
	delivered := len(f.records)
	for i := range f.records {
		if f.lacks(i) {
			missing = missing.Add(i, len(f.records))
			delivered--
		}
	}
	p.opts.Spill.Resolve(f.ticket, missing)
	if delivered > 0 {
		p.note(nil)
		p.opts.Returned(Return{Records: delivered, Late: true})
	}
}

func (f *Flight) lacks(i int) bool { return f.records[i].Offset == undelivered }

// put queues the records that keep names.
func (p *Producer) put(f *Flight, start time.Time, open bool, keep func(int) bool) (spill.Ticket, error) {
	n, size := 0, 64+len(f.records[0].Key)
	for i := range f.records {
		if keep(i) {
			n++
			size += f.sizeOf(i)
		}
	}
	b, ok := f.take(size)
	if !ok {
		return spill.Ticket{}, ErrFull
	}
	frame := f.encode(b.bytes[:0], segment.Request{At: start.UnixMilli(), Open: open, Key: f.records[0].Key, Records: n}, keep)
	t, err := p.opts.Spill.Put(frame, f.records[0].Key, n, open)
	// The spill has a copy until its commit: what it is charged stays with the flight.
	f.hangar.buffers.put(b)
	return t, spillError(err)
}

// commit waits until the disk has the flight, as long as the deadline allows.
func (p *Producer) commit(f *Flight, t spill.Ticket, start time.Time) error {
	f.timer.Reset(max(p.opts.Deadline-time.Since(start), 0))
	return spillError(p.opts.Spill.Wait(t, f.timer.C))
}

func spillError(err error) error {
	switch {
	case errors.Is(err, spill.ErrFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, spill.ErrLate):
		return fmt.Errorf("%w: %w", ErrLate, err)
	}
	return err
}

// sizeOf is at least what record i takes in a frame.
func (f *Flight) sizeOf(i int) int {
	r := &f.records[i]
	n := 40 + len(r.Topic) + len(r.Value)
	for _, h := range r.Headers {
		n += 20 + len(h.Key) + len(h.Value)
	}
	return n
}

func (f *Flight) encode(dst []byte, head segment.Request, keep func(int) bool) []byte {
	dst = segment.BeginRequest(dst, head)
	var last []Header
	for i := range f.records {
		if !keep(i) {
			continue
		}
		r := &f.records[i]
		shared := last != nil && sameHeaders(last, r.Headers)
		dst = segment.AppendRecord(dst, r.Topic, r.Timestamp.UnixMilli(), r.Value, len(r.Headers), shared)
		if !shared {
			for _, h := range r.Headers {
				dst = segment.AppendHeader(dst, h.Key, h.Value)
			}
		}
		last = r.Headers
	}
	return segment.End(dst, 0)
}

// sameHeaders says whether two records share one list of headers.
func sameHeaders(a, b []Header) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
