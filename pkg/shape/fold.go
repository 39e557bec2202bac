package shape

import (
	"cmp"
	"slices"
	"strings"
)

// compareForms puts the most frequent first, and gives any two that differ an order: a summary must not depend on chance.
func compareForms(a, b *form, total map[*form]int64) int {
	return cmp.Or(cmp.Compare(total[b], total[a]), a.event.compare(b.event), slices.CompareFunc(a.properties, b.properties, func(a, b property) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.kind, b.kind))
	}), cmp.Compare(a.unnoted, b.unnoted))
}

// fold counts n events of a shape in, and tells how many new properties that makes; left is how many may come.
func (s *Summary) fold(f *form, n int64, l Limits, left int) (made int) {
	seen := s.event(f.event, l)
	if seen == nil {
		s.Unnoted.Events += n
		return 0
	}
	seen.Events += n
	s.Unnoted.Values += n * f.unnoted
	for _, p := range f.properties {
		var one Counts
		one[p.kind] = n
		made += s.property(seen, p.key, &one, min(l.Properties, len(seen.Properties)+left-made))
	}
	return made
}
