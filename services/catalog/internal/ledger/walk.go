package ledger

import (
	"context"
	"fmt"

	"weir/pkg/flush"
	"weir/services/catalog/internal/ledger/journal"
)

// walk goes along one partition's flushes, one behind what it has read: the next flush says which files of a flush were
// never there.
type walk struct {
	*Keeper
	target

	batch *journal.Batch
	at    flush.Link // read last, or passed over
	held  *flush.Manifest
}

// step takes the manifest of the next step, nil where it is gone.
func (w *walk) step(s journal.Step, m *flush.Manifest) error {
	if m == nil {
		if err := w.add(nil); err != nil {
			return err
		}
		w.skip(s)
		return nil
	}
	if m.Seq == w.at.Seq+1 && m.Predecessor != w.at.Manifest {
		return fmt.Errorf("flush %d follows %s, in the ledger is %s", m.Seq, m.Predecessor, w.at.Manifest)
	}
	if m.Seq > w.at.Seq+1 {
		if err := w.add(nil); err != nil {
			return err
		}
		w.tell(Hole{Owner: w.owner, From: w.at.Seq + 1, To: m.Seq - 1})
	}
	if err := w.add(m.Dropped); err != nil {
		return err
	}
	w.held, w.at = m, flush.Link{Seq: m.Seq, Manifest: m.Key}
	return nil
}

// skip passes over flushes that are gone. Where the ledger is can only be said by a manifest's key: of the gate's it is known.
func (w *walk) skip(s journal.Step) {
	if s.Seq != w.gate.Seq {
		return // a later step closes the hole
	}
	w.tell(Hole{Owner: w.owner, From: w.at.Seq + 1, To: s.Seq})
	w.at = w.gate
	w.batch.Skip(w.owner, w.gate)
}

// add puts what is held into the batch.
func (w *walk) add(dropped []string) error {
	if w.held == nil {
		return nil
	}
	held := w.held
	w.held = nil
	return add(w.batch, held, journal.Flush{Manifest: held.Key, VisibleAt: w.visible(held), Dropped: dropped})
}

// end adds the last flush, if it is the gate's and nothing ahead says that files of it were given up. The others wait for
// the next batch.
func (w *walk) end(ctx context.Context, path journal.Path) error {
	if w.held == nil || w.held.Seq != w.gate.Seq {
		return nil
	}
	for _, key := range path.Ahead {
		m, err := w.manifest(ctx, key)
		if err != nil {
			return err
		}
		if m != nil && len(m.Dropped) > 0 {
			return nil
		}
	}
	return w.add(nil)
}
