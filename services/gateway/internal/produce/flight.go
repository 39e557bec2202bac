package produce

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/spill"
)

// recordOverhead is what one record costs beside its bytes, in this process: what
// intake notes of it, its struct, its headers and its place in the client's batch.
const recordOverhead = 1024

// Hangar makes flights under one byte budget.
type Hangar struct {
	Budget  *Budget
	buffers buffers
	flights sync.Pool
	lent    atomic.Int64 // bytes charged to flights that Kafka's client has
}

// NewHangar makes flights that hold at most limit bytes together.
func NewHangar(limit int64) *Hangar { return &Hangar{Budget: NewBudget(limit)} }

// Flight is one request on its way: its body, what intake made of it, and the
// records. Everything the records point to belongs to it, and is used again once
// both the request is answered and Kafka's client let go of every record.
type Flight struct {
	Body    []byte        // what was read; nil after DropBody
	Intake  intake.Intake // its results are what the records point to
	Scratch []byte        // header values; those who append see to it that it does not move
	Headers []Header      // those that all records share
	Order   *Order        // of the stream whose message it is; nil = it stands alone

	hangar  *Hangar
	share   *Share // of whoever it belongs to
	body    *buffer
	charged int64 // of the budget
	large   bool  // too large to be kept in a pool as it is

	records     []kgo.Record
	size        int64                  // of the events among them, in bytes
	spread      atomic.Pointer[Spread] // that the flight holds; nil = none
	lanes       []int32                // by lane: where its headers end in laneHeaders; 0 = none are made
	laneHeaders []Header

	sent    time.Time // when Enter began, or Send where nothing entered; zero = neither
	handed  time.Time // to Kafka's client; zero = it was not
	settled time.Time // when the last outcome was there; read after done
	heard   bool      // whoever waits has read the outcome

	refs    atomic.Int32 // the request, and every record in Kafka's client
	pending atomic.Int32 // records without an outcome
	failure atomic.Pointer[error]
	doubt   atomic.Bool   // Kafka may have a record that its client failed
	done    chan struct{} // one token when the last outcome is there
	timer   *time.Timer
	promise func(*kgo.Record, error)

	alone  Order         // of a flight that is no stream's
	copied int64         // of what is charged: the spill's copy, until its commit. Guarded by its order
	lent   int64         // of what is charged: what Kafka's client was given
	aside  bool          // it may not go to Kafka directly, but to the spill
	placed bool          // it has a place in the spill: ticket says which. Guarded by its order
	stage  atomic.Uint32 // which of ticketed and landed it is
	ticket spill.Ticket
	told   func(*Flight) // called once it is both, when the outcome of every record is there
}

// The stages of a flight whose records are both in Kafka's client and in the spill.
const (
	ticketed uint32 = 1 << iota
	landed
)

// undelivered marks, as the offset of a record, that Kafka's client failed it: it is not in
// Kafka, for certain, unless the flight is in doubt.
const undelivered = -2

// Begin admits a request of a source, "" where it is not known yet, whose body is expected
// to have n bytes (0 = unknown). False means that the budget does not allow it now.
func (h *Hangar) Begin(source string, n int) (*Flight, bool) {
	f, _ := h.flights.Get().(*Flight)
	if f == nil {
		f = h.newFlight()
	}
	f.share = h.Budget.Of(source)
	if !f.setBody(n) {
		h.flights.Put(f)
		return nil, false
	}
	f.refs.Store(1)
	return f, true
}

