// Package athena has Athena answer a query and hands its answer on, row by row, as it
// is read. What is done next is decided by internal/execution; this performs it. Its
// invariant: when Run returns, the query has ended, or was cancelled, or the error says
// that it may run on. It holds one page of an answer. Owned by whoever owns weir query.
package athena

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	api "weir/pkg/athena"
	"weir/services/query/internal/execution"
	"weir/services/query/rows"
)

// detached bounds what must not be cut short by whoever gives up waiting: a start, for
// whose answer a cancellation needs the id, and the cancellation.
const detached = 15 * time.Second

// Request is what is asked.
type Request struct {
	api.Query        // without its token: Run makes one
	Unload    bool   // the answer goes where the SQL says
	MaxRows   int    // an answer with more is an error
	Timeout   string // what to say of a context whose time is up
}

// Outcome is how it went; after an error it holds what is known.
type Outcome struct {
	ID      string
	Scanned int64 // bytes
	Reused  bool
	Rows    int
}

// Run asks Athena and hands the rows to sink.
func Run(ctx context.Context, client *api.Client, q Request, sink rows.Sink) (Outcome, error) {
	q.Token = uuid.NewString()
	r := &run{client: client, request: q, sink: sink}
	m, effect := execution.New(q.Unload)
	for effect.Op != execution.None {
		effect = m.Step(r.perform(ctx, effect))
	}
	end, left := m.End()
	if end == execution.Answered {
		return r.outcome, nil
	}
	return r.outcome, r.fault(ctx, end, left)
}

// run performs the effects of one query; one goroutine owns it.
type run struct {
	client  *api.Client
	request Request
	sink    rows.Sink
	outcome Outcome
	last    api.Execution
	columns []api.Column
	err     error // of the last call that did not do
}

func (r *run) perform(ctx context.Context, e execution.Effect) execution.Input {
	switch e.Op {
	case execution.Start:
		return r.start(ctx)
	case execution.Wait:
		return wait(ctx, e.Wait)
	case execution.Look:
		return r.look(ctx)
	case execution.Page:
		return r.page(ctx, e.Next)
	case execution.Stop:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detached)
		defer cancel()
		err := r.client.Stop(ctx, r.outcome.ID)
		if err != nil && r.err == nil {
			r.err = err
		}
		return execution.Input{Outcome: outcome(ctx, err)}
	case execution.LastLook:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detached)
		defer cancel()
		said := r.err
		in := r.look(ctx)
		r.err = said // what went wrong before counts
		return in
	}
	return execution.Input{Outcome: execution.Refused}
}

func (r *run) start(ctx context.Context) execution.Input {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detached)
	defer cancel()
	id, err := r.client.Start(ctx, r.request.Query)
	if err == nil {
		r.outcome.ID, r.err = id, nil
		return execution.Input{}
	}
	r.err = err
	if ctx.Err() != nil { // no answer in time
		return execution.Input{Outcome: execution.Lost}
	}
	return execution.Input{Outcome: outcome(ctx, err)}
}

func wait(ctx context.Context, d time.Duration) execution.Input {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return execution.Input{Outcome: execution.Unwanted}
	case <-t.C:
		return execution.Input{}
	}
}

func (r *run) look(ctx context.Context) execution.Input {
	seen, err := r.client.Look(ctx, r.outcome.ID)
	if err != nil {
		r.err = err
		return execution.Input{Outcome: outcome(ctx, err)}
	}
	r.err, r.last = nil, seen
	r.outcome.Scanned, r.outcome.Reused = seen.Scanned, seen.Reused
	in := execution.Input{State: execution.Going}
	switch seen.State {
	case api.Succeeded:
		in.State = execution.Succeeded
	case api.Failed:
		in.State = execution.Failed
	case api.Cancelled:
		in.State = execution.Cancelled
	}
	return in
}

func (r *run) page(ctx context.Context, next string) execution.Input {
	p, err := r.client.Page(ctx, r.outcome.ID, next)
	if err != nil {
		r.err = err
		return execution.Input{Outcome: outcome(ctx, err)}
	}
	if err := r.take(p, next == ""); err != nil {
		r.err = err
		return execution.Input{Outcome: execution.Refused}
	}
	r.err = nil
	return execution.Input{Next: p.Next}
}

// take hands a page on.
func (r *run) take(p api.Page, first bool) error {
	if first {
		r.columns = p.Columns
		if err := r.sink.Head(head(p.Columns)); err != nil {
			return err
		}
		if r.last.Rows && len(p.Rows) > 0 {
			p.Rows = p.Rows[1:] // the names
		}
	}
	for _, row := range p.Rows {
		if r.outcome.Rows == r.request.MaxRows {
			return fmt.Errorf("the answer has more than %d rows: narrow the query, raise max-rows, or have it written with --output parquet", r.request.MaxRows)
		}
		r.outcome.Rows++
		if err := r.sink.Row(values(row, r.columns)); err != nil {
			return err
		}
	}
	return nil
}

// outcome classes an error of a call.
func outcome(ctx context.Context, err error) execution.Outcome {
	switch {
	case err == nil:
		return execution.OK
	case ctx.Err() != nil:
		return execution.Unwanted
	case errors.Is(err, api.ErrThrottled):
		return execution.Busy
	case errors.Is(err, api.ErrUnavailable):
		return execution.Lost
	}
	return execution.Refused
}
