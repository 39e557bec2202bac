package s3

import (
	"context"
	"errors"
	"net/http"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Attempt is one request as it went over the wire. A call that was tried three
// times is three attempts.
type Attempt struct {
	Op       string        // S3's name: PutObject, UploadPart, …
	Outcome  string        // ok, not_found, precondition, conflict, denied, throttled, server_error, timeout, canceled, error
	Status   int           // HTTP status, 0 without an answer
	Duration time.Duration // to the end of the answer; for GetObject to its head
	Sent     int64         // body bytes
	Received int64         // body bytes as announced
	Err      error         // nil for ok
}

// Observer hears of every attempt. It is called on the caller's goroutine.
type Observer func(Attempt)

// attempts is the middleware under the retry loop that reports to an Observer,
// and counts for calls whose meaning changes when they are sent twice.
type attempts struct{ tell Observer }

func (attempts) ID() string { return "weir attempts" }

func (m attempts) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	if n, ok := ctx.Value(attemptCount{}).(*int); ok {
		*n++
	}
	start := time.Now()
	out, metadata, err := next.HandleFinalize(ctx, in)
	if m.tell == nil {
		return out, metadata, err
	}
	a := Attempt{
		Op:       awsmiddleware.GetOperationName(ctx),
		Duration: time.Since(start),
		Status:   status(err),
		Outcome:  outcome(ctx, err),
		Err:      err,
	}
	if req, ok := in.Request.(*smithyhttp.Request); ok {
		a.Sent = max(req.ContentLength, 0)
	}
	if resp, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); ok && resp.Response != nil {
		a.Status = resp.StatusCode
		a.Received = max(resp.ContentLength, 0)
	}
	m.tell(a)
	return out, metadata, err
}

// attemptCount is the context key of a call's count of attempts.
type attemptCount struct{}

func counted(ctx context.Context) (context.Context, *int) {
	n := new(int)
	return context.WithValue(ctx, attemptCount{}, n), n
}

func outcome(ctx context.Context, err error) string {
	var timeout interface{ Timeout() bool }
	s := status(err)
	switch {
	case err == nil:
		return "ok"
	case ctx.Err() != nil:
		return "canceled"
	case code(err) == "NoSuchBucket": // the lake is not there, which is no answer about an object
		return "error"
	case s == http.StatusNotFound:
		return "not_found"
	case s == http.StatusPreconditionFailed:
		return "precondition"
	case s == http.StatusConflict:
		return "conflict"
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return "denied"
	case s == http.StatusServiceUnavailable, s == http.StatusTooManyRequests:
		return "throttled"
	case s >= 500:
		return "server_error"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error"
}
