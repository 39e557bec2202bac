// Package ingest takes one request from bytes to durable events: whose it is, what
// it says, and that Kafka has it. It is what every transport calls, so that a rule
// about a request stands once. Its invariant: nil is returned only after every
// event of the request is durable or, with its reason, durably rejected. It does not
// decode a transport (httpapi), read JSON (intake) or talk to Kafka (produce).
// Owned by the gateway.
package ingest

import (
	"time"

	"weir/pkg/event"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

// Request is what a transport knows of a request beside its body.
type Request struct {
	Route       intake.Route
	Ends        []int32        // of the events, where Route is intake.List
	Source      *source.Source // whose key came in a header; nil = the body must name one
	QueryKey    string         // counts where neither header nor body names a key
	Origin      string         // of the page that a browser sends from; "" = no browser says one
	ClientIP    string         // "" = unknown
	ID          string         // of the request, for logs and record headers
	ReceivedAt  time.Time
	TraceParent string // "" unless the request's trace is sampled
}

// Outcome is what became of a request that reached intake, for metrics.
type Outcome struct {
	Source   string // "" = unknown
	Events   []intake.Event
	Rejected []intake.Rejection
	Repeated int // events that had a messageId twice in their batch
	At       time.Time
	Refusal  *Refusal // nil = accepted

	flight *produce.Flight // whose first records are the events, in their order
}

// Place is where an event stands in Kafka, where that is known. The flight must not have been released.
func (o *Outcome) Place(event int) (partition int32, offset int64, known bool) {
	if o.flight == nil {
		return 0, 0, false
	}
	return o.flight.Place(event)
}

// Options of an Ingester.
type Options struct {
	Lookup   func(key []byte) (*source.Source, bool)
	Producer *produce.Producer
	Limits   intake.Limits
	Topic    string
	Rejected string // the topic of rejected events
	Observe  func(Outcome)
}

// Ingester ingests requests.
type Ingester struct {
	opts   Options
	newID  func([]byte) []byte
	maxima maxima
	meters meters
}

// New makes an Ingester; SetMaxima must be called before the first request.
func New(o Options) *Ingester { return &Ingester{opts: o, newID: appendMessageID} }

// Authorize finds the source of a write key that may be used from pages of that origin.
func (g *Ingester) Authorize(key []byte, origin string) (*source.Source, error) {
	s, ok := g.opts.Lookup(key)
	switch {
	case !ok:
		return nil, &Refusal{Kind: Unauthorized, Code: "invalid_write_key", Message: "the write key is missing or unknown"}
	case !s.Enabled:
		return nil, &Refusal{Kind: Disabled, Code: "source_disabled", Message: "the source of this write key is disabled"}
	case !s.Allows(origin):
		return nil, &Refusal{Kind: Foreign, Code: "origin_not_allowed", Message: "the source of this write key takes no events from pages of this origin"}
	}
	return s, nil
}

// Admit refuses a source that has to wait, before the body of its request is read.
func (g *Ingester) Admit(s *source.Source) error {
	return limited(s, g.meters.wait(s, time.Now()))
}

// Ingest makes durable what the flight's body holds. Its error is a *Refusal. What
// was rejected event by event stands in the flight's Intake until its Release.
func (g *Ingester) Ingest(f *produce.Flight, r Request) error {
	s, err := g.Start(f, r)
	if err != nil {
		return err
	}
	return g.Finish(f, s)
}

// Started is a request whose records are handed to Kafka.
type Started struct {
	source *source.Source
	at     time.Time
	events int // of the request, and its bytes: what was taken of the source's limits
	bytes  int
}

// Start does what needs no waiting, but for what the spill gives back of its source just now, and for what is on its way
// where the source's fan-out has just changed: when it returns nil, the
// request's records are on their way, behind those of what the same goroutine started before, and either Finish or Abandon must follow. Its error is a *Refusal.
func (g *Ingester) Start(f *produce.Flight, r Request) (Started, error) {
	s, err := g.start(f, r)
	if err != nil {
		return Started{}, g.observe(f, s.source, r.ReceivedAt, err)
	}
	return s, nil
}

// Finish waits until the request is durable. Its error is a *Refusal, and then the request uses no limit up.
func (g *Ingester) Finish(f *produce.Flight, s Started) error {
	err := g.opts.Producer.Wait(f)
	if err != nil {
		g.meters.give(s)
	}
	return g.observe(f, s.source, s.at, err)
}

// Abandon notes that nobody waits for what was started: it may become durable, and nobody will be told. It uses no limit
// up where what was started before could not be stored, and it is not in the spill; a client that leaves by itself has
// sent what it has sent.
func (g *Ingester) Abandon(f *produce.Flight, s Started, failed bool) {
	if failed && !f.Spilled() {
		g.meters.give(s)
	}
	_ = g.observe(f, s.source, s.at, produce.ErrLate)
}

// observe reports the request's outcome, and gives its error the form that a transport reads.
func (g *Ingester) observe(f *produce.Flight, s *source.Source, at time.Time, err error) error {
	o := Outcome{At: at, Events: f.Intake.Events, Rejected: f.Intake.Rejected, Repeated: f.Intake.Duplicates, flight: f}
	if s != nil {
		o.Source = s.ID
	}
	if err != nil {
		o.Refusal = refusalOf(err)
		err = o.Refusal
	}
	g.opts.Observe(o)
	return err
}

// start tells the source also where it fails, as soon as it is known.
func (g *Ingester) start(f *produce.Flight, r Request) (Started, error) {
	started := Started{source: r.Source, at: r.ReceivedAt, bytes: len(f.Body)}
	// Values and originals are about as long as the body; what they are longer is
	// charged once it is known.
	expected := int64(len(f.Body))
	if !f.Reserve(expected) {
		return started, produce.ErrFull
	}
	err := f.Intake.Read(intake.Request{
		Body: f.Body, Route: r.Route, Ends: r.Ends, ClientIP: r.ClientIP, NewID: g.newID, Limits: g.opts.Limits,
		ReceivedAt: event.InstantOf(r.ReceivedAt),
	})
	if err != nil {
		return started, err
	}
	if started.source, err = g.sourceOf(f, r); err != nil {
		return started, err
	}
	if !f.Belong(started.source.ID) {
		return started, produce.ErrFull
	}
	started.events = f.Intake.Elements()
	if err := limited(started.source, g.meters.take(started)); err != nil {
		return started, err
	}
	if err = g.opts.Producer.Enter(f); err == nil {
		err = g.settle(f, r, started.source, expected)
	}
	if err != nil {
		g.meters.give(started) // what is not stored uses nothing up
		return started, err
	}
	g.opts.Producer.Send(f)
	return started, nil
}

// settle makes records of what was read.
func (g *Ingester) settle(f *produce.Flight, r Request, s *source.Source, expected int64) error {
	inherits := f.Intake.Inherits()
	if !f.Room(f.Intake.Elements()) || !f.Reserve(inherits) {
		return produce.ErrFull // before anything is copied
	}
	expected += inherits
	if err := f.Intake.Settle(s.Rules, f.Fanout() > 1); err != nil {
		return err
	}
	f.DropBody()
	if excess := g.maxima.setAside(&f.Intake) + f.Intake.Copied() - expected; excess > 0 && !f.Reserve(excess) {
		return produce.ErrFull
	}
	g.load(f, r, s)
	return nil
}

// sourceOf follows the order in which a key counts: the header's, the body's, the
// query's.
func (g *Ingester) sourceOf(f *produce.Flight, r Request) (*source.Source, error) {
	switch {
	case r.Source != nil:
		return r.Source, nil
	case f.Intake.WriteKey != nil:
		return g.Authorize(f.Intake.WriteKey, r.Origin)
	}
	return g.Authorize([]byte(r.QueryKey), r.Origin)
}
