package produce

import (
	"cmp"
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

// sendOrSpill keeps the order of each source: while the spill holds something of it, what is newer goes there too; and
// what Order says of a stream.
func (p *Producer) sendOrSpill(f *Flight) {
	p.awaitTurn(f)
	o := f.order()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flights = append(o.flights, f)
	if f.aside || p.mustSpill(f) || o.holdsBack(f, time.Now().Add(-p.patience())) {
		_ = p.place(f) // what has no place now is Wait's to tell
		return
	}
	p.hand(f)
}

// waitOrSpill gives Kafka its part of the deadline and the disk the rest. Who waits for a message of a stream may come
// late, because he told the client of earlier ones: the disk has its part then, too.
func (p *Producer) waitOrSpill(f *Flight) (spilled bool, err error) {
	due := f.sent.Add(p.opts.Deadline)
	if disk := time.Now().Add(p.opts.Deadline - p.patience()); disk.After(due) {
		due = disk
	}
	handed := !f.handed.IsZero()
	if handed && !f.hasPlace() {
		if final, err := p.hear(f, f.handed.Add(p.patience())); final {
			return false, err
		}
	}
	spillErr := p.spill(f, due)
	switch {
	case spillErr == nil:
		return true, nil
	case !handed:
		return true, spillErr
	}
	final, err := p.hear(f, due)
	if final || f.pending.Load() > 0 || f.hasPlace() || p.spill(f, due) != nil {
		return false, err
	}
	return true, nil
}

// hear waits for what Kafka's client says; final is the word that keeps a request from the spill.
func (p *Producer) hear(f *Flight, due time.Time) (final bool, err error) {
	err = f.outcome(due)
	if err == nil || f.heard && refused(err) {
		return true, err
	}
	p.lose(f.sent, err)
	return false, err
}

// spill sees to it that the flight has its place in the spill, and waits for the disk.
func (p *Producer) spill(f *Flight, due time.Time) error {
	p.hearLater(f, due)
	o := f.order()
	o.mu.Lock()
	err := p.place(f)
	placed := f.placed
	o.mu.Unlock()
	if !placed {
		return cmp.Or(err, errInKafka)
	}
	f.timer.Reset(time.Until(due))
	if err := p.opts.Spill.Wait(f.ticket, f.timer.C); err != nil {
		return spillError(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f.Return(f.copied)
	f.copied = 0
	if o.overtaken(f) {
		return errOvertaken
	}
	return nil
}

// awaitTurn waits where all that is held of the source is on its way to Kafka: then the flight can follow directly.
func (p *Producer) awaitTurn(f *Flight) {
	_, turn := p.opts.Spill.Held(f.key())
	if turn == nil {
		return
	}
	f.timer.Reset(time.Until(f.sent.Add(p.patience())))
	defer f.timer.Stop()
	select {
	case <-turn:
	case <-f.timer.C:
	}
}

// mustSpill says whether the flight may not go to Kafka directly.
func (p *Producer) mustSpill(f *Flight) bool {
	if held, _ := p.opts.Spill.Held(f.key()); held || !p.away.Load() && !f.crowded() {
		return held
	}
	// While it holds something, giving that back finds out when Kafka is back; nobody has to ask in vain.
	err := p.opts.Spill.Able()
	return err == nil || errors.Is(err, spill.ErrFull) && p.opts.Spill.Holds()
}

// crowded says whether Kafka's client has as much as it may: it keeps what Kafka does not acknowledge for as long as Kafka
// is away, and the rest of the budget is that of requests that go to the disk.
func (f *Flight) crowded() bool {
	lent := f.hangar.lent.Load()
	return lent > 0 && lent+f.charged > f.hangar.Budget.Limit()/4
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

// putOpen queues a flight that Kafka's client has, all of it. Its outcome, when it comes, decides whether it is written
// again.
func (p *Producer) putOpen(f *Flight) error {
	if err := p.put(f, true, everyRecord); err != nil {
		return err
	}
	f.told = p.resolve
	if f.stage.Or(ticketed)&landed != 0 {
		p.resolve(f)
	}
	return nil
}

func everyRecord(int) bool { return true }

// resolve tells the spill what became of a flight that stands in it, or that nobody knows: the topics will tell. It runs in the
// goroutine of the promises, or in the request's where they were first.
func (p *Producer) resolve(f *Flight) {
	if f.doubt.Load() {
		p.opts.Spill.Doubt(f.ticket)
		return
	}
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
func (p *Producer) put(f *Flight, open bool, keep func(int) bool) error {
	n, size := 0, 64+len(f.key())
	for i := range f.records {
		if keep(i) {
			n++
			size += f.sizeOf(i)
		}
	}
	b, ok := f.take(size)
	if !ok {
		return ErrFull
	}
	frame := f.encode(b.bytes[:0], segment.Request{At: f.sent.UnixMilli(), Open: open, Key: f.key(), Records: n}, keep)
	t, err := p.opts.Spill.Put(frame, f.key(), n, open)
	size = cap(b.bytes)
	f.hangar.buffers.put(b)
	if err != nil {
		f.Return(int64(size))
		return spillError(err)
	}
	f.copied = int64(size) // the spill has a copy until its commit
	f.ticket, f.placed = t, true
	f.exit() // what is newer goes to the spill too, behind it
	return nil
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
