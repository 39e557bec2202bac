package keep

import (
	"maps"
	"slices"

	"weir/pkg/glue"
	"weir/pkg/prestoview"
	"weir/pkg/shape"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/views"
)

// What weir writes into the parameters of its views, beside the owner: whose events it shows, as they are called.
const (
	paramType  = "weir.view_type"
	paramEvent = "weir.view_event"
)

// isOurs tells whether weir made it. Who replaces a view by CREATE OR REPLACE VIEW takes the parameter away with it.
func isOurs(t glue.Table) bool {
	return t.Type == prestoview.TableType && t.Parameters[change.ParamOwner] == change.Owner
}

func eventOf(t glue.Table) shape.Event {
	return shape.Event{Type: t.Parameters[paramType], Name: t.Parameters[paramEvent]}
}

func shownOf(t glue.Table) []views.Shown {
	var shown []views.Shown
	for _, c := range t.Columns {
		shown = append(shown, views.Shown{Name: c.Name, Type: c.Type, Path: c.Parameters[change.ParamPath]})
	}
	return shown
}

// ours are weir's views among what Glue holds, by name.
func ours(held map[string]glue.Table) []views.Held {
	var list []views.Held
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if t := held[name]; isOurs(t) {
			list = append(list, views.Held{Name: t.Name, Event: eventOf(t), Shown: shownOf(t)})
		}
	}
	return list
}

// newTable is the view as Athena makes one. It has an owner, because Trino runs a view as its owner does, and no description:
// Trino takes that for the parameter comment, by which it knows a view. What people read of it stands in its text.
func newTable(database string, v *views.View) glue.Table {
	t := glue.Table{
		Database: database, Name: v.Name, Type: prestoview.TableType, Owner: "weir",
		Parameters: map[string]string{
			prestoview.Parameter: "true", "comment": prestoview.Comment, change.ParamOwner: change.Owner, paramType: v.Event.Type,
		},
	}
	if v.Event.Name != "" {
		t.Parameters[paramEvent] = v.Event.Name
	}
	return widened(t, database, v)
}

// widened is the table with the view's columns and text. Columns that are held keep their comments and parameters, and
// everything else of the table stays.
func widened(t glue.Table, database string, v *views.View) glue.Table {
	held := make(map[string]glue.Column, len(t.Columns))
	for _, c := range t.Columns {
		held[c.Name] = c
	}
	t.Columns = nil
	for _, c := range v.Shown() {
		column, ok := held[c.Name]
		if !ok {
			column = glue.Column{Name: c.Name, Type: c.Type, Comment: views.Comment(c.Path)}
			if c.Path != "" {
				column.Parameters = map[string]string{change.ParamPath: c.Path}
			}
		}
		t.Columns = append(t.Columns, column)
	}
	t.View = glue.View{Original: v.Presto(database).Encode(), Expanded: prestoview.Expanded}
	return t
}
