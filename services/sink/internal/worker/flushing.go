package worker

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/shape"
	"weir/services/sink/internal/cut"
)

// sealers is how many files of a cut are finished at once.
const sealers = 4

// shapes bounds what a manifest says of its events: some hundred kilobytes at worst.
var shapes = shape.Limits{Events: 500, Properties: 200, Total: 4000}

// flushing is the flush that this ownership has cut and not yet published: its dead
// letters and small files from memory, and what is reported of it.
type flushing struct {
	id      string
	dead    []deadLetter
	bundle  string            // key of the bundle, "" when there is none
	bodies  map[string][]byte // of the files in it, by their own keys
	began   time.Time
	fact    Flushed
	publish time.Time // when the intent was committed
}

func (w *Worker) cutAll(ctx context.Context, t cut.Trigger) flush.Effect {
	return w.cut(ctx, t, w.open, nil)
}

// cutLargest frees memory by flushing the dead letters, which go with every cut, and
// the largest open files.
func (w *Worker) cutLargest(ctx context.Context, need int64) flush.Effect {
	return w.cutSome(ctx, cut.Memory, cut.Largest(w.cutFiles(w.open), w.position, need-w.dead.bytes, w.c.Limits))
}

// cutSome flushes the open files at those places; the others stay open.
func (w *Worker) cutSome(ctx context.Context, t cut.Trigger, places []int) flush.Effect {
	taken := make([]bool, len(w.open))
	for _, i := range places {
		taken[i] = true
	}
	var take, rest []*file
	for i, f := range w.open {
		if taken[i] {
			take = append(take, f)
		} else {
			rest = append(rest, f)
		}
	}
	return w.cut(ctx, t, take, rest)
}

// cut seals take, leaves rest open, and has the machine flush. The files that were
// taken are forgotten whatever comes of it: they stand in a manifest now.
func (w *Worker) cut(ctx context.Context, t cut.Trigger, take, rest []*file) flush.Effect {
	if w.c.Pin.Spent() { // nothing new may be decided; the group ends this ownership
		return flush.Effect{Op: flush.End}
	}
	if len(take) == 0 && len(w.dead.list) == 0 && !w.passedOnly() {
		return flush.Effect{}
	}
	w.does("cut files")
	defer w.does("")
	if err := w.lettersFit(ctx, w.dead.list); err != nil {
		return flush.Effect{Op: flush.End, Err: err}
	}
	f := &flushing{id: w.flushID, dead: w.dead.list, began: time.Now()}
	f.fact = Flushed{Partition: w.c.Owner.Partition, Trigger: t}
	files, err := w.seal(ctx, f, take)
	if err != nil {
		return w.broken(ctx, err)
	}
	w.flushing = f
	c := w.describe(f, files, rest)
	tallies := make([]*shape.Tally, len(take))
	for i, t := range take {
		c.Columns, tallies[i] = max(c.Columns, t.columns), &t.shapes
	}
	w.learner.Renew()
	if c.Shapes, err = codec.PackShapes(shape.Of(shapes, tallies...)); err != nil {
		return w.broken(ctx, err)
	}
	eff := w.drive(ctx, w.machine.Cut(c))
	w.flushing = nil
	w.forget(take, rest)
	w.observeFlush(f, eff)
	return eff
}

// seal finishes the files, some at once, and waits until all of them are stored.
func (w *Worker) seal(ctx context.Context, f *flushing, take []*file) ([]flush.File, error) {
	files := make([]flush.File, len(take))
	took := make([]time.Duration, len(take))
	for _, t := range take { // keys are given here, by the goroutine that owns the numbers
		if t.upload.key == "" {
			t.upload.key = t.upload.name()
		}
	}
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(sealers)
	for i, t := range take {
		group.Go(func() (err error) {
			files[i], took[i], err = t.seal()
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		err = w.stage(f, files, take)
	}
	for i, file := range files {
		f.fact.Phases.Encode = max(f.fact.Phases.Encode, took[i])
		f.fact.Files = append(f.fact.Files, FlushedFile{Table: file.Table, Rows: file.Rows, Bytes: file.Bytes})
	}
	return files, err
}

func (w *Worker) describe(f *flushing, files []flush.File, rest []*file) flush.Cut {
	id, _ := w.c.Pin.Current()
	c := flush.Cut{
		FlushID: f.id, Trigger: string(f.fact.Trigger), CreatedAt: f.began,
		MemberID: id.MemberID, Generation: id.Generation, LeaderEpoch: w.epoch,
		Bundle: f.bundle, Files: files, Position: w.position,
	}
	f.fact.DeadLetters = make(map[event.Reason]int)
	for _, d := range f.dead {
		c.DeadLetters = append(c.DeadLetters, flush.DeadLetter{Offset: d.offset, Reason: string(d.reason)})
		f.fact.DeadLetters[d.reason]++
	}
	for _, r := range rest {
		c.Pending = append(c.Pending, flush.PendingFile{Table: r.table.Name, Min: r.offsets.min()})
	}
	return c
}

func (w *Worker) forget(take, rest []*file) {
	taken := make(map[*file]bool, len(take))
	for _, f := range take {
		taken[f] = true
	}
	w.slots.drop(taken)
	w.open = rest
	w.dead, w.passed = deadLetters{}, time.Time{}
	w.newFlushID()
}

func (w *Worker) observeFlush(f *flushing, eff flush.Effect) {
	f.fact.Seq, f.fact.Low = w.machine.Seq(), w.machine.Low()
	f.fact.Phases.Total = time.Since(f.began)
	switch eff.Op {
	case flush.None:
		f.fact.Outcome = "published"
	case flush.Stop:
		f.fact.Outcome = "stopped"
	case flush.Rejoin:
		f.fact.Outcome = "rejoin"
	default:
		f.fact.Outcome = "over"
	}
	w.c.Observe(f.fact)
}

// over answers an effect that ended with its context, or with an error that nothing
// was to be left of: this ownership ends, and the next reads what is committed.
func over(err error) flush.Input {
	return flush.Input{Kind: flush.OwnershipOver, Err: err}
}

// is tells whether err is one of those.
func is(err error, any ...error) bool {
	for _, e := range any {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
