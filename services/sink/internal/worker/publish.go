package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/pkg/flush"
	"weir/pkg/s3"
)

// Whoever publishes must not act on an old reading of the committed state: once
// something deletes or replaces objects, absence will look like "not yet" to a
// publisher that slept. A reading counts for readingAge, and no request that is based
// on it starts later than graceAge after that.
const (
	readingAge = 5 * time.Minute
	graceAge   = time.Minute
)

// completers is how many uploads of a flush are completed at once.
const completers = 8

// completions are the files of one decided flush on their way to become visible.
// They run side by side: the decision stands, so their order does not matter.
type completions struct {
	manifest *flush.Manifest
	results  []chan flush.Input
	running  sync.WaitGroup
}

func (c *completions) wait() {
	if c != nil {
		c.running.Wait()
	}
}

func (w *Worker) complete(ctx context.Context, e flush.Effect) flush.Input {
	if w.pending == nil || w.pending.manifest != e.Manifest {
		w.pending.wait()
		w.pending = w.completeAll(ctx, e.Manifest, e.File)
	}
	return <-w.pending.results[e.File]
}

func (w *Worker) completeAll(ctx context.Context, m *flush.Manifest, from int) *completions {
	c := &completions{manifest: m, results: make([]chan flush.Input, len(m.Files))}
	next := make(chan int, len(m.Files))
	for i := from; i < len(m.Files); i++ {
		c.results[i] = make(chan flush.Input, 1)
		next <- i
	}
	close(next)
	state, at := w.machine.State(), w.confirmed
	for range min(completers, len(m.Files)-from) {
		c.running.Go(func() {
			reading := reading{at: at}
			for i := range next {
				c.results[i] <- w.completeOne(ctx, state, &reading, m, &m.Files[i])
			}
		})
	}
	return c
}

// completeOne asks the store to make the file visible. A key that is taken is the file:
// keys are never used twice. That the upload is unknown proves nothing yet.
func (w *Worker) completeOne(ctx context.Context, state flush.State, r *reading, m *flush.Manifest, f *flush.File) flush.Input {
	err := w.publishing(ctx, state, r, func(ctx context.Context) error {
		if f.UploadID == "" {
			return w.putStaged(ctx, m, f)
		}
		return w.completeWhole(ctx, f)
	})
	switch {
	case err == nil, errors.Is(err, s3.ErrExists):
		return flush.Input{Kind: flush.Visible}
	case is(err, s3.ErrNoSuchUpload, s3.ErrNotFound, s3.ErrConflict):
		return flush.Input{Kind: flush.NoSuchUpload, Err: err}
	}
	return over(err)
}

// completeWhole completes an upload of which every byte is there. One that lost a part, because the store forgot it
// while it was filled, counts as lost: a store might complete what is left.
func (w *Worker) completeWhole(ctx context.Context, f *flush.File) error {
	var there int64
	for _, p := range f.Parts {
		there += p.Bytes
	}
	if there != f.Bytes {
		return fmt.Errorf("complete %s: %d of %d bytes are uploaded: %w", f.Key, there, f.Bytes, s3.ErrNoSuchUpload)
	}
	return w.c.Store.CompleteUpload(ctx, f.Key, f.UploadID, f.Parts)
}

// reading is when the committed state was last read.
type reading struct{ at time.Time }

var errSuperseded = errors.New("the committed state is another one: somebody else has published this flush")

// publishing does a request that makes something visible, on a fresh enough reading of
// the committed state, and repeats both when the request took too long.
func (w *Worker) publishing(ctx context.Context, want flush.State, r *reading, do func(context.Context) error) error {
	for {
		if time.Since(r.at) > readingAge {
			at := time.Now()
			ok, err := w.c.Confirm(ctx, want)
			if err != nil {
				return err
			}
			if !ok {
				return errSuperseded
			}
			r.at = at
		}
		attempt, cancel := context.WithDeadline(ctx, r.at.Add(readingAge+graceAge))
		err := do(attempt)
		late := attempt.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return err
		}
	}
}
