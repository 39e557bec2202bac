// Package promote decides which paths of events have typed columns of their own: how a person asks for them, what the
// columns are called, and which the lake has already. Its invariant: a column, once it stands in the registry, keeps its
// name, its type, its path and its field id for as long as the lake lives, whatever is asked for later, so that old and
// new files are one table. It does not read events (pkg/event does) and stores nothing: the sink keeps the registry in
// the lake, the catalog reads it there. Pure; a Registry is a value.
package promote

import (
	"fmt"
	"slices"
	"strings"

	"weir/pkg/lake"
)

// Wanted is a path that somebody wants to have a column.
type Wanted struct {
	Path []string // keys, from the outermost
	Type lake.Type
}

// Bounds of what is asked for.
const (
	MaxWanted = 300 // paths of one list
	maxKeys   = 6   // of a path, the first included
	maxPath   = 256 // bytes of a path
)

// types are those that a promoted column can have.
var types = map[string]lake.Type{
	"string": lake.String, "bigint": lake.BigInt, "double": lake.Double, "boolean": lake.Boolean,
	"timestamp": lake.Timestamp, "date": lake.Date,
}

// Parse reads "properties.revenue: double". A key that has a dot, a colon or a comma in it cannot be named.
func Parse(text string) (Wanted, error) {
	path, typ, ok := strings.Cut(text, ":")
	path, typ = strings.TrimSpace(path), strings.TrimSpace(typ)
	t, known := types[typ]
	switch {
	case !ok:
		return Wanted{}, fmt.Errorf("%q has no type: want a path and a type, such as properties.revenue: double", text)
	case !known:
		return Wanted{}, fmt.Errorf("%q is no type of a promoted column: want string, bigint, double, boolean, timestamp or date", typ)
	case len(path) > maxPath:
		return Wanted{}, fmt.Errorf("the path %.40q… is longer than %d bytes", path, maxPath)
	}
	w := Wanted{Path: strings.Split(path, "."), Type: t}
	return w, w.check()
}

func (w Wanted) check() error {
	if first := w.Path[0]; first != "context" && first != "traits" && first != "properties" {
		return fmt.Errorf("the path %s begins with neither context, traits nor properties", w.path())
	}
	if len(w.Path) < 2 || len(w.Path) > maxKeys || slices.Contains(w.Path, "") {
		return fmt.Errorf("the path %s has not two to %d keys", w.path(), maxKeys)
	}
	return nil
}

func (w Wanted) path() string { return strings.Join(w.Path, ".") }

func (w Wanted) String() string { return w.path() + ": " + w.Type.Glue() }
