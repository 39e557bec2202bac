package query

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// format is how a table's objects are read.
type format uint8

const (
	parquet format = iota
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
}

// partition is one lake partition: what Glue says of its values and its place.
// A table without partition keys has one, without values.
type partition struct {
	values   []string
	location string
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
	return append(statements, "CREATE VIEW "+ident(t.name)+" AS "+strings.Join(branches, " UNION ALL "))
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
	for _, c := range t.all() {
		shown = append(shown, "CAST("+ident(c.name)+" AS "+c.typ+") AS "+ident(c.name))
	}
	return "CREATE VIEW " + ident(t.name) + " AS SELECT " + strings.Join(shown, ", ") +
		" FROM (" + strings.Join(branches, " UNION ALL BY NAME ") + ")"
}

// read is the relation of a list of files; the list is never left to a pattern,
// and nothing is taken from the paths.
func (t table) read(files []string) string {
	if t.format == parquet {
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
	for _, c := range t.all() {
		shown = append(shown, "CAST(NULL AS "+c.typ+") AS "+ident(c.name))
	}
	return "SELECT " + strings.Join(shown, ", ") + " WHERE false"
}

// all is the columns and then the partition keys, as every engine shows them.
func (t table) all() []column { return slices.Concat(t.columns, t.keys) }

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
