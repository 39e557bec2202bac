package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
)

// compare holds Glue against what the lake needs: its tables, and these partitions.
func (l Lake) compare(ctx context.Context, needed []lake.Partition) ([]Difference, error) {
	var found []Difference
	for _, spec := range l.Lake.Specs() {
		l.tell("comparing table %s", spec.Name)
		differences, there, err := l.table(ctx, spec)
		if err != nil {
			return nil, err
		}
		found = append(found, differences...)
		standing := make(map[lake.Partition]string)
		if there {
			if standing, err = l.standing(ctx, spec.Name); err != nil {
				return nil, err
			}
		}
		found = append(found, l.partitions(spec.Name, needed, standing)...)
	}
	return found, nil
}

func (l Lake) table(ctx context.Context, spec change.Spec) (found []Difference, there bool, err error) {
	held, err := l.Tables.GetTable(ctx, l.Database, spec.Name)
	if errors.Is(err, glue.ErrNotFound) {
		return []Difference{{Kind: TableMissing, Table: spec.Name, Why: fmt.Sprintf("there is no table %s.%s in Glue", l.Database, spec.Name)}}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !sameLocation(held.Location, spec.Location) {
		found = append(found, Difference{Kind: TableLocation, Table: spec.Name, Why: fmt.Sprintf("Glue says %s, the lake is at %s", held.Location, spec.Location)})
	}
	changes, err := follow.Missing(held, spec)
	if err != nil {
		return append(found, Difference{Kind: ColumnType, Table: spec.Name, Why: err.Error()}), true, nil
	}
	for _, c := range changes {
		d := Difference{Kind: ColumnType, Table: spec.Name, Why: fmt.Sprintf("column %s is %s, the files hold %s", c.Column, c.From, c.To)}
		if c.Kind == change.Add {
			d.Kind, d.Why = ColumnMissing, fmt.Sprintf("column %s %s", c.Column, c.To)
		}
		found = append(found, d)
	}
	return found, true, nil
}

// standing is where Glue says that the partitions of a table are.
func (l Lake) standing(ctx context.Context, table string) (map[lake.Partition]string, error) {
	all := make(map[lake.Partition]string)
	for p, err := range l.Partitions.Partitions(ctx, l.Database, table, glue.Filter{ExcludeColumns: true}) {
		if err != nil {
			return nil, err
		}
		if at, ok := partitionOf(p, table); ok {
			all[at] = p.Location
		}
	}
	return all, nil
}

func (l Lake) partitions(table string, needed []lake.Partition, standing map[lake.Partition]string) []Difference {
	var found []Difference
	for _, p := range needed {
		if p.Table != table {
			continue
		}
		want := l.Lake.PartitionOf(l.Lake.Tables[table], p).Location
		location, ok := standing[p]
		switch {
		case !ok:
			found = append(found, Difference{Kind: PartitionMissing, Table: table, Lake: p, Why: "objects stand in " + want})
		case !sameLocation(location, want):
			found = append(found, Difference{Kind: PartitionLocation, Table: table, Lake: p, Why: fmt.Sprintf("Glue says %s, the objects stand in %s", location, want)})
		}
	}
	slices.SortFunc(found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Lake.SourceID, b.Lake.SourceID), cmp.Compare(a.Lake.Day, b.Lake.Day))
	})
	return found
}

func sameLocation(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }
