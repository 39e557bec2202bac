package promote

import (
	"errors"
	"fmt"
	"slices"
)

// Found is what stands in the lake of a registry.
type Found struct {
	Current *Registry // the object that each change replaces; nil = there is none
	Copy    *Registry // the newest of those that nothing replaces, one for each version; nil = there is none
}

// Settled is the registry that counts, and what the lake lacks of it.
type Settled struct {
	Registry
	Behind   bool // the current object is missing, or an older version: the registry has to be put there
	Uncopied bool // the registry has no copy yet: until it has one, no file may have its columns
}

// ErrContradiction: a name, a type or a path has meant two things.
var ErrContradiction = errors.New("two versions of the registry of columns contradict each other")

// Settle gives the newest registry of what is found and what the process knows already; the zero Registry is known
// to who knows none. A version that was deleted, or replaced by an older one, comes back from its copy. An older one that
// did not grow into the newest is ErrContradiction: files may have been written with either.
func (f Found) Settle(known Registry) (Settled, error) {
	newest := known
	for _, r := range []*Registry{f.Current, f.Copy} {
		if r != nil && r.Version > newest.Version {
			newest = *r
		}
	}
	for _, r := range []*Registry{&known, f.Current, f.Copy} {
		if r == nil {
			continue
		}
		if err := r.grewInto(newest); err != nil {
			return Settled{}, err
		}
	}
	older := func(r *Registry) bool { return newest.Version > 0 && (r == nil || r.Version < newest.Version) }
	return Settled{Registry: newest, Behind: older(f.Current), Uncopied: older(f.Copy)}, nil
}

// grewInto refuses a newer registry in which a column of this one is missing or another. Which columns stand beside one
// is no contradiction: it only says that some file holds them.
func (r Registry) grewInto(newer Registry) error {
	for i, c := range r.Columns {
		if i >= len(newer.Columns) {
			return fmt.Errorf("%w: version %d has the column %s, version %d has not", ErrContradiction, r.Version, c, newer.Version)
		}
		if n := newer.Columns[i]; !n.is(c) {
			return fmt.Errorf("%w: column %d is %s in version %d, and %s in version %d", ErrContradiction, i+1, c, r.Version, n, newer.Version)
		}
	}
	return nil
}

func (c Column) is(o Column) bool {
	return c.Name == o.Name && c.Type == o.Type && c.FieldID == o.FieldID && slices.Equal(c.Path, o.Path)
}

// String is the column in a message.
func (c Column) String() string {
	return fmt.Sprintf("%s (%s, field %d)", c.Name, Wanted{Path: c.Path, Type: types[c.Type]}, c.FieldID)
}

// Equal tells whether two registries are the same version of the same columns.
func (r Registry) Equal(o Registry) bool {
	return r.Version == o.Version && slices.EqualFunc(r.Columns, o.Columns, func(a, b Column) bool {
		return a.is(b) && slices.Equal(a.Beside, b.Beside)
	})
}