func (h *Hangar) newFlight() *Flight {
	f := &Flight{hangar: h, done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	f.timer.Stop()
	f.promise = func(r *kgo.Record, err error) {
		if err != nil {
			r.Offset = undelivered
			if inDoubt(err) {
				f.doubt.Store(true)
			}
			f.fail(fmt.Errorf("produce to topic %s: %w", r.Topic, err))
		}
		f.finish(1)
	}
	return f
}

// Belong charges what the flight holds to the source that it turned out to be of. False
// means that the source holds its share already.
func (f *Flight) Belong(source string) bool {
	to := f.hangar.Budget.Of(source)
	if to == f.share {
		return true
	}
	if !to.adopt(f.charged, f.share) {
		return false
	}
	f.share = to
	return true
}

func (f *Flight) fail(err error) {
	if f.failure.Load() == nil {
		f.failure.CompareAndSwap(nil, &err)
	}
}

// Fill reads the body: at most limit bytes, or ErrTooLarge; ErrFull when the budget
// does not allow what it has grown to.
func (f *Flight) Fill(r io.Reader, limit int) error {
	for {
		if full := cap(f.Body); len(f.Body) == full && !f.setBody(min(2*full, max(limit, full)+1)) {
			return ErrFull
		}
		n, err := r.Read(f.Body[len(f.Body):cap(f.Body)])
		f.Body = f.Body[:len(f.Body)+n]
		if len(f.Body) > limit {
			return ErrTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// setBody moves the body to a buffer of at least n bytes.
func (f *Flight) setBody(n int) bool {
	b, ok := f.take(n)
	if !ok {
		return false
	}
	body := append(b.bytes[:0], f.Body...)
	f.give(f.body)
	f.body, f.Body = b, body
	return true
}

// Replace puts in the body's place what write appends to a buffer of n bytes, from the body or from elsewhere.
func (f *Flight) Replace(n int, write func(into, body []byte) []byte) error {
	b, ok := f.take(n)
	if !ok {
		return ErrFull
	}
	body := write(b.bytes[:0:n], f.Body)
	f.DropBody()
	f.body, f.Body = b, body
	return nil
}

// Repack puts in the body's place what open makes of it, at most limit bytes as Fill does. What open returns is closed
// once it is read.
func (f *Flight) Repack(limit int, open func(body []byte) (io.Reader, func(), error)) error {
	r, done, err := open(f.Body)
	if err != nil {
		return err
	}
	old := f.body
	f.body, f.Body = nil, nil
	err = f.Fill(r, limit)
	done()
	f.give(old)
	return err
}

// DropBody gives the body back: nothing that intake made points into it.
func (f *Flight) DropBody() {
	f.large = f.large || len(f.Body) > keepBytes
	f.give(f.body)
	f.body, f.Body = nil, nil
}

// Reserve charges n bytes that the flight holds outside its buffers.
func (f *Flight) Reserve(n int64) bool {
	if !f.share.Take(n, f.charged) {
		return false
	}
	f.charged += n
	return true
}

// Return gives back n bytes that were reserved.
func (f *Flight) Return(n int64) {
	f.share.Give(n)
	f.charged -= n
}

func (f *Flight) take(n int) (*buffer, bool) {
	size := sizeOf(n)
	if !f.Reserve(int64(size)) {
		return nil, false
	}
	return f.hangar.buffers.get(size), true
}

func (f *Flight) give(b *buffer) {
	if b == nil {
		return
	}
	size := int64(cap(b.bytes))
	f.hangar.buffers.put(b)
	f.share.Give(size)
	f.charged -= size
}

// Header is one header of a record.
type Header = kgo.RecordHeader

// Room makes place for n records, so that adding them moves none.
func (f *Flight) Room(n int) bool {
	if !f.Reserve(int64(n) * recordOverhead) {
		return false
	}
	f.large = f.large || n > keepRecords
	if cap(f.records) < n {
		f.records = make([]kgo.Record, 0, n)
	}
	return true
}

// Add puts a record into the flight; Room was made for it. What it is given is
// borrowed as long as the flight.
func (f *Flight) Add(topic string, key, value []byte, at time.Time, headers []Header) {
	f.records = append(f.records, kgo.Record{Topic: topic, Key: key, Value: value, Timestamp: at, Headers: headers})
}

// takeOff counts every record in.
func (f *Flight) takeOff() {
	n := int32(len(f.records))
	f.lent = f.charged
	f.hangar.lent.Add(f.lent)
	f.refs.Add(n)
	f.pending.Store(n)
}

// outcome waits until Kafka's client has said what became of every record, at most until due. An outcome that is
// there counts, however late it is looked at, and however often.
func (f *Flight) outcome(due time.Time) error {
	f.timer.Reset(time.Until(due))
	defer f.timer.Stop()
	select {
	case <-f.done:
	case <-f.timer.C:
		select {
		case <-f.done:
		default:
			return ErrLate
		}
	}
	f.done <- struct{}{} // for who asks again
	f.heard = true
	if failure := f.failure.Load(); failure != nil {
		return domainError(*failure)
	}
	return nil
}

// took says how long the outcome took to come, or how long it was waited for.
func (f *Flight) took() time.Duration {
	switch {
	case len(f.records) == 0:
		return 0
	case f.heard:
		return f.settled.Sub(f.sent)
	}
	return time.Since(f.sent)
}

// key is that of every record: the source.
func (f *Flight) key() []byte { return f.records[0].Key }

// order is the stream's, or its own.
func (f *Flight) order() *Order {
	if f.Order != nil {
		return f.Order
	}
	return &f.alone
}

// finish notes the outcome of n records. It runs in the goroutine that serves every
// promise of the client: it must not block.
func (f *Flight) finish(n int) {
	if f.pending.Add(int32(-n)) == 0 {
		f.settled = time.Now()
		f.hangar.lent.Add(-f.lent)
		if f.failure.Load() == nil {
			f.share.given.Add(f.size)
		}
		f.exit()
		if f.stage.Or(landed)&ticketed != 0 {
			f.told(f)
		}
		f.done <- struct{}{} // has room: one token a flight
	}
	f.unref(n)
}

// Place is where Kafka has put a record, once the last outcome of the flight is there and all of them are durable.
func (f *Flight) Place(record int) (partition int32, offset int64, known bool) {
	if record >= len(f.records) || f.pending.Load() != 0 || f.failure.Load() != nil {
		return 0, 0, false
	}
	r := &f.records[record]
	return r.Partition, r.Offset, true
}

// Release is the request's end: it is answered and looks at the flight no more.
func (f *Flight) Release() {
	f.order().leave(f)
	if f.handed.IsZero() { // else until Kafka's client let go of it
		f.exit()
	}
	f.unref(1)
}

func (f *Flight) unref(n int) {
	if f.refs.Add(int32(-n)) == 0 {
		f.land()
	}
}

// What an idle flight keeps room for.
const (
	keepRecords = 1024
	keepBytes   = 256 << 10     // of its body
	keepIntake  = 8 * keepBytes // of what was made of it: inheritance and rules can make much of a small body
)

func (f *Flight) land() {
	f.DropBody()
	f.share.Give(f.charged)
	f.charged = 0
	clear(f.records)
	clear(f.Headers)
	clear(f.laneHeaders)
	f.records, f.Headers, f.Scratch = f.records[:0], f.Headers[:0], f.Scratch[:0]
	f.lanes, f.laneHeaders, f.size = f.lanes[:0], f.laneHeaders[:0], 0
	if f.large || f.Intake.Size() > keepIntake {
		f.Intake, f.records, f.laneHeaders, f.large = intake.Intake{}, nil, nil, false
	}
	f.failure.Store(nil)
	f.doubt.Store(false)
	f.stage.Store(0)
	f.ticket, f.told, f.aside, f.placed, f.copied = spill.Ticket{}, nil, false, false, 0
	f.Order, f.sent, f.handed, f.heard = nil, time.Time{}, time.Time{}, false
	select {
	case <-f.done: // the request did not wait for it
	default:
	}
	f.hangar.flights.Put(f)
}
