package query

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weir/pkg/glue"
	"weir/pkg/prestoview"
	"weir/services/query/internal/sqltext"
)

// virtual is a view: SQL that Athena or Trino wrote into Glue, or weir's catalog.
type virtual struct {
	table // its declared columns
	sql   string
}

// virtualOf reads a view. Its names are looked up in its own database: only this one is open here.
func virtualOf(t glue.Table, database string) (virtual, error) {
	v, err := prestoview.Decode(t.View.Original)
	if err != nil {
		return virtual{}, errors.New("it is a view in another engine's SQL")
	}
	if v.Schema != "" && !strings.EqualFold(v.Schema, database) {
		return virtual{}, fmt.Errorf("it is a view over the database %s", v.Schema)
	}
	shown := virtual{table: table{name: t.Name}, sql: v.SQL}
	shown.columns, err = columnsOf(t.Columns, nil)
	return shown, err
}

// viewSQL makes the view, over whatever tables there are by then.
func (v virtual) viewSQL() string { return "CREATE VIEW " + ident(v.name) + " AS " + v.sql }

// stubSQL makes a view with the columns alone, for a query that only lists them.
func (v virtual) stubSQL() string { return "CREATE VIEW " + ident(v.name) + " AS " + v.emptySelect() }

// expand adds to the names of a query those that its views name, and puts the views that are named into the order in which
// they can be made.
func (p *Plan) expand(ctx context.Context, planner *engine, named map[string]bool) error {
	var order []virtual
	done := make(map[string]bool)
	var visit func(v *virtual) error
	visit = func(v *virtual) error {
		if done[v.name] {
			return nil
		}
		done[v.name] = true // also of one that names itself: making it fails then, and says so
		tree, err := planner.serialize(ctx, v.sql)
		if err != nil {
			return unplanned{err}
		}
		inner, err := references(tree)
		if err != nil {
			return unplanned{fmt.Errorf("view %s: %w", v.name, err)}
		}
		for name := range inner {
			named[name] = true
		}
		for i := range p.views {
			if inner[p.views[i].name] {
				if err := visit(&p.views[i]); err != nil {
					return err
				}
			}
		}
		v.named = true
		order = append(order, *v)
		return nil
	}
	for i := range p.views {
		if named[p.views[i].name] {
			if err := visit(&p.views[i]); err != nil {
				return err
			}
		}
	}
	for _, v := range p.views {
		if !v.named {
			order = append(order, v)
		}
	}
	p.views = order
	return nil
}

// viewsSQL makes the views that are named, and of the others what a list of them shows.
func (p *Plan) viewsSQL() (statements []string) {
	for _, v := range p.views {
		switch {
		case v.named:
			statements = append(statements, v.viewSQL())
		case p.kind == sqltext.Metadata:
			statements = append(statements, v.stubSQL())
		}
	}
	return statements
}

// mentioned are the names of tables and views that stand in the query, and in the views that stand there.
func (p *Plan) mentioned() map[string]bool {
	var names []string
	texts := make(map[string]string)
	for _, t := range p.tables {
		names = append(names, t.name)
	}
	for _, v := range p.views {
		names = append(names, v.name)
		texts[v.name] = v.sql
	}
	found := make(map[string]bool)
	for open := []string{p.sql}; len(open) > 0; open = open[1:] {
		for _, name := range sqltext.Mentions(open[0], names) {
			if !found[name] {
				found[name] = true
				open = append(open, texts[name])
			}
		}
	}
	return found
}
