package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/s3"
)

// perform does what the machine asks for and says what came of it.
func (w *Worker) perform(ctx context.Context, e flush.Effect) flush.Input {
	switch e.Op {
	case flush.PutStarted:
		return w.putStarted(ctx, e)
	case flush.ReadManifest:
		return w.readManifest(ctx, e)
	case flush.PutManifest:
		return w.putManifest(ctx, e)
	case flush.Commit:
		return w.commit(ctx, e)
	case flush.AwaitPin:
		return w.awaitPin(ctx)
	case flush.Complete:
		return w.complete(ctx, e)
	case flush.Head:
		return w.head(ctx, e)
	case flush.Repair:
		return w.repair(ctx, e)
	case flush.ProduceDeadLetters:
		return w.produceDeadLetters(ctx, e)
	case flush.Notify:
		return w.notify(ctx, e)
	}
	return over(fmt.Errorf("no way to perform %s", e.Op))
}

// putStarted fixes where a new partition begins. The marker that stands counts,
// whoever put it.
func (w *Worker) putStarted(ctx context.Context, e flush.Effect) flush.Input {
	key := w.c.Owner.StartedKey()
	err := w.c.Store.PutIfAbsent(ctx, key, encodeStarted(e.Offset))
	if err == nil {
		return flush.Input{Kind: flush.Started, Offset: e.Offset}
	}
	if !errors.Is(err, s3.ErrExists) {
		return over(err)
	}
	body, _, err := w.c.Store.Get(ctx, key)
	if err != nil {
		return over(err)
	}
	offset, err := decodeStarted(body)
	if err != nil {
		return flush.Input{Kind: flush.ManifestUnreadable, Err: fmt.Errorf("read %s: %w", key, err)}
	}
	return flush.Input{Kind: flush.Started, Offset: offset}
}

func (w *Worker) readManifest(ctx context.Context, e flush.Effect) flush.Input {
	body, _, err := w.c.Store.Get(ctx, e.Key)
	if errors.Is(err, s3.ErrNotFound) {
		return flush.Input{Kind: flush.ManifestMissing, Err: err}
	}
	if err != nil {
		return over(err)
	}
	m, err := codec.DecodeManifest(e.Key, body)
	if err != nil {
		return flush.Input{Kind: flush.ManifestUnreadable, Err: err}
	}
	return flush.Input{Kind: flush.ManifestRead, Manifest: m}
}

// putManifest takes an object that is there already for its own: the flush id in the
// key was never used before, so an earlier sending of these bytes made it.
func (w *Worker) putManifest(ctx context.Context, e flush.Effect) flush.Input {
	body, err := codec.EncodeManifest(e.Manifest)
	if err != nil {
		return over(fmt.Errorf("encode manifest %s: %w", e.Manifest.Key, err))
	}
	err = w.c.Store.PutIfAbsent(ctx, e.Manifest.Key, body)
	if err != nil && !errors.Is(err, s3.ErrExists) {
		return over(err)
	}
	if w.flushing != nil {
		w.flushing.fact.Phases.Upload = time.Since(w.flushing.began)
	}
	return flush.Input{Kind: flush.OK}
}

// maxCommitBackoff bounds the pause before a commit is sent again, as a power of two: a
// rebalance or a coordinator's move takes seconds.
const maxCommitBackoff = 4

// commit sends the state once, under the pin as it is now; sending it again, under the
// pin that the first sending had, after a pause. A spent member decides nothing new.
func (w *Worker) commit(ctx context.Context, e flush.Effect) flush.Input {
	id, ok := w.c.Pin.Current()
	switch {
	case !ok, e.State.Phase == flush.Intent && w.c.Pin.Spent():
		return over(nil)
	case !e.Again:
		w.sentAs, w.tries = id, 0
	default:
		w.tries++
		if err := pause(ctx, min(w.tries, maxCommitBackoff)); err != nil {
			return over(err)
		}
	}
	began := time.Now()
	in := w.c.Kafka.Commit(ctx, e.State, w.sentAs)
	took := time.Since(began)
	w.c.Observe(Committed{Partition: w.c.Owner.Partition, Phase: e.State.Phase, Kind: in.Kind, Took: took, Err: in.Err})
	if in.Kind == flush.CommitApplied {
		w.confirmed = time.Now()
	}
	if w.flushing != nil {
		w.flushing.fact.Phases.Commit += took
		if e.State.Phase == flush.Intent {
			w.flushing.publish = time.Now()
		}
	}
	return in
}

// awaitPin gives up where no renewal comes: a coordinator that refuses the generation it
// has itself would keep the partition standing for ever. The next ownership reads anew.
func (w *Worker) awaitPin(ctx context.Context) flush.Input {
	wait, cancel := context.WithTimeout(ctx, w.c.PinWait)
	defer cancel()
	if w.c.Pin.Wait(wait, w.sentAs) {
		return flush.Input{Kind: flush.PinRenewed}
	}
	return over(wait.Err())
}

func (w *Worker) head(ctx context.Context, e flush.Effect) flush.Input {
	f := &e.Manifest.Files[e.File]
	o, err := w.c.Store.Head(ctx, f.Key)
	if errors.Is(err, s3.ErrNotFound) {
		return flush.Input{Kind: flush.NotFound, Err: err}
	}
	if err != nil {
		return over(err)
	}
	return flush.Input{Kind: flush.Visible, Bytes: o.Bytes}
}

// produceDeadLetters has those of a flush that was cut here in memory; those of a
// recovered flush are read again.
func (w *Worker) produceDeadLetters(ctx context.Context, e flush.Effect) flush.Input {
	var letters []event.Record
	if w.flushing != nil && w.flushing.id == e.Manifest.FlushID {
		for _, d := range w.flushing.dead {
			letters = append(letters, d.record)
		}
	} else {
		var err error
		if letters, err = w.rereadDeadLetters(ctx, e.Manifest); errors.Is(err, ErrGone) {
			return flush.Input{Kind: flush.RowsGone, Err: err}
		} else if err != nil {
			return over(err)
		}
	}
	err := w.whileTooLarge(ctx, func() error {
		acked, err := w.c.Kafka.ProduceDeadLetters(ctx, letters)
		letters = letters[acked:]
		return err
	})
	if err != nil {
		return over(err)
	}
	return flush.Input{Kind: flush.OK}
}

func (w *Worker) rereadDeadLetters(ctx context.Context, m *flush.Manifest) ([]event.Record, error) {
	offsets := flush.NewOffsets()
	reasons := make(map[int64]event.Reason, len(m.DeadLetters))
	for _, d := range m.DeadLetters {
		offsets.Add(d.Offset)
		reasons[d.Offset] = event.Reason(d.Reason)
	}
	var letters []event.Record
	begin := func() error { letters = letters[:0]; return nil }
	err := w.c.Kafka.Reread(ctx, offsets, begin, func(r *event.Record) error {
		letters = append(letters, keep(event.DeadLetter(r, reasons[r.Offset])))
		return nil
	})
	return letters, err
}

func (w *Worker) notify(ctx context.Context, e flush.Effect) flush.Input {
	n := e.Notification(time.Now())
	if err := w.whileTooLarge(ctx, func() error { return w.c.Kafka.Notify(ctx, n) }); err != nil {
		return over(err)
	}
	if w.flushing != nil {
		w.flushing.fact.Phases.Publish = time.Since(w.flushing.publish)
	}
	return flush.Input{Kind: flush.OK}
}
