package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/services/catalog/internal/change"
)

// Tables is the part of Glue that holds databases and tables.
type Tables interface {
	CreateDatabase(ctx context.Context, d glue.Database) error
	GetTable(ctx context.Context, database, name string) (glue.Table, error)
	CreateTable(ctx context.Context, t glue.Table, indexes ...glue.PartitionIndex) error
	UpdateTable(ctx context.Context, t glue.Table) error
}

// Partitions is the part of Glue that holds partitions.
type Partitions interface {
	Partitions(ctx context.Context, database, table string, f glue.Filter) iter.Seq2[glue.Partition, error]
	BatchCreatePartition(ctx context.Context, database, table string, ps []glue.Partition) ([]glue.ItemError, error)
	BatchUpdatePartition(ctx context.Context, database, table string, ps []glue.Partition) ([]glue.ItemError, error)
}

const (
	tableTTL     = 5 * time.Minute // a table is looked at again after
	partitionTTL = time.Hour
	refusedTTL   = 10 * time.Minute // a partition that Glue refused is tried again after
	knownLimit   = 200_000
	scanDays     = 3  // the cold start reads the partitions of so many days: those that flushes go to
	maxRounds    = 10 // of read, merge, update for one table before it counts as a fault
)

// registrar makes Glue hold what a plan asks for. Every call may be made again
// after a crash or a lost answer. It belongs to one goroutine.
type registrar struct {
	tables     Tables
	partitions Partitions
	database   string
	lake       change.Lake
	tell       Observer
	lost       func(ctx context.Context, table string) error // called before a table that is not there is created
	retry      func(ctx context.Context, tell Observer, what Dependency, do func() error) error

	fresh   map[string]time.Time // by table: it was seen to be as wanted
	known   *known
	refused *known
	pace    change.Pace
}

func newRegistrar(t Tables, p Partitions, database string, l change.Lake, tell Observer) *registrar {
	return &registrar{
		tables: t, partitions: p, database: database, lake: l, tell: tell, retry: Retry,
		fresh:   make(map[string]time.Time),
		known:   newKnown(knownLimit, partitionTTL),
		refused: newKnown(knownLimit, refusedTTL),
	}
}

// facts is what the registrar knows, as a plan is made from it.
func (r *registrar) facts() change.Known {
	now := time.Now()
	return change.Known{
		Table:     func(name string) bool { return now.Sub(r.fresh[name]) < tableTTL },
		Partition: func(p lake.Partition) bool { return r.known.has(p, now) || r.refused.has(p, now) },
	}
}

