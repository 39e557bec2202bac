package reconcile

import (
	"context"
	"errors"
	"fmt"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/services/catalog/internal/change"
)

// registry adds that files were written with a version of the registry of columns that is gone.
func (l Lake) registry(ctx context.Context, report *Report) error {
	known, used, err := stored.Look(ctx, l.Store)
	if err != nil {
		return err
	}
	if lost := used.Lost(known); lost != nil {
		report.add(Difference{Kind: ColumnsLost, Table: lake.EventLogsName, Key: lake.ColumnsKey(lake.EventLogsName), Why: lost.Error()})
	}
	return nil
}

// columns makes a registry anew that is lost, from the table's columns, where the table is known to have all of them.
func (r *Repair) columns(ctx context.Context) error {
	known, used, err := stored.Look(ctx, r.Store)
	if err != nil {
		return err
	}
	lost := used.Lost(known)
	if lost == nil {
		return nil
	}
	what := "registry of columns " + lake.ColumnsKey(lake.EventLogsName)
	registry, why, err := r.rebuild(ctx, used)
	if err != nil {
		return err
	}
	if why != "" {
		r.add(what, Refused, lost.Error(), why)
		return nil
	}
	if !r.DryRun {
		err := stored.Restore(ctx, r.Store, registry)
		if errors.Is(err, stored.ErrUnusable) {
			r.add(what, Refused, lost.Error(), err.Error())
			return nil
		}
		if err != nil {
			return err
		}
	}
	r.Lake.Lake.Promoted = registry
	r.add(what, Restored, lost.Error(), fmt.Sprintf("made anew from the %d promoted columns of table %s in Glue, as version %d", len(registry.Columns), lake.EventLogsName, registry.Version))
	return nil
}

// rebuild is the registry as the table shows it; why: that proves nothing.
func (r *Repair) rebuild(ctx context.Context, used stored.Used) (registry promote.Registry, why string, err error) {
	held, err := r.Tables.GetTable(ctx, r.Database, lake.EventLogsName)
	if errors.Is(err, glue.ErrNotFound) {
		return registry, fmt.Sprintf("there is no table %s.%s in Glue to make it from: put it back as the bucket's older object versions or a backup have it", r.Database, lake.EventLogsName), nil
	}
	if err != nil {
		return registry, "", err
	}
	version := change.ColumnsVersion(held.Parameters)
	if version < used.Version {
		return registry, fmt.Sprintf("table %s.%s in Glue is known to have the columns of version %d only: put version %d back as the bucket's older object versions or a backup have it; or, if you know that the table has them all, set its parameter %s to %d and repair again",
			r.Database, lake.EventLogsName, version, used.Version, change.ParamColumns, used.Version), nil
	}
	var table []promote.Shown
	for _, c := range held.Columns {
		table = append(table, promote.Shown{Name: c.Name, Type: c.Type, Path: c.Parameters[change.ParamPath]})
	}
	registry, err = promote.Rebuild(table, version+1) // files may have been written with as many as the table knows
	if err != nil {
		return registry, fmt.Sprintf("table %s.%s in Glue is not as the catalog made it: %s", r.Database, lake.EventLogsName, err), nil
	}
	return registry, "", nil
}
