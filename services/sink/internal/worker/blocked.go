package worker

import (
	"context"
	"errors"
	"time"

	"weir/pkg/event"
)

// whileTooLarge repeats do for as long as a topic does not take what it is to take. Only
// a person can heal that, so it is said of this partition, and the partition waits: going
// on without the record would lose it. It gives up where the ownership is to end, since
// waiting is no reason to keep a partition.
func (w *Worker) whileTooLarge(ctx context.Context, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		if !errors.Is(err, ErrTooLarge) {
			w.block(nil)
			return err
		}
		w.block(err)
		if !w.goOn(ctx, n) {
			return err
		}
	}
}

// goOn waits for the n-th time, unless the ownership is to end.
func (w *Worker) goOn(ctx context.Context, n int) bool {
	if w.ending {
		return false
	}
	timer := time.NewTimer(backoff(n))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case t := <-w.finish:
		w.Finish(t) // for who reads it
	}
	return false
}

// block notes what the partition waits for; nil is that it does not.
func (w *Worker) block(err error) {
	w.status.mu.Lock()
	was := w.status.blocked
	w.status.blocked = err
	w.status.mu.Unlock()
	if err != nil || was != nil {
		w.c.Observe(Blocked{Partition: w.c.Owner.Partition, Err: err})
	}
}

// lettersFit waits, before anything is decided, until the dead-letter topic takes what is
// to be produced after the decision.
func (w *Worker) lettersFit(ctx context.Context, dead []deadLetter) error {
	if len(dead) == 0 {
		return nil
	}
	letters := make([]event.Record, len(dead))
	for i, d := range dead {
		letters[i] = d.record
	}
	return w.whileTooLarge(ctx, func() error { return w.c.Fit(ctx, letters) })
}
