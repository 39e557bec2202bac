// Package views decides which views the catalog shows over the events, and what they are: one for each name of track
// calls, with a typed column for each property that such events have, and one for each type of calls. Its invariant: a view
// and a column, once they are in a State, keep their name, their type and their place for as long as the database lives,
// whatever comes later, so that nobody's query breaks. A State also holds the counts from which it grows, each batch of the
// ledger counted once. It reads and writes nothing: internal/ledger keeps the state in the lake, views/keep puts the views
// into Glue. Floor 2, PURE; owned by the catalog service.
package views

import (
	"slices"

	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/shape"
)

// Limits of what becomes of events.
type Limits struct {
	Views   int // in all; 0 = there are none
	Columns int // typed ones of a view
}

// MaxColumns is how many typed columns a view may have: with the longest keys its text still fits into Glue.
const MaxColumns = 300

// counted bounds what is counted, of events whether they have views or not: some megabytes in memory.
var counted = shape.Limits{Events: 2000, Properties: 500, Total: 30_000}

// State is what is known of events, and the views that came of it. The zero value knows nothing.
type State struct {
	Applied int64 // number of the ledger's batch that was counted last
	Seen    shape.Summary
	Views   []View // in the order in which they came
}

// View is a view over the events of one type, or of one type and name.
type View struct {
	Name    string
	Event   shape.Event // Name "" = every event of the type
	Columns []Column    // the typed ones, in the order in which they came
}

// Column is a typed column.
type Column struct {
	Name     string
	Property string // its key, in properties or traits
	Type     lake.Type
}

// base is the view over all events of a type.
type base struct {
	typ, name string
	typed     bool     // it has columns of properties, or of traits
	traits    bool     // its typed columns are of traits
	own       []string // columns of eventlogs beside those that all views have
}

var bases = []base{
	{typ: "track", name: "tracks", own: []string{"event"}},
	{typ: "identify", name: "identifies", typed: true, traits: true},
	{typ: "page", name: "pages", typed: true, own: []string{"name", "category"}},
	{typ: "screen", name: "screens", typed: true, own: []string{"name", "category"}},
	{typ: "group", name: "groups", typed: true, traits: true, own: []string{"groupid"}},
	{typ: "alias", name: "aliases", own: []string{"previousid"}},
}

func baseOf(typ string) base {
	return bases[slices.IndexFunc(bases, func(b base) bool { return b.typ == typ })]
}

// learned tells whether a type has views: of others nothing is noted.
func learned(typ string) bool {
	return slices.ContainsFunc(bases, func(b base) bool { return b.typ == typ })
}

// tables are names that no view gets: those of weir's own tables.
var tables = []string{
	lake.EventLogsName, lake.EventLogsRawName, lake.FilesName, lake.MessagesByTypeDaily().Name, lake.MessagesByTypeWeekly().Name,
}

// Apply counts the batch of that number, if it is not counted yet. Batches come in their order.
func (s *State) Apply(number int64, batch *shape.Summary) {
	if number > s.Applied {
		s.Applied = number
		s.Seen.Merge(batch, counted)
	}
}

// Grow adds the views and columns that the counts ask for and the limits have room for, and tells whether there are any.
// The most frequent come first.
func (s *State) Grow(l Limits) (grown bool) {
	for _, e := range s.Seen.Order() {
		if !learned(e.Type) {
			continue
		}
		all := shape.Event{Type: e.Type}
		grown = s.view(all, l) || grown
		if e.Name != "" {
			grown = s.view(e, l) || grown
		}
	}
	for i := range s.Views {
		v := &s.Views[i]
		if seen := s.Seen.Events[v.Event]; seen != nil && v.typed() {
			grown = v.grow(seen, l.Columns) || grown
		}
	}
	return grown
}

func (s *State) view(e shape.Event, l Limits) (made bool) {
	if len(s.Views) >= l.Views || slices.ContainsFunc(s.Views, func(v View) bool { return v.Event == e }) {
		return false
	}
	v := View{Name: baseOf(e.Type).name, Event: e}
	if e.Name != "" {
		v.Name = promote.Distinct(e.Name, s.taken)
	}
	s.Views = append(s.Views, v)
	return true
}

func (s *State) taken(name string) bool {
	return slices.Contains(tables, name) || slices.ContainsFunc(bases, func(b base) bool { return b.name == name }) ||
		slices.ContainsFunc(s.Views, func(v View) bool { return v.Name == name })
}

// typed tells whether the view has columns of properties. The one over all track calls has none: they have too many.
func (v *View) typed() bool { return v.Event.Name != "" || baseOf(v.Event.Type).typed }

func (v *View) grow(seen *shape.Seen, most int) (grown bool) {
	for _, key := range seen.Order() {
		if len(v.Columns) >= most {
			break
		}
		if slices.ContainsFunc(v.Columns, func(c Column) bool { return c.Property == key }) {
			continue
		}
		typ := typeOf(v.path(key), seen.Properties[key])
		v.Columns = append(v.Columns, Column{Name: promote.Distinct(key, v.taken), Property: key, Type: typ})
		grown = true
	}
	return grown
}

func (v *View) taken(name string) bool {
	return slices.ContainsFunc(v.fixed(), func(c lake.Column) bool { return c.Name == name }) ||
		slices.ContainsFunc(v.Columns, func(c Column) bool { return c.Name == name })
}

// path is where a property stands in an event.
func (v *View) path(key string) []string { return []string{v.container(), key} }

// container is the column of eventlogs in which the properties are.
func (v *View) container() string {
	if baseOf(v.Event.Type).traits {
		return "traits"
	}
	return "properties"
}

// typeOf is the type that Segment's specification gives a property, and else the one that all values so far have: what was
// of several kinds is a string, which takes everything.
func typeOf(path []string, n *shape.Counts) lake.Type {
	if t, ok := promote.DefaultType(path); ok {
		return t
	}
	only := func(kinds ...shape.Kind) bool {
		var sum int64
		for _, k := range kinds {
			sum += n[k]
		}
		return sum == n.Sum()
	}
	switch {
	case only(shape.Integer):
		return lake.BigInt
	case only(shape.Integer, shape.Number):
		return lake.Double
	case only(shape.Boolean):
		return lake.Boolean
	case only(shape.Instant):
		return lake.Timestamp
	}
	return lake.String
}

// Waiting is how many named events have no view.
func (s *State) Waiting() (n int) {
	for e := range s.Seen.Events {
		if e.Name != "" && !slices.ContainsFunc(s.Views, func(v View) bool { return v.Event == e }) {
			n++
		}
	}
	return n
}
