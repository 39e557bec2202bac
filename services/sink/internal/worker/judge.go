package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/services/sink/internal/cut"
)

// Causes of a Stop that the machine does not know.
const (
	CauseFetch  flush.Cause = "fetch"  // records are there and cannot be read
	CauseEncode flush.Cause = "encode" // records cannot be written
)

// judge says what it means that the log cannot be read on where it was read last. Where
// offsets are gone, the start of an ownership knows better: it compares the log with what
// is flushed, and stops with what is lost and how to go on. Where it finds nothing wrong,
// only what was not flushed yet is concerned: this ownership ends, and the next reads it
// from the committed state.
func (w *Worker) judge(ctx context.Context, cause error) Outcome {
	var loss *kgo.ErrDataLoss
	if !errors.Is(cause, kerr.OffsetOutOfRange) && !errors.As(cause, &loss) {
		return w.stopBefore(ctx, cause)
	}
	known, err := w.c.Gather(ctx)
	if err != nil {
		return Outcome{Op: flush.End, Err: err}
	}
	m, eff := flush.Start(known)
	w.machine = m
	if eff = w.drive(ctx, eff); !eff.Op.Terminal() {
		return Outcome{Op: flush.End, Err: cause}
	}
	var stop *flush.StopError
	if errors.As(eff.Err, &stop) {
		stop.Err = errors.Join(stop.Err, cause)
	}
	return Outcome{Op: eff.Op, Err: eff.Err}
}

// stopBefore flushes what was read before a batch that cannot be read, and stops there: whoever passes over the batch
// gives up nothing else.
func (w *Worker) stopBefore(ctx context.Context, cause error) Outcome {
	eff := w.consumeBatch(ctx)
	if held := len(w.open) > 0 || len(w.dead.list) > 0; held && !eff.Op.Terminal() && !w.c.Pin.Spent() {
		eff = w.cutAll(ctx, cut.Drain)
	}
	if eff.Op.Terminal() {
		return Outcome{Op: eff.Op, Err: eff.Err}
	}
	return Outcome{Op: flush.Stop, Err: w.unreadable(cause)}
}

// unreadable is a batch that the client cannot take apart. Nobody but a person can pass over it.
func (w *Worker) unreadable(cause error) error {
	stop := &flush.StopError{
		Owner:    w.c.Owner,
		Cause:    CauseFetch,
		Manifest: w.machine.State().Manifest,
		Detail:   fmt.Sprintf("the batch at offset %d or soon after cannot be read", w.position),
		Cure: flush.Cure{
			First: "to pass over it, with the first offset behind it, which kafka-dump-log shows, for END",
			Flags: flush.FlagFrom + " END " + flush.FlagAcceptLoss,
		},
		Err: cause,
	}
	var bomb *kgo.ErrDecompressTooLarge
	if errors.As(cause, &bomb) {
		stop.Detail = fmt.Sprintf("records %d to %d are one batch, which unpacks to more than a sink of this memory reads", bomb.Offset, bomb.NextOffset-1)
		stop.Cure = flush.Cure{
			First: "to read it, give the sink more memory (a batch may take half of it, and 256 MiB at most); to pass over it",
			Flags: fmt.Sprintf("%s %d %s", flush.FlagFrom, bomb.NextOffset, flush.FlagAcceptLoss),
		}
	}
	return stop
}

// broken is a record that could not be put into its file, or a file that could not be
// finished. Where the ownership did not just end, that is a fault of ours, and reading on
// would lose records.
func (w *Worker) broken(ctx context.Context, err error) flush.Effect {
	if ctx.Err() != nil {
		return flush.Effect{Op: flush.End, Err: err}
	}
	return flush.Effect{Op: flush.Stop, Err: &flush.StopError{
		Owner:    w.c.Owner,
		Cause:    CauseEncode,
		Manifest: w.machine.State().Manifest,
		Detail:   "records cannot be written to a file",
		Cure:     flush.Cure{First: "restart the sink, nothing is lost; should it stop here again, run another version of weir", Only: true},
		Err:      err,
	}}
}
