package query

import (
	"context"
	"fmt"
	"slices"

	"weir/pkg/columnar"
	"weir/pkg/lake"
	"weir/pkg/ledger"
)

// published knows what the catalog's ledger says of lake partitions, without a look at
// any object. Of a partition that is not in it, others are asked. What was flushed
// within the last minute, or written by a job, it does not know.
type published struct {
	sums   map[lake.Partition]ledger.Sum
	others Sizes
}

func (s published) Of(ctx context.Context, t *table, p *partition) (Size, error) {
	sum, there := s.sums[partitionOf(t, p)]
	if !there {
		return s.others.Of(ctx, t, p)
	}
	size := Size{Objects: int(sum.Files), Recorded: int(sum.Files), Bytes: sum.Bytes, Whole: sum.Bytes - sum.Unsized}
	if sum.Unsized == 0 {
		size.Looked = size.Objects
	}
	size.Columns = size.Whole - outside(sum) // with footers and page indexes, which are in no column
	for name, bytes := range sum.Columns {
		if t.reads != nil && !t.reads[name] {
			size.Columns -= bytes
		}
	}
	return size, nil
}

// outside is what no scan of columns reads: the Bloom filters of the table that has some. Nobody wrote down how large
// they are, but it follows from the rows; never is it more than what no column takes.
func outside(sum ledger.Sum) int64 {
	if sum.Partition.Table != lake.EventLogsName || sum.Bytes == 0 {
		return 0
	}
	known := sum.Bytes - sum.Unsized
	rest := known
	for _, bytes := range sum.Columns {
		rest -= bytes
	}
	rows := float64(sum.Rows) * float64(known) / float64(sum.Bytes)
	return min(columnar.BloomBytes(int64(rows)), max(rest, 0))
}

// partitionOf is what the ledger calls a partition; the zero Partition where it is none
// of the sink's tables.
func partitionOf(t *table, p *partition) lake.Partition {
	if len(t.keys) != 2 || t.keys[0].name != "sourceid" || t.keys[1].name != dayKey {
		return lake.Partition{}
	}
	day, err := lake.ParseDay(p.values[1])
	if err != nil {
		return lake.Partition{}
	}
	return lake.Partition{Table: t.name, SourceID: p.values[0], Day: day}
}

// recorded reads what the ledger knows of the partitions that a query can touch: one
// small object for each day from the first to the last of them.
func (l *Lake) recorded(ctx context.Context, p *Plan) (map[lake.Partition]ledger.Sum, error) {
	asked := make(map[lake.Partition]bool)
	var days []lake.Day
	for i := range p.tables {
		t := &p.tables[i]
		if !t.named {
			continue
		}
		for j := range t.partitions {
			if at := partitionOf(t, &t.partitions[j]); at != (lake.Partition{}) {
				asked[at] = true
				days = append(days, at.Day)
			}
		}
	}
	if len(days) == 0 {
		return nil, nil
	}
	store, err := l.whole(ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[lake.Partition]ledger.Sum)
	for sum, err := range ledger.Open(store, l.cfg.Database).Each(ctx, "", ledger.Filter{From: slices.Min(days), To: slices.Max(days)}) {
		if err != nil {
			return nil, fmt.Errorf("read the sums of the catalog's ledger: %w", err)
		}
		if asked[sum.Partition] {
			found[sum.Partition] = sum
		}
	}
	return found, nil
}
