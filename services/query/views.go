package query

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/services/query/internal/sqltext"
)

// format is how a table's objects are read.
type format uint8

const (
	parquetFiles format = iota
	jsonLines
)

// column is one column as Glue declares it.
type column struct {
	name    string
	typ     string // DuckDB's
	jsonKey string // the key that holds it in a JSON line
}

// table is a Glue table as the engine shows it.
type table struct {
	name       string
	location   string // s3://bucket/prefix/
	format     format
	columns    []column
	keys       []column // partition keys
	partitions []partition

	named   bool            // the query names it
	known   int             // partitions that are registered; 0 where it is not named
	all     []partition     // those, of a query that was planned
	reads   map[string]bool // columns that the query looks at; nil = not known, so all
	unbound bool            // no condition keeps the query from any day
}

// partition is one lake partition: what Glue says of its values and its place.
// A table without partition keys has one, without values.
type partition struct {
	values   []string
	location string
	objects  []object // once it was listed
	listed   bool
	files    []string // local paths, once they are known
}

// planSchema holds one empty table per lake partition while a query is planned.
const planSchema = "weir_plan"

// planTable names the stand-in of partition p of table t.
func planTable(t, p int) string { return fmt.Sprintf("t%dp%d", t, p) }

// planSQL makes empty stand-ins for a table's partitions and a view over them.
// The optimizer then says by itself, from the query's own conditions on the
// partition keys, which of them the query can touch.
func (t table) planSQL(n int) []string {
	var statements, branches []string
	for i, p := range t.partitions {
		name := ident(planSchema) + "." + ident(planTable(n, i))
		statements = append(statements, "CREATE TABLE "+name+" ("+declare(t.columns)+")")
		branches = append(branches, "SELECT *"+t.constants(p)+" FROM "+name)
	}
	if len(branches) == 0 {
		branches = []string{t.emptySelect()}
	}
	return append(statements, "CREATE OR REPLACE VIEW "+ident(t.name)+" AS "+strings.Join(branches, " UNION ALL "))
}

// touched reads from a plan which partitions of which table it still holds.
func touched(plan string) map[[2]int]bool {
	found := make(map[[2]int]bool)
	for _, m := range regexp.MustCompile(planSchema+`\.t(\d+)p(\d+)\b`).FindAllStringSubmatch(plan, -1) {
		t, _ := strconv.Atoi(m[1])
		p, _ := strconv.Atoi(m[2])
		found[[2]int{t, p}] = true
	}
	return found
}

// columnsSQL makes one empty stand-in for the whole table and shows it instead.
func (t table) columnsSQL(n int) []string {
	name := ident(planSchema) + "." + ident(columnsTable(n))
	return []string{
		"CREATE TABLE " + name + " (" + declare(t.shown()) + ")",
		"CREATE OR REPLACE VIEW " + ident(t.name) + " AS SELECT * FROM " + name,
	}
}

// columnsTable names the stand-in of table t as a whole.
func columnsTable(t int) string { return fmt.Sprintf("c%d", t) }

// tableScan is one reading of a table in a plan.
type tableScan struct {
	columns []string // that it hands up
	filters []string // that it applies
}

// scanned reads from a plan how each table is read, by its number.
func scanned(plan string) (map[int][]tableScan, error) {
	found := make(map[int][]tableScan)
	err := eachScan(plan, func(table string, s tableScan) {
		if m := columnsTables.FindStringSubmatch(table); m != nil {
			t, _ := strconv.Atoi(m[1])
			found[t] = append(found[t], s)
		}
	})
	return found, err
}

// operator is a node of a plan.
type operator struct {
	Name     string
	Children []operator
	Info     map[string]any `json:"extra_info"`
}

// eachScan gives every scan of a plan, with the whole name of its table.
func eachScan(plan string, give func(table string, s tableScan)) error {
	var roots []operator
	if err := json.Unmarshal([]byte(plan), &roots); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	for _, root := range roots {
		root.scans(nil, give)
	}
	return nil
}

