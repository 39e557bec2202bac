package change

import (
	"fmt"
	"slices"
	"strings"
)

// Table is what the catalog holds of a table, as far as decisions need it.
type Table struct {
	Location      string
	Columns       []Column
	PartitionKeys []Column
	Parameters    map[string]string
}

// Kind of a change of the columns.
type Kind string

const (
	Add      Kind = "add"
	Widen    Kind = "widen"
	Conflict Kind = "conflict" // the table holds another type: it is left alone
)

// ColumnChange is one column that the table lacks or holds differently.
type ColumnChange struct {
	Kind     Kind
	Column   string
	From, To string // types; From is "" for Add
}

// Update is a table whose columns must change. Its maker replaces the columns by
// Columns and sets Parameters, and leaves everything else of the table as it is.
type Update struct {
	Columns    []Column
	Parameters map[string]string
	Changes    []ColumnChange // never conflicts; none where only parameters change
}

// Merge adds to a held table what the spec wants. update is nil if the table
// serves as it is; conflicts are the columns that it cannot serve.
func Merge(held Table, want Spec) (update *Update, conflicts []ColumnChange, err error) {
	if err := sameKeys(held.PartitionKeys, want); err != nil {
		return nil, nil, err
	}
	merged, changes := MergeColumns(held.Columns, want.Columns)
	conflicts = slices.DeleteFunc(slices.Clone(changes), func(c ColumnChange) bool { return c.Kind != Conflict })
	changes = slices.DeleteFunc(changes, func(c ColumnChange) bool { return c.Kind == Conflict })
	update = &Update{Columns: merged, Changes: changes, Parameters: make(map[string]string)}
	if len(changes) > 0 {
		update.Parameters[ParamSchemaHash] = SchemaHash(merged)
		update.Parameters[ParamSchemaVersion] = nextVersion(held.Parameters[ParamSchemaVersion])
	}
	if len(conflicts) == 0 && ColumnsVersion(held.Parameters) < ColumnsVersion(want.Parameters) {
		update.Parameters[ParamColumns] = want.Parameters[ParamColumns]
	}
	if len(update.Parameters) == 0 {
		update = nil
	}
	return update, conflicts, nil
}

// sameKeys refuses a table that somebody partitioned differently: its partitions
// would have other values than the files' paths.
func sameKeys(held []Column, want Spec) error {
	names := func(cols []Column) string {
		var s []string
		for _, c := range cols {
			s = append(s, strings.ToLower(c.Name))
		}
		return strings.Join(s, ", ")
	}
	if h, w := names(held), names(want.PartitionKeys); h != w {
		return fmt.Errorf("table %s is partitioned by (%s), its files by (%s)", want.Name, h, w)
	}
	return nil
}

// MergeColumns keeps the order of the held columns, and those it does not know;
// new ones go to the end, because engines may match nested fields by position.
func MergeColumns(held, want []Column) ([]Column, []ColumnChange) {
	merged := slices.Clone(held)
	at := make(map[string]int, len(held))
	for i, c := range held {
		at[strings.ToLower(c.Name)] = i
	}
	var changes []ColumnChange
	for _, w := range want {
		i, ok := at[w.Name]
		if !ok {
			at[w.Name] = len(merged)
			merged = append(merged, w)
			changes = append(changes, ColumnChange{Kind: Add, Column: w.Name, To: w.Type})
			continue
		}
		kind := compare(merged[i].Type, w.Type)
		if kind == "" {
			continue
		}
		changes = append(changes, ColumnChange{Kind: kind, Column: w.Name, From: merged[i].Type, To: w.Type})
		if kind == Widen {
			merged[i].Type = w.Type
		}
	}
	return merged, changes
}

// compare says what becomes of a column of type held whose files hold type want.
// "" = the held type reads them: it is the same, or the wider one.
func compare(held, want string) Kind {
	held, want = plain(held), plain(want)
	switch {
	case held == want, widens(want, held):
		return ""
	case widens(held, want):
		return Widen
	}
	return Conflict
}

// widens lists the only type changes that Athena, Trino and Spark all read from
// files of the narrower type.
func widens(from, to string) bool {
	return from == "int" && to == "bigint" || from == "float" && to == "double"
}

// plain removes what Glue does not care about: case and white space.
func plain(t string) string {
	t = strings.ToLower(strings.Join(strings.Fields(t), ""))
	if t == "integer" {
		return "int"
	}
	return t
}