// apply performs the plan, and tries for as long as ctx lives.
func (r *registrar) apply(ctx context.Context, plan change.Plan) error {
	for _, spec := range plan.Tables {
		if err := r.table(ctx, spec); err != nil {
			return err
		}
	}
	for _, chunk := range plan.Chunks {
		if err := r.chunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// table makes the table hold what the spec wants.
func (r *registrar) table(ctx context.Context, spec change.Spec) error {
	return r.retry(ctx, r.tell, Glue, func() error { return r.converge(ctx, spec) })
}

// converge reads, merges and writes until nothing is left to write. An update
// whose answer was lost shows as ErrChanged although it landed: reading again
// finds nothing left to write.
func (r *registrar) converge(ctx context.Context, spec change.Spec) error {
	var last error
	for range maxRounds {
		table, err := r.tables.GetTable(ctx, r.database, spec.Name)
		if errors.Is(err, glue.ErrNotFound) {
			if err := r.create(ctx, spec); err != nil && !errors.Is(err, glue.ErrExists) {
				return err
			}
			continue // read what stands there: it may be another's
		}
		if err != nil {
			return err
		}
		update, conflicts, err := change.Merge(heldOf(table), spec)
		if err != nil {
			return err
		}
		if update == nil {
			r.settled(spec, conflicts)
			return nil
		}
		last = r.tables.UpdateTable(ctx, updated(table, *update))
		if last != nil && !errors.Is(last, glue.ErrChanged) && !errors.Is(last, glue.ErrUnavailable) {
			return last
		}
		if last == nil {
			r.changed(spec.Name, update.Changes)
		}
	}
	return fmt.Errorf("table %s keeps changing: %w", spec.Name, last)
}

func (r *registrar) settled(spec change.Spec, conflicts []change.ColumnChange) {
	r.fresh[spec.Name] = time.Now()
	r.changed(spec.Name, conflicts)
}

func (r *registrar) changed(table string, changes []change.ColumnChange) {
	for _, c := range changes {
		r.tell(SchemaChange{Table: table, Change: c})
	}
}

// create makes the table, and the database if that is missing too.
func (r *registrar) create(ctx context.Context, spec change.Spec) error {
	if err := r.lost(ctx, spec.Name); err != nil {
		return err
	}
	r.known.forget(spec.Name)
	r.refused.forget(spec.Name)
	table, index := newTable(r.database, spec)
	err := r.tables.CreateTable(ctx, table, index)
	if errors.Is(err, glue.ErrNotFound) {
		err = r.tables.CreateDatabase(ctx, glue.Database{Name: r.database, Description: "Customer events, written by weir"})
		if err != nil && !errors.Is(err, glue.ErrExists) {
			return err
		}
		if err == nil {
			r.tell(Created{Database: r.database})
		}
		err = r.tables.CreateTable(ctx, table, index)
	}
	if err == nil {
		r.tell(Created{Database: r.database, Table: spec.Name})
	}
	return err
}

// chunk registers the chunk's partitions, sending again only what failed.
func (r *registrar) chunk(ctx context.Context, c change.Chunk) error {
	left := c.Partitions
	return r.retry(ctx, r.tell, Glue, func() error {
		if err := sleep(ctx, r.pace.Take(time.Now())); err != nil {
			return err
		}
		var err error
		left, err = r.once(ctx, c.Spec, left)
		return err
	})
}

// once makes one call, and says what is left to be sent again and why.
func (r *registrar) once(ctx context.Context, spec change.Spec, parts []change.Partition) ([]change.Partition, error) {
	inputs := make([]glue.Partition, len(parts))
	for i, p := range parts {
		inputs[i] = newPartition(spec, p)
	}
	items, err := r.partitions.BatchCreatePartition(ctx, r.database, spec.Name, inputs)
	if err != nil {
		return parts, r.failed(ctx, spec, err)
	}
	byValue := make(map[string]error, len(items))
	for _, item := range items {
		byValue[strings.Join(item.Values, "/")] = item.Err
	}
	var left []change.Partition
	var why error
	sum := Registered{Table: spec.Name}
	for _, p := range parts {
		switch err := byValue[strings.Join(p.Values, "/")]; {
		case err == nil:
			sum.Created++
			r.known.add(p.Lake, time.Now())
		case errors.Is(err, glue.ErrExists): // its location stays, whatever it is
			sum.Stood++
			r.known.add(p.Lake, time.Now())
		case errors.Is(err, glue.ErrInvalid): // no trying will help, and the others must not wait
			r.refused.add(p.Lake, time.Now())
			r.tell(Refused{Partition: p.Lake, Err: err})
		default:
			left, why = append(left, p), err
		}
	}
	r.tell(sum)
	return left, r.failed(ctx, spec, why)
}

// failed does what an error asks for beyond trying again, and returns it.
func (r *registrar) failed(ctx context.Context, spec change.Spec, err error) error {
	switch {
	case errors.Is(err, glue.ErrThrottled):
		r.pace.Throttled(time.Now())
	case errors.Is(err, glue.ErrNotFound): // the table is gone: make it again, then the partitions
		delete(r.fresh, spec.Name)
		if err := r.converge(ctx, spec); err != nil {
			return err
		}
	}
	return err
}

// warm fills the cache with what Glue holds of the last days, so that a start
// does not register everything again. Older partitions are found out one by one.
func (r *registrar) warm(ctx context.Context, table lake.Table) error {
	since := lake.DayOf(time.Now()) - scanDays
	filter := glue.Filter{Expression: fmt.Sprintf("dt >= '%s'", since), ExcludeColumns: true}
	return r.retry(ctx, r.tell, Glue, func() error {
		for p, err := range r.partitions.Partitions(ctx, r.database, table.Name, filter) {
			if err != nil {
				return err
			}
			if len(p.Values) != len(change.PartitionKeys()) {
				continue
			}
			if day, err := lake.ParseDay(p.Values[1]); err == nil {
				r.known.add(lake.Partition{Table: table.Name, SourceID: p.Values[0], Day: day}, time.Now())
			}
		}
		return nil
	})
}
