package ingest

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

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

func limited(s *source.Source, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	return &Refusal{Kind: Limited, Code: CodeLimited, Message: "the source has sent as much as it may; send again later", Source: s.ID, Wait: wait}
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

// longestWait is what a client is told to wait at most, in seconds, and spread over how many of them clients are told
// to come, so that they do not all come back at once.
const (
	longestWait = 60
	spread      = 4
)

// Again is the seconds after which a client is told to send again, and not before wait has passed: 0 is soon.
func Again(wait time.Duration) int {
	return int(min(max(math.Ceil(wait.Seconds()), 1), longestWait-spread+1)) + rand.IntN(spread)
}
