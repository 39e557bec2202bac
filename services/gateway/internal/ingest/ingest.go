// Package ingest takes one request from bytes to durable events: whose it is, what
// it says, and that Kafka has it. It is what every transport calls, so that a rule
// about a request stands once. Its invariant: nil is returned only after every
// event of the request is durable or, with its reason, durably rejected. It does not
// decode a transport (httpapi), read JSON (intake) or talk to Kafka (produce).
// Owned by the gateway.
package ingest

import (
	"errors"
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
	ClientIP    string         // "" = unknown
	ID          string         // of the request, for logs and record headers
	ReceivedAt  time.Time
	TraceParent string // "" unless the request's trace is sampled
}

// Kind is what sort of refusal a request met; a transport maps it to its statuses.
type Kind uint8

// The kinds, from the client's fault to ours.
const (
	Unusable     Kind = iota // the body as a whole is not what the route takes
	TooLarge                 // the body as a whole exceeds a limit
	Unauthorized             // no write key, or one that nobody has
	Disabled                 // the key's source is switched off
	Overloaded               // the gateway holds as much as it may
	Late                     // Kafka has not acknowledged in time; some of it may be durable
	Unavailable              // Kafka refused
)

// Refusal is why a request as a whole was not accepted. Code and Message are for the
// client, Cause is for the log.
type Refusal struct {
	Kind    Kind
	Code    string
	Message string
	Cause   error
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

func (r *Refusal) Unwrap() error { return r.Cause }

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
}

// New makes an Ingester; SetMaxima must be called before the first request.
func New(o Options) *Ingester { return &Ingester{opts: o, newID: appendMessageID} }

// Authorize finds the source of a write key that is not in the body.
func (g *Ingester) Authorize(key []byte) (*source.Source, error) {
	s, ok := g.opts.Lookup(key)
	if !ok {
		return nil, &Refusal{Kind: Unauthorized, Code: "invalid_write_key", Message: "the write key is missing or unknown"}
	}
	if !s.Enabled {
		return nil, &Refusal{Kind: Disabled, Code: "source_disabled", Message: "the source of this write key is disabled"}
	}
	return s, nil
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
}

// Start does what needs no waiting: when it returns nil, the request's records are on their way, behind those of what
// the same goroutine started before, and either Finish or Abandon must follow. Its error is a *Refusal.
func (g *Ingester) Start(f *produce.Flight, r Request) (Started, error) {
	s, err := g.start(f, r)
	if err != nil {
		return Started{}, g.observe(f, s, r.ReceivedAt, err)
	}
	return Started{source: s, at: r.ReceivedAt}, nil
}

// Finish waits until the request is durable. Its error is a *Refusal.
func (g *Ingester) Finish(f *produce.Flight, s Started) error {
	return g.observe(f, s.source, s.at, g.opts.Producer.Wait(f))
}

// Abandon notes that nobody waits for what was started: it may become durable, and nobody will be told.
func (g *Ingester) Abandon(f *produce.Flight, s Started) {
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

func (g *Ingester) start(f *produce.Flight, r Request) (*source.Source, error) {
	// Values and originals are about as long as the body; what they are longer is
	// charged once it is known.
	expected := int64(len(f.Body))
	if !f.Reserve(expected) {
		return r.Source, produce.ErrFull
	}
	err := f.Intake.Parse(intake.Request{
		Body: f.Body, Route: r.Route, Ends: r.Ends, ClientIP: r.ClientIP, NewID: g.newID, Limits: g.opts.Limits,
		ReceivedAt: event.InstantOf(r.ReceivedAt),
	})
	if err != nil {
		return r.Source, err
	}
	f.DropBody()
	s, err := g.sourceOf(f, r)
	if err != nil {
		return nil, err
	}
	if excess := g.maxima.setAside(&f.Intake) - expected; excess > 0 && !f.Reserve(excess) {
		return s, produce.ErrFull
	}
	if !g.load(f, r, s) {
		return s, produce.ErrFull
	}
	g.opts.Producer.Send(f)
	return s, nil
}

// sourceOf follows the order in which a key counts: the header's, the body's, the
// query's.
func (g *Ingester) sourceOf(f *produce.Flight, r Request) (*source.Source, error) {
	switch {
	case r.Source != nil:
		return r.Source, nil
	case f.Intake.WriteKey != nil:
		return g.Authorize(f.Intake.WriteKey)
	}
	return g.Authorize([]byte(r.QueryKey))
}

func refusalOf(err error) *Refusal {
	var refusal *Refusal
	var body *intake.Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &body):
		return ofBody(body)
	case errors.Is(err, produce.ErrFull):
		return &Refusal{Kind: Overloaded, Code: "overloaded", Message: "too many events are in flight; send again", Cause: err}
	case errors.Is(err, produce.ErrLate):
		return &Refusal{Kind: Late, Code: "unavailable", Message: "events could not be stored in time; send again", Cause: err}
	}
	return &Refusal{Kind: Unavailable, Code: "unavailable", Message: "events could not be stored; send again", Cause: err}
}

func ofBody(e *intake.Error) *Refusal {
	kind := Unusable
	switch e.Class {
	case intake.TooLarge:
		kind = TooLarge
	case intake.Unauthorized:
		kind = Unauthorized
	}
	return &Refusal{Kind: kind, Code: e.Code, Message: e.Message, Cause: e}
}