// scans hands up those at and below an operator; above are the conditions of a filter
// that stands directly on it.
func (o operator) scans(above []string, give func(string, tableScan)) {
	if name, ok := o.Info["Table"].(string); ok {
		give(name, tableScan{columns: texts(o.Info["Projections"]), filters: append(texts(o.Info["Filters"]), above...)})
	}
	above = nil
	if o.Name == "FILTER" {
		for _, text := range texts(o.Info["Expression"]) {
			above = append(above, sqltext.Conjuncts(text)...)
		}
	}
	for _, child := range o.Children {
		child.scans(above, give)
	}
}

var columnsTables = regexp.MustCompile(planSchema + `\.c(\d+)$`)

// texts is a text, or a list of them.
func texts(node any) []string {
	switch node := node.(type) {
	case string:
		if node != "" {
			return []string{node}
		}
	case []any:
		var list []string
		for _, child := range node {
			list = append(list, texts(child)...)
		}
		return list
	}
	return nil
}

// columnOf is the column that a scan hands up: of a struct it may be one field.
func (t table) columnOf(name string) string {
	for _, c := range t.shown() {
		if name == c.name || strings.HasPrefix(name, c.name+".") {
			return c.name
		}
	}
	return name
}

// viewSQL shows exactly Glue's columns over the files that the partitions
// name. An empty typed relation stands first: it gives a table without files its
// columns, and files without a column its NULLs.
func (t table) viewSQL() string {
	branches := []string{t.emptySelect()}
	for _, p := range t.partitions {
		if len(p.files) > 0 {
			branches = append(branches, "SELECT *"+t.constants(p)+" FROM "+t.read(p.files))
		}
	}
	var shown []string
	for _, c := range t.shown() {
		shown = append(shown, "CAST("+ident(c.name)+" AS "+c.typ+") AS "+ident(c.name))
	}
	return "CREATE VIEW " + ident(t.name) + " AS SELECT " + strings.Join(shown, ", ") +
		" FROM (" + strings.Join(branches, " UNION ALL BY NAME ") + ")"
}

// read is the relation of a list of files; the list is never left to a pattern,
// and nothing is taken from the paths.
func (t table) read(files []string) string {
	if t.format == parquetFiles {
		return "read_parquet(" + list(files) + ", union_by_name=true, hive_partitioning=false)"
	}
	var keys, shown []string
	for _, c := range t.columns {
		keys = append(keys, literal(c.jsonKey)+": 'JSON'")
		shown = append(shown, fromJSON(ident(c.jsonKey), c.typ)+" AS "+ident(c.name))
	}
	return "(SELECT " + strings.Join(shown, ", ") + " FROM read_json(" + list(files) + ", format='newline_delimited', columns={" +
		strings.Join(keys, ", ") + "}, ignore_errors=true, hive_partitioning=false))"
}

// fromJSON turns a JSON value into a column's type, as the JSON SerDe does: a
// string is its text, a nested value under a string is JSON text, and what does
// not fit is NULL.
func fromJSON(value, typ string) string {
	switch {
	case typ == "VARCHAR":
		return value + "->>'$'"
	case typ == "TIMESTAMP":
		return "CAST(TRY_CAST(" + value + "->>'$' AS TIMESTAMPTZ) AS TIMESTAMP)"
	case strings.HasPrefix(typ, "MAP(") || strings.HasPrefix(typ, "STRUCT(") || strings.HasSuffix(typ, "[]"):
		return "TRY_CAST(" + value + " AS " + typ + ")"
	}
	return "TRY_CAST(" + value + "->>'$' AS " + typ + ")"
}

// constants are the partition's values as columns.
func (t table) constants(p partition) string {
	var b strings.Builder
	for i, k := range t.keys {
		fmt.Fprintf(&b, ", CAST(%s AS %s) AS %s", literal(p.values[i]), k.typ, ident(k.name))
	}
	return b.String()
}

// emptySelect is the table without rows.
func (t table) emptySelect() string {
	var shown []string
	for _, c := range t.shown() {
		shown = append(shown, "CAST(NULL AS "+c.typ+") AS "+ident(c.name))
	}
	return "SELECT " + strings.Join(shown, ", ") + " WHERE false"
}

// shown is the columns and then the partition keys, as every engine shows them.
func (t table) shown() []column { return slices.Concat(t.columns, t.keys) }

func declare(columns []column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = ident(c.name) + " " + c.typ
	}
	return strings.Join(parts, ", ")
}

// list is a list of texts in SQL.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = literal(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
