package promote

import (
	"fmt"
	"slices"
)

// Shown is a column as the catalog's table has it.
type Shown struct {
	Name, Type, Path string // Path with dots; "" = it is no promoted column
}

// Rebuild makes a registry anew from the columns of the table, in their order, which is the one in which the catalog added
// them. It refuses a column that no registry has made of its path and type: somebody has changed it.
func Rebuild(table []Shown, version int64) (Registry, error) {
	r := Registry{Format: format}
	var beside []string
	for _, c := range table {
		if c.Path == "" {
			continue
		}
		w, err := Parse(c.Path + ": " + c.Type)
		if err != nil {
			return Registry{}, fmt.Errorf("column %s: %w", c.Name, err)
		}
		if name := nameOf(w.Path); c.Name != name && c.Name != name+"_"+digest(w.path()) {
			beside = append(beside, c.Name)
			continue
		}
		if r.find(w.Path) >= 0 || len(r.Columns) == MaxColumns {
			return Registry{}, fmt.Errorf("column %s: the path %s has two columns, or there are more than %d", c.Name, w.path(), MaxColumns)
		}
		r.Columns = append(r.Columns, r.column(w, c.Name))
	}
	r = r.Beside(beside)
	listed := r.Listed()
	for _, name := range beside {
		if !slices.ContainsFunc(listed, func(l Listed) bool { return l.Name == name }) {
			return Registry{}, fmt.Errorf("column %s: it is neither a promoted path's own nor one beside it", name)
		}
	}
	r.Format, r.Version = format, version
	return r, nil
}
