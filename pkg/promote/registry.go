package promote

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weir/pkg/lake"
)

// MaxColumns bounds a registry. Athena fails to plan queries on tables that are much wider.
const MaxColumns = 1000

// Registry is every promoted column that a file of the table may hold. It only grows. The zero Registry is that of a
// table without any.
type Registry struct {
	Format  int      `json:"format"`  // 1
	Version int64    `json:"version"` // counts the changes
	Columns []Column `json:"columns"`
}

// Column is a promoted path in the registry.
type Column struct {
	Name    string   `json:"name"`
	Path    []string `json:"path"`
	Type    string   `json:"type"`     // as Glue names it
	FieldID int32    `json:"field_id"` // of the column; the four after it are its side columns'
	Beside  []string `json:"beside,omitempty"`
}

// format is the one that this code writes.
const format = 1

// Decode reads what Encode wrote. A registry of a newer format is refused.
func Decode(text []byte) (Registry, error) {
	var r Registry
	if err := json.Unmarshal(text, &r); err != nil {
		return Registry{}, fmt.Errorf("read the registry of columns: %w", err)
	}
	if r.Format != format {
		return Registry{}, fmt.Errorf("the registry of columns has format %d: this weir reads %d, run a newer one", r.Format, format)
	}
	for _, c := range r.Columns {
		if _, ok := types[c.Type]; !ok {
			return Registry{}, fmt.Errorf("the registry of columns gives %s the unknown type %q", c.Name, c.Type)
		}
	}
	return r, nil
}

// Encode is the registry as it is stored.
func (r Registry) Encode() []byte {
	r.Format = format
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(text, '\n')
}

// Kept is a path whose column stands there with another type than is asked for. The column stays as it is: files hold it.
// Values of the other type stand beside it.
type Kept struct {
	Wanted Wanted
	Column Column
}

// Extend adds a column for each path that has none. The registry is unchanged, Version included, where nothing is new.
func (r Registry) Extend(wanted []Wanted) (Registry, []Kept, error) {
	next := Registry{Version: r.Version, Columns: slices.Clone(r.Columns)}
	var kept []Kept
	for _, w := range wanted {
		if at := r.find(w.Path); at >= 0 {
			if c := r.Columns[at]; c.Type != w.Type.Glue() {
				kept = append(kept, Kept{w, c})
			}
			continue
		}
		if len(next.Columns) >= MaxColumns {
			return r, nil, fmt.Errorf("promote %s: the table has %d promoted columns, which is as many as it may have", w.path(), MaxColumns)
		}
		next.Columns = append(next.Columns, next.column(w, next.free(w)))
	}
	if len(next.Columns) == len(r.Columns) {
		return r, kept, nil
	}
	next.Version++
	return next, kept, nil
}

// column is the next one.
func (r Registry) column(w Wanted, name string) Column {
	return Column{Name: name, Path: w.Path, Type: w.Type.Glue(), FieldID: lake.FirstPromotedID + int32(lake.Sides)*int32(len(r.Columns))}
}

func (r Registry) find(path []string) int {
	return slices.IndexFunc(r.Columns, func(c Column) bool { return slices.Equal(c.Path, path) })
}

// free is the name of a new column: of two paths that would have the same, the later has a digest behind it.
func (r Registry) free(w Wanted) string {
	name := nameOf(w.Path)
	if slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Name == name }) {
		name += "_" + digest(w.path())
	}
	return name
}

// Promoted are the columns of the wanted paths, as the encoder needs them. All of them stand in the registry.
func (r Registry) Promoted(wanted []Wanted) []lake.Promoted {
	var out []lake.Promoted
	for _, w := range wanted {
		if at := r.find(w.Path); at >= 0 {
			out = append(out, r.Columns[at].promoted())
		}
	}
	return out
}

// All are the columns of every path, in the order in which they came.
func (r Registry) All() []lake.Promoted {
	out := make([]lake.Promoted, len(r.Columns))
	for i, c := range r.Columns {
		out[i] = c.promoted()
	}
	return out
}

func (c Column) promoted() lake.Promoted {
	return lake.Promoted{Name: c.Name, Path: c.Path, Type: types[c.Type], FieldID: c.FieldID}
}

// Beside notes that files hold side columns. The registry is unchanged where it knows that.
func (r Registry) Beside(names []string) Registry {
	next := Registry{Version: r.Version, Columns: slices.Clone(r.Columns)}
	grown := false
	for i, c := range next.Columns {
		for s := lake.SideBigInt; s < lake.Sides; s++ {
			side, ok := c.promoted().Column(s)
			if ok && slices.Contains(names, side.Name) && !slices.Contains(c.Beside, side.Type.Glue()) {
				c.Beside = append(slices.Clone(c.Beside), side.Type.Glue())
				grown = true
			}
		}
		next.Columns[i] = c
	}
	if !grown {
		return r
	}
	next.Version++
	return next
}

// Listed is a column that the catalog lists, and the path that it shows.
type Listed struct {
	lake.Column
	Path string
}

// Listed are the columns that the table has beside its own: each promoted one, and of those beside them the ones that
// some file holds.
func (r Registry) Listed() []Listed {
	var out []Listed
	for _, c := range r.Columns {
		p := c.promoted()
		for s := lake.Main; s < lake.Sides; s++ {
			side, ok := p.Column(s)
			if ok && (s == lake.Main || slices.Contains(c.Beside, side.Type.Glue())) {
				out = append(out, Listed{side, strings.Join(c.Path, ".")})
			}
		}
	}
	return out
}
