// Package keep puts views into Glue, in the form that Athena and Trino read, and keeps the state that they come from in
// the lake. Its invariant: it makes and widens views of its own and nothing else. A table or view of somebody else is left
// alone, whatever its name; a column that Glue holds of a view stays; no view is dropped, and none is made beyond the limit.
// Every call may be made again after a crash or a lost answer, and by two catalogs at once. Which views there are is
// decided by internal/views, from what internal/ledger counts. Floor 3, SHELL; owned by the catalog service.
package keep

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"time"

	"weir/pkg/glue"
	"weir/pkg/s3"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/views"
)

// Dependency is how a keeper that cannot go on is named in faults.
const Dependency follow.Dependency = "views"

// lookEvery is how often Glue is looked at though nothing is new: somebody may have changed it.
const lookEvery = 10 * time.Minute

// Glue is the part of Glue that is needed.
type Glue interface {
	Tables(ctx context.Context, database string) iter.Seq2[glue.Table, error]
	CreateTable(ctx context.Context, t glue.Table, indexes ...glue.PartitionIndex) error
	UpdateTable(ctx context.Context, t glue.Table) error
}

// Settings of a keeper.
type Settings struct {
	Database string
	Limits   views.Limits // Views 0: nothing is done
}

// Keeper keeps the views of one database. New may be called by anybody, the rest belongs to the goroutine of Run.
type Keeper struct {
	settings Settings
	store    Store
	glue     Glue
	tell     Observer
	fault    follow.Observer
	fresh    chan struct{}

	shown  []views.View // that Glue was seen to show
	looked time.Time
}

// NewKeeper wires a keeper; Run starts it.
func NewKeeper(s Settings, store Store, g Glue, tell Observer, fault follow.Observer) *Keeper {
	return &Keeper{settings: s, store: store, glue: g, tell: tell, fault: fault, fresh: make(chan struct{}, 1)}
}

// New notes that the state may have changed.
func (k *Keeper) New() {
	select {
	case k.fresh <- struct{}{}:
	default:
	}
}

// Run keeps the views until ctx ends. It gives up on nothing: faults are retried.
func (k *Keeper) Run(ctx context.Context) {
	for k.settings.Limits.Views > 0 && ctx.Err() == nil {
		if follow.Retry(ctx, k.fault, Dependency, func() error { return k.round(ctx) }) != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-k.fresh:
		case <-time.After(lookEvery):
		}
	}
}

// round makes Glue show what the state says.
func (k *Keeper) round(ctx context.Context) error {
	state, _, err := Read(ctx, k.store, k.settings.Database)
	if err != nil {
		return err
	}
	grown := state.Grow(k.settings.Limits)
	if !grown && reflect.DeepEqual(state.Views, k.shown) && time.Since(k.looked) < lookEvery {
		k.count(state)
		return nil
	}
	held, err := k.held(ctx)
	if err != nil || held == nil {
		return err
	}
	if state, err = k.settle(ctx, held); err != nil {
		return err
	}
	k.count(state)
	settled := true
	for i := range state.Views[:min(len(state.Views), k.settings.Limits.Views)] {
		ok, err := k.show(ctx, &state.Views[i], held)
		if err != nil {
			return err
		}
		settled = settled && ok
	}
	if settled {
		k.shown, k.looked = state.Views, time.Now()
	}
	return nil
}

func (k *Keeper) count(s *views.State) {
	k.tell(Counted{Views: len(s.Views), Waiting: s.Waiting(), Unnoted: s.Seen.Unnoted})
}

// settle adds to the state what only Glue knows, then what has grown, and writes it before anything of it is shown.
func (k *Keeper) settle(ctx context.Context, held map[string]glue.Table) (*views.State, error) {
	state, etag, err := Read(ctx, k.store, k.settings.Database)
	if err != nil {
		return nil, err
	}
	adopted := state.Adopt(ours(held))
	if grown := state.Grow(k.settings.Limits); adopted || grown {
		_, err = Write(ctx, k.store, k.settings.Database, state, etag)
	}
	return state, err // ErrChanged: the ledger has counted meanwhile, the next try sees it
}

// held is what Glue holds, by name; nil where there is no database yet.
func (k *Keeper) held(ctx context.Context) (map[string]glue.Table, error) {
	held := make(map[string]glue.Table)
	for t, err := range k.glue.Tables(ctx, k.settings.Database) {
		if errors.Is(err, glue.ErrNotFound) {
			return nil, nil // the follower makes it, with the tables
		}
		if err != nil {
			return nil, err
		}
		held[t.Name] = t
	}
	return held, nil
}

// show makes Glue hold one view. Not ok: somebody was faster, and Glue has to be looked at again.
func (k *Keeper) show(ctx context.Context, v *views.View, held map[string]glue.Table) (ok bool, err error) {
	table, there := held[v.Name]
	switch {
	case !there:
		err = k.glue.CreateTable(ctx, newTable(k.settings.Database, v))
	case !isOurs(table) || eventOf(table) != v.Event:
		k.tell(Foreign{Name: v.Name, Event: v.Event, Kind: table.Type})
		return true, nil
	case v.Serves(shownOf(table)):
		return true, nil
	default:
		if column := v.Contradicts(shownOf(table)); column != "" {
			k.tell(Foreign{Name: v.Name, Event: v.Event, Kind: table.Type, Column: column})
			return true, nil
		}
		err = k.glue.UpdateTable(ctx, widened(table, k.settings.Database, v))
	}
	switch {
	case errors.Is(err, glue.ErrExists), errors.Is(err, glue.ErrChanged):
		k.New()
		return false, nil
	case errors.Is(err, glue.ErrInvalid), errors.Is(err, glue.ErrLimit): // no trying will help, and the others must not wait
		k.tell(Refused{Name: v.Name, Event: v.Event, Err: err})
		return true, nil
	case err != nil:
		return false, err
	}
	k.tell(Shown{Name: v.Name, Event: v.Event, Columns: len(v.Columns), Made: !there})
	return true, nil
}

var _ Store = (*s3.Store)(nil)
