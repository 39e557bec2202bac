package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/services/query/internal/sqltext"
)

// Plan is what a query would read: it is made before anything is run.
type Plan struct {
	Notes []string // one line each: what is left out, which bound is missing, which names are not there

	question Question
	sql      string // the question with its parameters in it
	kind     sqltext.Kind
	tables   []table   // of the database; those that the query names have their partitions
	views    []virtual // of the database; first those that the query names, in the order in which they can be made
	whole    error     // why the planner does not know, so that the tables named count whole; nil = it knows
}

// unplanned is an error of the planner, which is not the query's on another engine.
type unplanned struct{ error }

func (u unplanned) Unwrap() error { return u.error }

// Plan looks at a query: which tables, partitions and columns it can touch. What only
// Athena understands counts by the tables that it names, and is not refused.
func (l *Lake) Plan(ctx context.Context, q Question) (*Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	p := &Plan{question: q, kind: sqltext.KindOf(q.SQL)}
	var err error
	if p.sql, err = sqltext.Bind(q.SQL, literals(q.Params)); err != nil {
		return nil, err
	}
	if l.cfg.Athena && p.kind == sqltext.Other {
		return nil, errors.New("only a query is answered (SELECT, SHOW, DESCRIBE, EXPLAIN of one)")
	}
	if p.tables, p.views, p.Notes, err = l.tables(ctx); err != nil {
		return nil, err
	}
	err = l.narrow(ctx, p)
	var own unplanned
	if l.cfg.Athena && errors.As(err, &own) {
		p.whole = own.error
		return p, l.countWhole(ctx, p)
	}
	if err != nil {
		return nil, p.nearby(err)
	}
	if p.kind == sqltext.Query {
		p.noteStrangers()
	}
	return p, nil
}

func literals(params []string) []string {
	list := make([]string, len(params))
	for i, v := range params {
		list[i] = sqltext.Literal(v)
	}
	return list
}

// countWhole takes every partition and column of the tables whose names stand in the
// query.
func (l *Lake) countWhole(ctx context.Context, p *Plan) error {
	named := p.mentioned()
	for i := range p.tables {
		t := &p.tables[i]
		if t.named = named[t.name]; !t.named {
			continue
		}
		if err := l.partitions(ctx, t); err != nil {
			return err
		}
		t.known = len(t.partitions)
	}
	if p.kind == sqltext.Query {
		reason, _, _ := strings.Cut(p.whole.Error(), "\n")
		p.Notes = append(p.Notes, "the planner here does not know how to read this query, so the tables that it names count whole: "+reason)
	}
	return nil
}

// partitions that are read, and that are registered for the tables that are named.
func (p *Plan) partitions() (read, known int) {
	for _, t := range p.tables {
		read += len(t.partitions)
		known += t.known
	}
	return read, known
}

// Tables are those that the query reads.
func (p *Plan) Tables() []string {
	var names []string
	for _, t := range p.tables {
		if t.named {
			names = append(names, t.name)
		}
	}
	return names
}

// Free says that the query reads no table, and costs nothing.
func (p *Plan) Free() bool { return p.kind == sqltext.Metadata }

// narrow leaves each table those partitions and columns that the query can touch.
func (l *Lake) narrow(ctx context.Context, p *Plan) (err error) {
	planner, err := openEngine(ctx, slices.Concat(common(l.cfg.Database), []string{
		"SET enable_external_access=false",
		"CREATE SCHEMA " + planSchema,
	})...)
	if err != nil {
		return unplanned{err}
	}
	defer func() { err = errors.Join(err, planner.close()) }()
	question := sqltext.Explained(p.sql)
	named, err := l.references(ctx, planner, question)
	if err != nil {
		return err
	}
	if err := p.expand(ctx, planner, named); err != nil {
		return err
	}
	for i := range p.tables {
		t := &p.tables[i]
		if t.named = named[strings.ToLower(t.name)]; t.named {
			if err := l.partitions(ctx, t); err != nil {
				return err
			}
		}
		t.known = len(t.partitions)
		if err := planner.exec(ctx, slices.Concat([]string{"BEGIN"}, t.planSQL(i), []string{"COMMIT"})...); err != nil {
			return err
		}
	}
	if err := planner.exec(ctx, p.viewsSQL()...); err != nil {
		return unplanned{err}
	}
	plan, ok, err := planner.plan(ctx, question)
	if err != nil {
		return unplanned{err}
	}
	if !ok {
		return nil
	}
	keep(p.tables, touched(plan))
	if err := p.findUnbound(ctx, planner, question); err != nil {
		return err
	}
	if err := p.findColumns(ctx, planner, question); err != nil {
		return err
	}
	return p.findConditions(ctx, planner, question)
}

