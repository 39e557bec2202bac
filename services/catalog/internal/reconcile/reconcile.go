// Package reconcile holds what Glue, the objects, the manifests and the gates say of a
// lake against each other, and repairs what can be proved. Reconcile only reads; Repair
// registers what the lake holds and Glue lacks, and lets a partition that stopped at its
// gate pass again where the manifests lead without a hole from what its group has
// committed back to what the gate accepted. Neither writes or deletes data, and whether
// rows are missing or doubled is services/verify's to say.
// Floor 3, SHELL; owned by the catalog service.
package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
)

// Store is the part of the object store that is needed.
type Store interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	Head(ctx context.Context, key string) (s3.Object, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
	PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error)
}

// Tables and Partitions are the parts of Glue that are needed.
type (
	Tables     = follow.Tables
	Partitions = follow.Partitions
)

// Lake is one lake with the Glue database that shows it.
type Lake struct {
	Store      Store
	Tables     Tables
	Partitions Partitions
	Database   string
	Lake       change.Lake
	Progress   func(text string) // how far the work is
}

// Kind of a difference.
type Kind string

// The differences.
const (
	TableMissing      Kind = "table missing"
	TableLocation     Kind = "table location"
	ColumnMissing     Kind = "column missing"
	ColumnType        Kind = "column type"
	PartitionMissing  Kind = "partition missing"  // it has objects, and Glue does not know it
	PartitionLocation Kind = "partition location" // Glue leads queries elsewhere
	ObjectMissing     Kind = "object missing"     // an accepted flush names it
	ObjectUnknown     Kind = "object without manifest"
	ObjectForeign     Kind = "foreign object" // engines read it, and no sink wrote it
	ManifestMissing   Kind = "manifest missing"
	GateStopped       Kind = "gate stopped"
	GateUnreadable    Kind = "gate unreadable"
	GateMissing       Kind = "gate missing"
	ColumnsLost       Kind = "registry of columns lost" // files were written with a version that is not there
)

// Difference is one thing that two of them say differently.
type Difference struct {
	Kind  Kind
	Table string         // "" where it is about none
	Lake  lake.Partition // zero where it is about none
	Key   string         // of the object, manifest or gate; "" where it is about none
	Why   string
}

// shown bounds the differences of one kind that a report lists.
const shown = 1000

// Report is what a reconciliation came to.
type Report struct {
	Differences []Difference // at most 1000 of each kind, in the order of kinds
	Counts      map[Kind]int // all of them
	Objects     int
	Flushes     int // accepted, whose manifests were read
	Unjudged    int // objects that are older than the manifests that are left
}

// OK: nothing differs.
func (r *Report) OK() bool { return len(r.Counts) == 0 }

func (r *Report) add(d Difference) {
	r.Counts[d.Kind]++
	if r.Counts[d.Kind] <= shown {
		r.Differences = append(r.Differences, d)
	}
}

// Reconcile compares, and changes nothing. The objects are listed first: whatever is
// visible then has a manifest, and a gate that is read later knows no less of it.
func (l Lake) Reconcile(ctx context.Context) (*Report, error) {
	began := time.Now()
	report := &Report{Counts: make(map[Kind]int)}
	objects, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	report.Objects = objects.len()
	gates, err := l.gates(ctx)
	if err != nil {
		return nil, err
	}
	gates.differences(report)
	named := &flushes{Lake: l, report: report, objects: objects, gates: gates, now: began}
	if err := named.read(ctx); err != nil {
		return nil, err
	}
	if err := l.unnamed(ctx, objects, named.horizon, began, report); err != nil {
		return nil, err
	}
	if err := l.registry(ctx, report); err != nil {
		return nil, err
	}
	if err := l.glue(ctx, objects, report); err != nil {
		return nil, err
	}
	slices.SortStableFunc(report.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
	})
	return report, nil
}

func (l Lake) tell(format string, args ...any) { l.Progress(fmt.Sprintf(format, args...)) }

// glue adds what Glue says differently.
func (l Lake) glue(ctx context.Context, objects *objects, report *Report) error {
	found, err := l.compare(ctx, objects.needed())
	for _, d := range found {
		report.add(d)
	}
	return err
}

// partitionOf is how a difference names a partition of Glue.
func partitionOf(p glue.Partition, table string) (lake.Partition, bool) {
	if len(p.Values) != len(change.PartitionKeys()) {
		return lake.Partition{}, false
	}
	day, err := lake.ParseDay(p.Values[1])
	return lake.Partition{Table: table, SourceID: p.Values[0], Day: day}, err == nil
}
