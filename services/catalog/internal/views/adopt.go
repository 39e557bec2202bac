package views

import (
	"slices"
	"strings"

	"weir/pkg/shape"
)

// Held is a view of weir's as Glue holds it.
type Held struct {
	Name  string
	Event shape.Event
	Shown []Shown // its columns
}

// Adopt takes into the state what Glue holds and the state does not: a state that was lost begins from there, so that names
// and types stay as they were. It tells whether there was something.
func (s *State) Adopt(held []Held) (adopted bool) {
	for _, h := range held {
		if !learned(h.Event.Type) {
			continue
		}
		at := slices.IndexFunc(s.Views, func(v View) bool { return v.Event == h.Event })
		if at < 0 {
			if slices.ContainsFunc(s.Views, func(v View) bool { return v.Name == h.Name }) {
				continue
			}
			s.Views = append(s.Views, View{Name: h.Name, Event: h.Event})
			at, adopted = len(s.Views)-1, true
		}
		if v := &s.Views[at]; v.Name == h.Name {
			adopted = v.adopt(h.Shown) || adopted
		}
	}
	return adopted
}

func (v *View) adopt(shown []Shown) (adopted bool) {
	for _, c := range shown {
		property, ok := strings.CutPrefix(c.Path, v.container()+".")
		typ, known := columnType(c.Type)
		if !ok || !known || v.taken(c.Name) || len(v.Columns) >= MaxColumns ||
			slices.ContainsFunc(v.Columns, func(o Column) bool { return o.Property == property }) {
			continue
		}
		v.Columns = append(v.Columns, Column{Name: c.Name, Property: property, Type: typ})
		adopted = true
	}
	return adopted
}

// Serves tells whether what Glue holds has everything that the view has, and Contradicts whether it has a column otherwise.
func (v *View) Serves(held []Shown) bool {
	for _, c := range v.Shown() {
		if !slices.Contains(held, c) {
			return false
		}
	}
	return true
}

// Contradicts names a column that Glue holds otherwise, or that the view lacks; "" = there is none. Nobody's query breaks by
// an update of weir's: such a view stays as it is.
func (v *View) Contradicts(held []Shown) string {
	shown := v.Shown()
	for _, h := range held {
		if !slices.Contains(shown, h) {
			return h.Name
		}
	}
	return ""
}