func (l *Lake) references(ctx context.Context, planner *engine, question string) (map[string]bool, error) {
	tree, err := planner.serialize(ctx, question)
	if err != nil {
		return nil, unplanned{err}
	}
	named, err := references(tree)
	if errors.Is(err, errSyntax) {
		if _, _, syntax := planner.explain(ctx, question); syntax != nil {
			err = syntax
		}
	}
	if err != nil {
		return nil, unplanned{err}
	}
	return named, nil
}

// plan is what the query can touch: what the planner would conclude from the
// stand-ins' being empty is left out.
func (e *engine) plan(ctx context.Context, question string, without ...string) (plan string, ok bool, err error) {
	off := strings.Join(append(without, "statistics_propagation"), ",")
	if err := e.exec(ctx, "SET disabled_optimizers="+literal(off)); err != nil {
		return "", false, err
	}
	return e.explain(ctx, question)
}

func keep(tables []table, kept map[[2]int]bool) {
	for i := range tables {
		all := tables[i].partitions
		tables[i].partitions = nil
		for j, p := range all {
			if kept[[2]int{i, j}] {
				tables[i].partitions = append(tables[i].partitions, p)
			}
		}
		tables[i].all = all
	}
}

// findColumns asks for the plan once more, over one stand-in for each table and with
// conditions left above the scans: what the scans then hand up is every column that
// the query looks at.
func (p *Plan) findColumns(ctx context.Context, planner *engine, question string) error {
	for i := range p.tables {
		if err := planner.exec(ctx, p.tables[i].columnsSQL(i)...); err != nil {
			return err
		}
	}
	plan, _, err := planner.plan(ctx, question, "filter_pushdown")
	if err != nil {
		return unplanned{fmt.Errorf("plan the columns: %w", err)}
	}
	scans, err := scanned(plan)
	if err != nil {
		return err
	}
	for i := range p.tables {
		t := &p.tables[i]
		t.reads = make(map[string]bool)
		for _, s := range scans[i] {
			for _, name := range s.columns {
				t.reads[t.columnOf(name)] = true
			}
		}
	}
	return nil
}

// findConditions looks at what the scans of those stand-ins ask for: that leaves out
// more partitions, and names the bound to add where there is none.
func (p *Plan) findConditions(ctx context.Context, planner *engine, question string) error {
	plan, _, err := planner.plan(ctx, question)
	if err != nil {
		return unplanned{err}
	}
	scans, err := scanned(plan)
	if err != nil {
		return err
	}
	for i := range p.tables {
		t := &p.tables[i]
		if t.partitions, err = t.passing(ctx, planner, scans[i], t.partitions); err != nil {
			return err
		}
		if t.unbound {
			probe, _ := t.probe()
			there, err := t.passing(ctx, planner, scans[i], probe.partitions)
			if err != nil {
				return err
			}
			t.unbound = hasBoth(there, t.day())
		}
		if t.unbound {
			p.Notes = append(p.Notes, t.boundNote(scans[i]))
		}
	}
	return nil
}

// hasBoth says that the first and the last day are there, of one combination of the
// other values.
func hasBoth(probes []partition, day int) bool {
	for i := 1; i < len(probes); i++ {
		if probes[i-1].values[day] == firstDay && probes[i].values[day] == lastDay {
			return true
		}
	}
	return false
}
