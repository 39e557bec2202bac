package query

import (
	"fmt"
	"slices"
	"strings"

	"weir/services/query/internal/near"
	"weir/services/query/internal/sqltext"
)

// mostShown bounds how many values of a partition key a note lists.
const mostShown = 5

// noteStrangers says of a table of which no partition is asked for what is there.
func (p *Plan) noteStrangers() {
	for _, t := range p.tables {
		if !t.named || t.known == 0 || len(t.partitions) > 0 {
			continue
		}
		p.Notes = append(p.Notes, fmt.Sprintf("%s has no partition that the query asks for: %s", t.name, t.meant(sqltext.Texts(p.sql))))
	}
}

// meant compares the texts of a query with the values that the partitions have.
func (t table) meant(texts []string) string {
	var there []string
	for i, k := range t.keys {
		values := t.values(i)
		for _, text := range texts {
			if slices.Contains(values, text) {
				continue
			}
			if found := nearest(text, values); found != "" {
				return fmt.Sprintf("of %s '%s' the nearest there is %s", k.name, text, found)
			}
		}
		shown := strings.Join(values, ", ")
		if n := len(values); n > mostShown {
			shown = fmt.Sprintf("%d from %s to %s", n, values[0], values[n-1])
		}
		there = append(there, k.name+": "+shown)
	}
	return "there is " + strings.Join(there, "; ")
}

// values are those of one partition key, sorted.
func (t table) values(key int) []string {
	var values []string
	for _, p := range t.all {
		values = append(values, p.values[key])
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func nearest(written string, names []string) string {
	return strings.Join(near.Names(written, names), ", ")
}
