package athena

import (
	"context"
	"errors"
	"fmt"

	"weir/services/query/internal/execution"
	"weir/services/query/price"
)

// FailedError is a query that Athena could not answer.
type FailedError struct {
	ID, Reason string
	Retryable  bool
}

func (e *FailedError) Error() string {
	text := fmt.Sprintf("query %s failed on Athena: %s", e.ID, e.Reason)
	if e.Retryable {
		return text + " (asked again it may come through)"
	}
	return text + " (asked again it would fail in the same way)"
}

// fault says what an end that is no answer comes to.
func (r *run) fault(ctx context.Context, end execution.End, left bool) error {
	var err error
	switch end {
	case execution.FailedThere:
		return &FailedError{ID: r.outcome.ID, Reason: r.last.Reason, Retryable: r.last.Retryable}
	case execution.CancelledThere:
		return fmt.Errorf("query %s was cancelled by somebody else: %s", r.outcome.ID, r.last.Reason)
	case execution.CancelledHere:
		err = r.cancelled(ctx)
	case execution.Unread:
		return fmt.Errorf("query %s succeeded, %d rows of its answer were read: %w", r.outcome.ID, r.outcome.Rows, r.err)
	case execution.NotStarted:
		err = r.err
	default:
		err = fmt.Errorf("query %s is given up: %w", r.outcome.ID, r.err)
	}
	switch {
	case left && r.outcome.ID == "":
		return fmt.Errorf("%w; no start was answered, so it may run all the same: look for the token %s in the workgroup's history", err, r.request.Token)
	case left:
		return fmt.Errorf("%w; it could not be cancelled and may run on: aws athena stop-query-execution --query-execution-id %s", err, r.outcome.ID)
	}
	return err
}

func (r *run) cancelled(ctx context.Context) error {
	what := context.Cause(ctx)
	if errors.Is(what, context.DeadlineExceeded) {
		what = fmt.Errorf("%s: %w", r.request.Timeout, what)
	}
	if r.outcome.ID == "" {
		return fmt.Errorf("the query was not started: %w", what)
	}
	return fmt.Errorf("query %s was cancelled, it had read %s: %w", r.outcome.ID, price.Size(r.outcome.Scanned), what)
}
