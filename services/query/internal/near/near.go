// Package near finds the names that somebody may have meant who wrote another one. It
// compares a bounded number of names of a bounded length. Owned by whoever owns weir
// query.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// Bounds: on the names that are looked at, the length of one, and what is given.
const (
	mostNames = 10_000
	mostRunes = 128
	mostFound = 3
)

// Names are those nearest to the written one, the nearest first; letter case does not
// count. None is farther away than a third of its letters, or two of them; one that
// holds the written name, or is held by it, counts as near too.
func Names(written string, names []string) []string {
	type found struct {
		name string
		away int
	}
	var near []found
	w := fold(written)
	for _, name := range names[:min(len(names), mostNames)] {
		n := fold(name)
		away := distance(w, n)
		switch {
		case away <= max(2, len(w)/3) && away < len(w):
		case len(w) >= 3 && len(n) >= 3 && (strings.Contains(string(n), string(w)) || strings.Contains(string(w), string(n))):
			away += mostRunes
		default:
			continue
		}
		near = append(near, found{name, away})
	}
	slices.SortStableFunc(near, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.away, b.away), cmp.Compare(a.name, b.name))
	})
	var list []string
	for _, f := range near {
		if len(list) < mostFound && !slices.Contains(list, f.name) {
			list = append(list, f.name)
		}
	}
	return list
}

func fold(name string) []rune {
	runes := []rune(strings.ToLower(name))
	return runes[:min(len(runes), mostRunes)]
}

// distance counts the letters to insert, drop, change, or swap with a neighbour.
func distance(a, b []rune) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		this, last, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		this[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			this[j] = min(last[j]+1, this[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
