package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/glue"
	"weir/services/catalog/internal/change"
)

// Registrar makes Glue hold what flushes need, as a Follower does, for a command: it
// gives up where the follower waits. It belongs to one goroutine.
type Registrar struct{ r *registrar }

// NewRegistrar wires a registrar.
func NewRegistrar(t Tables, p Partitions, database string, l change.Lake, tell Observer) *Registrar {
	r := newRegistrar(t, p, database, l, tell)
	r.retry = few
	// The catalog that runs goes back on the flush topic for a table that was lost. A
	// command looks at the lake itself.
	r.lost = func(context.Context, string) error { return nil }
	return &Registrar{r}
}

// Tables makes Glue hold every table of the lake with its columns.
func (r *Registrar) Tables(ctx context.Context) error {
	return r.r.apply(ctx, change.Plan{Tables: r.r.lake.Specs()})
}

// Partitions makes Glue hold the partitions of the flushes' files, and their tables.
func (r *Registrar) Partitions(ctx context.Context, notes []flush.Notification) error {
	return r.r.apply(ctx, r.r.lake.PlanOf(r.r.facts(), notes))
}

// Register makes Glue hold a table that is none of the lake's events, and partitions of it.
func (r *Registrar) Register(ctx context.Context, spec change.Spec, partitions []change.Partition) error {
	var plan change.Plan
	known := r.r.facts()
	if !known.Table(spec.Name) {
		plan.Tables = []change.Spec{spec}
	}
	missing := slices.DeleteFunc(slices.Clone(partitions), func(p change.Partition) bool { return known.Partition(p.Lake) })
	for chunk := range slices.Chunk(missing, change.ChunkSize) {
		plan.Chunks = append(plan.Chunks, change.Chunk{Spec: spec, Partitions: chunk})
	}
	return r.r.apply(ctx, plan)
}

// Move has Glue look for a partition elsewhere. It replaces what Glue holds of it.
func (r *Registrar) Move(ctx context.Context, spec change.Spec, p change.Partition) error {
	items, err := r.r.partitions.BatchUpdatePartition(ctx, r.r.database, spec.Name, []glue.Partition{newPartition(spec, p)})
	if err != nil || len(items) == 0 {
		return err
	}
	r.r.known.forget(spec.Name) // it may be gone: who tries again registers it first
	return fmt.Errorf("move partition %v of table %s: %w", p.Values, spec.Name, items[0].Err)
}

// registerAttempts bounds how often a command tries what may go away by itself: with
// its waits about two minutes.
const registerAttempts = 12

// few is Retry for somebody who waits at a terminal.
func few(ctx context.Context, tell Observer, what Dependency, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		passing := errors.Is(err, glue.ErrThrottled) || errors.Is(err, glue.ErrUnavailable) || errors.Is(err, glue.ErrChanged) || errors.Is(err, glue.ErrNotFound)
		if !passing || n+1 == registerAttempts {
			return err
		}
		wait := backoff(n)
		tell(Fault{Dependency: what, Err: err, Wait: wait})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Missing is what a table as Glue holds it lacks of a spec, and what it holds otherwise.
func Missing(held glue.Table, spec change.Spec) ([]change.ColumnChange, error) {
	update, conflicts, err := change.Merge(heldOf(held), spec)
	if err != nil || update == nil {
		return conflicts, err
	}
	return append(update.Changes, conflicts...), nil
}
