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
	Source      *source.Source // whose key came in a header; nil = the body must name one
	QueryKey    string         // counts where neither header nor body names a key
	Origin      string         // of the page that a browser sends from; "" = no browser says one
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
	Foreign                  // the key's source takes nothing from pages of that origin
	Limited                  // the key's source has sent as much as it may, for now
	Overloaded               // the gateway holds as much as it may
	Late                     // Kafka has not acknowledged in time; some of it may be durable
	Unavailable              // Kafka refused
)

// CodeLimited is the code of a source over its limits, in an answer and in metrics.
const CodeLimited = "rate_limited"

// Refusal is why a request as a whole was not accepted. Code and Message are for the
// client, Cause is for the log.
type Refusal struct {
	Kind    Kind
	Code    string
	Message string
	Cause   error
	Source  string        // of Limited: which
	Wait    time.Duration // of Limited: until it may send again
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

func limited(s *source.Source, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return &Refusal{Kind: Limited, Code: CodeLimited, Message: "the source has sent as much as it may; send again later", Source: s.ID, Wait: wait}
}

// Ingest makes durable what the flight's body holds. Its error is a *Refusal. What
// was rejected event by event stands in the flight's Intake until its Release.
func (g *Ingester) Ingest(f *produce.Flight, r Request) error {
	s, err := g.ingest(f, r)
	o := Outcome{At: r.ReceivedAt, Events: f.Intake.Events, Rejected: f.Intake.Rejected, Repeated: f.Intake.Duplicates}
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

func (g *Ingester) ingest(f *produce.Flight, r Request) (*source.Source, error) {
	// Values and originals are about as long as the body; what they are longer is
	// charged once it is known.
	expected, size := int64(len(f.Body)), len(f.Body)
	if !f.Reserve(expected) {
		return r.Source, produce.ErrFull
	}
	err := f.Intake.Read(intake.Request{
		Body: f.Body, Route: r.Route, ClientIP: r.ClientIP, NewID: g.newID, Limits: g.opts.Limits,
		ReceivedAt: event.InstantOf(r.ReceivedAt),
	})
	if err != nil {
		return r.Source, err
	}
	s, err := g.sourceOf(f, r)
	if err != nil {
		return nil, err
	}
	if !f.Belong(s.ID) {
		return s, produce.ErrFull
	}
	events := f.Intake.Elements()
	if err := limited(s, g.meters.take(s, r.ReceivedAt, events, size)); err != nil {
		return s, err
	}
	if err = g.settle(f, r, s, expected); err != nil {
		g.meters.give(s, events, size) // what is not stored uses nothing up
	}
	return s, err
}

func (g *Ingester) settle(f *produce.Flight, r Request, s *source.Source, expected int64) error {
	if err := f.Intake.Settle(s.Rules); err != nil {
		return err
	}
	f.DropBody()
	if excess := g.maxima.setAside(&f.Intake) + f.Intake.Copied() - expected; excess > 0 && !f.Reserve(excess) {
		return produce.ErrFull
	}
	if !g.load(f, r, s) {
		return produce.ErrFull
	}
	return g.opts.Producer.Deliver(f)
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
