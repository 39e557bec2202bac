package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
	"weir/pkg/shape"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/views"
	"weir/services/catalog/internal/views/keep"
)

// LookConfig is every setting of a look at what the catalog knows.
type LookConfig struct {
	Lake     string `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	Database string `name:"database" default:"weir" help:"The Glue database."`
}

// Validate lists everything that is wrong.
func (c LookConfig) Validate() []error {
	return ReconcileConfig{Lake: c.Lake, Database: c.Database}.Validate()
}

func (c LookConfig) open(ctx context.Context) (*s3.Store, error) {
	location, err := lake.ParseLocation(c.Lake)
	if err != nil {
		return nil, err
	}
	return s3.Open(ctx, s3.Config{Lake: location}, nil)
}

// SchemaColumn is a column with what is known of its values.
type SchemaColumn struct {
	ColumnInfo
	Values int64  // that were seen of a view's typed column, NULLs aside; -1 = nobody counts them
	Kinds  string // what they were in JSON, the most frequent first: integer 120, text 3
}

// Schema gives the columns of a table or view as Glue holds them, and of a view's typed columns what their values were.
func Schema(ctx context.Context, cfg LookConfig, table string) ([]SchemaColumn, error) {
	g, err := glue.Open(ctx, glue.Config{}, nil)
	if err != nil {
		return nil, err
	}
	t, err := g.GetTable(ctx, cfg.Database, table)
	if errors.Is(err, glue.ErrNotFound) {
		return nil, fmt.Errorf("there is no table or view %s.%s: weir catalog tables lists them", cfg.Database, table)
	}
	if err != nil {
		return nil, err
	}
	seen, err := cfg.seen(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	var list []SchemaColumn
	for _, c := range slices.Concat(columnInfos(t.Columns, false), columnInfos(t.PartitionKeys, true)) {
		one := SchemaColumn{ColumnInfo: c, Values: -1}
		if n := seen[c.Name]; n != nil {
			one.Values, one.Kinds = n.Sum(), kindsOf(n)
		}
		list = append(list, one)
	}
	return list, nil
}

// seen is what was counted of a view's columns.
func (c LookConfig) seen(ctx context.Context, view string) (map[string]*shape.Counts, error) {
	store, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	state, _, err := keep.Read(ctx, store, c.Database)
	if err != nil {
		return nil, err
	}
	found := make(map[string]*shape.Counts)
	for _, v := range state.Views {
		events := state.Seen.Events[v.Event]
		if v.Name != view || events == nil {
			continue
		}
		for _, column := range v.Columns {
			found[column.Name] = events.Properties[column.Property]
		}
	}
	return found, nil
}

func kindsOf(n *shape.Counts) string {
	var there []shape.Kind
	for k := range shape.Kinds {
		if n[k] > 0 {
			there = append(there, k)
		}
	}
	slices.SortStableFunc(there, func(a, b shape.Kind) int { return cmp.Compare(n[b], n[a]) })
	texts := make([]string, len(there))
	for i, k := range there {
		texts[i] = fmt.Sprintf("%s %d", shape.Kinded[k], n[k])
	}
	return strings.Join(texts, ", ")
}

// DDL prints the statements with which somebody makes tables and views over the lake by hand in Athena: those of the names,
// or of all. It reads the lake, and asks nothing of Glue. The ledger's table is not among them: only the catalog knows where
// its merged days are.
func DDL(ctx context.Context, cfg LookConfig, names ...string) (string, error) {
	store, err := cfg.open(ctx)
	if err != nil {
		return "", err
	}
	registry, _, err := stored.Read(ctx, store, promote.Registry{})
	if err != nil {
		return "", err
	}
	state, _, err := keep.Read(ctx, store, cfg.Database)
	if err != nil {
		return "", err
	}
	l := change.NewLake(store.Location(), tables()...)
	l.Promoted = registry.Registry
	var all []statement
	for _, spec := range l.Specs() {
		all = append(all, statement{spec.Name, spec.DDL(cfg.Database)})
	}
	for i := range state.Views {
		v := &state.Views[i]
		all = append(all, statement{v.Name, viewDDL(v, cfg.Database)})
	}
	return pick(all, names)
}

type statement struct{ name, text string }

func viewDDL(v *views.View, database string) string {
	return fmt.Sprintf("-- %s; asked in the database %s\nCREATE OR REPLACE VIEW \"%s\".\"%s\" AS\n%s;\n", v.Describe(), database, database, v.Name, v.SQL())
}

func pick(all []statement, names []string) (string, error) {
	var texts []string
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s statement) bool { return s.name == name }) {
			return "", fmt.Errorf("the lake has no table or view %s", name)
		}
	}
	for _, s := range all {
		if len(names) == 0 || slices.Contains(names, s.name) {
			texts = append(texts, s.text)
		}
	}
	return strings.Join(texts, "\n"), nil
}
