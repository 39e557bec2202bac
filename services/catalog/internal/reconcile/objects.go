package reconcile

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"weir/pkg/lake"
)

// objects is what engines see of the lake: for each object a hash of its key, 8 bytes,
// and a mark, so that a lake of ten million objects takes a hundred megabytes.
type objects struct {
	seed   maphash.Seed
	hashes []uint64 // sorted
	named  []bool   // by a manifest
	dirs   map[lake.Partition]*dir
}

// dir is one directory of a table.
type dir struct {
	objects int // that weir's sinks and jobs name so
	pending int // of them, named by flushes that the gate has not accepted yet
}

// list lists the objects of every table. Those that engines do not look at are left out.
func (l Lake) list(ctx context.Context) (*objects, error) {
	all := &objects{seed: maphash.MakeSeed(), dirs: make(map[lake.Partition]*dir)}
	err := l.eachObject(ctx, func(table lake.Table, key string, _ time.Time) {
		all.hashes = append(all.hashes, maphash.String(all.seed, key))
		if p, ok := lakePartition(table, key); ok {
			all.dir(p).objects++
		}
	})
	slices.Sort(all.hashes)
	all.named = make([]bool, len(all.hashes))
	return all, err
}

// eachObject passes over what engines pass over: names that begin with _ or a dot.
func (l Lake) eachObject(ctx context.Context, do func(table lake.Table, key string, modified time.Time)) error {
	n := 0
	for _, spec := range l.Lake.Specs() {
		table := l.Lake.Tables[spec.Name]
		for o, err := range l.Store.List(ctx, table.Dir+"/", "") {
			if err != nil {
				return err
			}
			if lake.Hidden(o.Key) {
				continue
			}
			do(table, o.Key, o.Modified)
			if n++; n%10_000 == 0 {
				l.tell("%d objects listed", n)
			}
		}
	}
	return nil
}

// lakePartition is where an object stands that a sink made, whatever codec it wrote, or a job.
func lakePartition(table lake.Table, key string) (lake.Partition, bool) {
	kinds := []lake.Table{table}
	if table.Name == lake.EventLogsRawName {
		kinds = []lake.Table{lake.EventLogsRaw("zstd"), lake.EventLogsRaw("gzip")}
	}
	for _, t := range kinds {
		if p, _, _, err := lake.ParseObjectKey(t, key); err == nil {
			return p, true
		}
	}
	return lake.ParseJobKey(table, key)
}

func (o *objects) len() int { return len(o.hashes) }

func (o *objects) dir(p lake.Partition) *dir {
	d := o.dirs[p]
	if d == nil {
		d = new(dir)
		o.dirs[p] = d
	}
	return d
}

// name notes that a manifest names the object, and tells whether it was listed.
func (o *objects) name(key string) bool {
	i, ok := slices.BinarySearch(o.hashes, maphash.String(o.seed, key))
	if ok {
		o.named[i] = true
	}
	return ok
}

func (o *objects) unnamed() bool { return slices.Contains(o.named, false) }

func (o *objects) isNamed(key string) bool {
	i, ok := slices.BinarySearch(o.hashes, maphash.String(o.seed, key))
	return ok && o.named[i]
}

// needed are the lake partitions that Glue must know: those with an object that is not
// merely on its way.
func (o *objects) needed() []lake.Partition {
	var list []lake.Partition
	for p, d := range o.dirs {
		if d.objects > d.pending {
			list = append(list, p)
		}
	}
	return list
}

// unnamed reports the objects that no manifest names. Of those that are older than
// horizon the manifests may have been removed, and those that came after the listing
// began are not judged either.
func (l Lake) unnamed(ctx context.Context, objects *objects, horizon, began time.Time, report *Report) error {
	if !objects.unnamed() {
		return nil
	}
	return l.eachObject(ctx, func(table lake.Table, key string, modified time.Time) {
		if objects.isNamed(key) || !modified.Before(began) {
			return
		}
		if _, made := lake.ParseJobKey(table, key); made {
			return // of a time before the sink: no manifest names it
		}
		p, ok := lakePartition(table, key)
		switch {
		case !ok:
			report.add(Difference{Kind: ObjectForeign, Table: table.Name, Key: key, Why: "engines read it as part of the table, and no sink named it so"})
		case !modified.After(horizon):
			report.Unjudged++
		default:
			report.add(Difference{Kind: ObjectUnknown, Table: table.Name, Lake: p, Key: key, Why: "no manifest names it: its rows may be doubled, see weir verify"})
		}
	})
}
