package reconcile

import (
	"context"
	"fmt"
	"slices"

	"weir/pkg/flush"
)

// glue puts back what the lake holds and Glue lacks. What Glue says otherwise is left
// alone: somebody may have meant it.
func (r *Repair) glue(ctx context.Context) error {
	objects, err := r.list(ctx)
	if err != nil {
		return err
	}
	found, err := r.compare(ctx, objects.needed())
	if err != nil {
		return err
	}
	if err := r.put(ctx, found); err != nil {
		return err
	}
	refused := len(r.done)
	for _, d := range found {
		what := "table " + d.Table
		if d.Lake.Table != "" {
			what = "partition " + describe(d.Lake)
		}
		switch d.Kind {
		case TableMissing, ColumnMissing, PartitionMissing:
			if !slices.ContainsFunc(r.done[:refused], func(one Repaired) bool { return one.What == describe(d.Lake) }) {
				r.add(what, Created, string(d.Kind), d.Why)
			}
		default:
			r.add(what, Refused, string(d.Kind), fmt.Sprintf("%s; it is left alone: change it in Glue if it is wrong", d.Why))
		}
	}
	return nil
}

func (r *Repair) put(ctx context.Context, found []Difference) error {
	if r.DryRun {
		return nil
	}
	if slices.ContainsFunc(found, func(d Difference) bool { return d.Kind == TableMissing || d.Kind == ColumnMissing }) {
		if err := r.registrar.Tables(ctx); err != nil {
			return err
		}
	}
	var files []flush.NotifiedFile
	for _, d := range found {
		if d.Kind == PartitionMissing {
			files = append(files, flush.NotifiedFile{Table: d.Table, Partition: d.Lake})
		}
	}
	r.tell("registering %d partitions", len(files))
	return r.registrar.Partitions(ctx, []flush.Notification{{Files: files}})
}
