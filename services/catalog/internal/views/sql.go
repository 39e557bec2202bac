package views

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"weir/pkg/lake"
	"weir/pkg/prestoview"
)

// Shown is a column of a view as Glue lists it.
type Shown struct {
	Name string
	Type string // as Glue spells it
	Path string // of a typed column: the column of eventlogs and the key in it; "" in others
}

// Shown are the columns, in their order: who and when, what is typed, and at the end what it comes from.
func (v *View) Shown() []Shown {
	var all []Shown
	fixed := v.fixed()
	for i, c := range fixed {
		if i == typedAt {
			all = append(all, v.typedShown()...)
		}
		all = append(all, Shown{Name: c.Name, Type: c.Type.Glue()})
	}
	return all
}

func (v *View) typedShown() []Shown {
	all := make([]Shown, len(v.Columns))
	for i, c := range v.Columns {
		all[i] = Shown{Name: c.Name, Type: c.Type.Glue(), Path: strings.Join(v.path(c.Property), ".")}
	}
	return all
}

// typedAt is how many of the fixed columns stand before the typed ones.
const typedAt = 4

// fixed are the columns that a view has of eventlogs as they are there. The partition keys are among them: a bound on
// them is one on the table's.
func (v *View) fixed() []lake.Column {
	names := []string{"messageid", "timestamp", "userid", "anonymousid"}
	if b := baseOf(v.Event.Type); v.Event.Name == "" {
		names = append(names, b.own...)
	}
	names = append(names, "receivedat", "context", v.container())
	var columns []lake.Column
	for _, name := range names {
		at := slices.IndexFunc(lake.EventLogs().Schema, func(c lake.Column) bool { return c.Name == name })
		columns = append(columns, lake.EventLogs().Schema[at])
	}
	for _, key := range lake.PartitionKeys() {
		columns = append(columns, lake.Column{Name: key, Type: lake.String})
	}
	return columns
}

// SQL is the query that the view is. It means the same to Athena, Trino and DuckDB.
func (v *View) SQL() string {
	var b strings.Builder
	b.WriteString("SELECT\n")
	typed := make(map[string]string, len(v.Columns))
	for _, c := range v.Columns {
		typed[c.Name] = c.expression(v.container())
	}
	shown := v.Shown()
	for i, c := range shown {
		b.WriteString("  ")
		if e, ok := typed[c.Name]; ok {
			b.WriteString(e + ` AS "` + c.Name + `"`)
		} else {
			b.WriteString(c.Name)
		}
		if i < len(shown)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "FROM %s\nWHERE type = %s", lake.EventLogsName, literal(v.Event.Type))
	if v.Event.Name != "" {
		b.WriteString(" AND event = " + literal(v.Event.Name))
	}
	return b.String()
}

// What a value must look like to be of a type, as JSON writes it: engines do not agree on what else they cast.
const (
	integers = `^-?[0-9]+$`
	numbers  = `^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?$`
	booleans = `^(true|false)$`
	instants = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T.+$`
)

// expression is NULL where the property is missing, or does not fit; its text stands in the map then.
func (c Column) expression(container string) string {
	text := fmt.Sprintf("element_at(%s, %s)", container, literal(c.Property))
	like := func(pattern string) string { return fmt.Sprintf("regexp_extract(%s, '%s')", text, pattern) }
	switch c.Type {
	case lake.BigInt:
		return "try_cast(" + like(integers) + " AS bigint)"
	case lake.Double:
		return "try_cast(" + like(numbers) + " AS double)"
	case lake.Boolean:
		return "try_cast(" + like(booleans) + " AS boolean)"
	case lake.Timestamp:
		return "try(cast(from_iso8601_timestamp(" + like(instants) + ") AT TIME ZONE 'UTC' AS timestamp))"
	}
	return text
}

// literal quotes a text for SQL.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Presto is the view as Athena and Trino keep it.
func (v *View) Presto(database string) prestoview.View {
	p := prestoview.View{SQL: v.SQL(), Catalog: prestoview.Catalog, Schema: database, Comment: v.Describe()}
	for _, c := range v.Shown() {
		p.Columns = append(p.Columns, prestoview.Column{Name: c.Name, Type: prestoview.Type(c.Type), Comment: Comment(c.Path)})
	}
	return p
}

// Describe says whose events the view shows, as they are called.
func (v *View) Describe() string {
	if v.Event.Name == "" {
		return "all " + v.Event.Type + " calls"
	}
	return Comment("track calls named " + v.Event.Name)
}

// Comment is a text as Glue takes it: on one line.
func Comment(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
