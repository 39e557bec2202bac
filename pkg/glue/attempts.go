package glue

import (
	"context"
	"errors"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Attempt is one request as it went over the wire. A call that was tried three
// times is three attempts.
type Attempt struct {
	Op       string // Glue's name: UpdateTable, …
	Outcome  string // ok, not_found, exists, changed, throttled, unavailable, invalid, limit, denied, canceled, error
	Duration time.Duration
	Err      error // nil for ok
}

// Observer hears of every attempt. It is called on the caller's goroutine.
type Observer func(Attempt)

// attempts is the middleware under the retry loop that reports to an Observer.
type attempts struct{ tell Observer }

func (attempts) ID() string { return "weir attempts" }

func (m attempts) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	if m.tell == nil {
		return next.HandleFinalize(ctx, in)
	}
	start := time.Now()
	out, metadata, err := next.HandleFinalize(ctx, in)
	op := awsmiddleware.GetOperationName(ctx)
	m.tell(Attempt{Op: op, Outcome: outcome(ctx, wrap(err, "%s", op)), Duration: time.Since(start), Err: err})
	return out, metadata, err
}

func outcome(ctx context.Context, err error) string {
	if err == nil {
		return "ok"
	}
	if ctx.Err() != nil {
		return "canceled"
	}
	for _, o := range []struct {
		err  error
		name string
	}{
		{ErrNotFound, "not_found"},
		{ErrExists, "exists"},
		{ErrChanged, "changed"},
		{ErrThrottled, "throttled"},
		{ErrUnavailable, "unavailable"},
		{ErrInvalid, "invalid"},
		{ErrLimit, "limit"},
		{ErrDenied, "denied"},
	} {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "error"
}
