package query

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"weir/services/query/price"
)

// Basis says what an estimate stands on.
type Basis string

// The bases.
const (
	Exact  Basis = "footers of all objects"
	Ledger Basis = "the catalog's ledger"
	Sample Basis = "footers of some objects, the others in proportion"
	Bound  Basis = "whole objects, an upper bound"
)

// Estimate is what a query would read at most: what an engine spares by statistics
// inside the files, by LIMIT, or by giving up early is not taken off.
type Estimate struct {
	Tables  []TableEstimate
	Objects int
	Bytes   int64
	Dollars float64
	Basis   Basis // the weakest of its tables'
}

// TableEstimate is one table's part.
type TableEstimate struct {
	Table             string
	Partitions, Known int
	Objects           int
	Bytes             int64
	Columns           []string // that are read of it, sorted; nil = all
	Basis             Basis
}

// String is the line for people.
func (e Estimate) String() string {
	return fmt.Sprintf("about %s in %d objects, %s (%s)", price.Size(e.Bytes), e.Objects, price.Text(e.Dollars), e.Basis)
}

// Estimate says what a planned query reads and costs on Athena: by the catalog's
// ledger, and for what is not in it from the footers of the files.
func (l *Lake) Estimate(ctx context.Context, p *Plan) (Estimate, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	return l.within(ctx, p, -1)
}

// within is the first estimate by which the query costs no more than that, or else the
// best there is. Footers are read only where the listing alone does not settle it.
func (l *Lake) within(ctx context.Context, p *Plan, dollars float64) (Estimate, error) {
	sums, err := l.recorded(ctx, p)
	if err != nil {
		sums = nil // who may read the table and not the ledger asks the files; the basis says so
	}
	e, err := l.estimate(ctx, p, published{sums, listing{l}})
	if err != nil || e.Dollars <= dollars || e.Basis == Ledger {
		return e, err
	}
	return l.estimate(ctx, p, published{sums, footers{listing{l}, choose(p.tables)}})
}

// CostError is a query that may cost more than is allowed.
type CostError struct {
	Estimate Estimate
	MaxCost  float64
}

func (e *CostError) Error() string {
	return fmt.Sprintf("the query would read %s, and max-cost is %s: bound %s or sourceid, name fewer columns, or run it with --yes",
		e.Estimate, price.Text(e.MaxCost), dayKey)
}

// Affordable answers a CostError for a query that may cost more than max-cost.
func (l *Lake) Affordable(ctx context.Context, p *Plan) error {
	if l.cfg.MaxCost == 0 || p.Free() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	e, err := l.within(ctx, p, l.cfg.MaxCost)
	if err != nil || e.Dollars <= l.cfg.MaxCost {
		return err
	}
	return &CostError{Estimate: e, MaxCost: l.cfg.MaxCost}
}

func (l *Lake) estimate(ctx context.Context, p *Plan, sizes Sizes) (Estimate, error) {
	e := Estimate{Basis: Exact}
	for i := range p.tables {
		t := &p.tables[i]
		if !t.named {
			continue
		}
		part, err := estimateTable(ctx, t, sizes)
		if err != nil {
			return Estimate{}, err
		}
		e.Tables = append(e.Tables, part)
		e.Objects += part.Objects
		e.Bytes += part.Bytes
		if rank(part.Basis) > rank(e.Basis) {
			e.Basis = part.Basis
		}
	}
	if !p.Free() {
		e.Dollars = price.Dollars(e.Bytes, l.cfg.PerTB)
	}
	return e, nil
}

func rank(b Basis) int { return slices.Index([]Basis{Exact, Ledger, Sample, Bound}, b) }

func estimateTable(ctx context.Context, t *table, sizes Sizes) (TableEstimate, error) {
	found := make([]Size, len(t.partitions))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for i := range t.partitions {
		group.Go(func() (err error) {
			found[i], err = sizes.Of(asking, t, &t.partitions[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return TableEstimate{}, fmt.Errorf("estimate what is read of table %s: %w", t.name, err)
	}
	e := TableEstimate{Table: t.name, Partitions: len(t.partitions), Known: t.known}
	if t.reads != nil && t.format == parquetFiles {
		e.Columns = slices.Sorted(maps.Keys(t.reads))
	}
	var sum Size
	for _, s := range found {
		sum.Objects += s.Objects
		sum.Bytes += s.Bytes
		sum.Looked += s.Looked
		sum.Recorded += s.Recorded
		sum.Whole += s.Whole
		sum.Columns += s.Columns
	}
	e.Objects = sum.Objects
	e.Bytes, e.Basis = sum.bytes(t.format)
	return e, nil
}

// bytes that are read, as far as that is known.
func (s Size) bytes(f format) (int64, Basis) {
	known := Exact
	if s.Recorded > 0 {
		known = Ledger
	}
	switch {
	case f == jsonLines: // always read whole
		return s.Bytes, known
	case s.Looked == s.Objects:
		return s.Columns, known
	case s.Whole == 0:
		return s.Bytes, Bound
	}
	others := float64(s.Bytes - s.Whole)
	return s.Columns + int64(others*float64(s.Columns)/float64(s.Whole)), Sample
}
