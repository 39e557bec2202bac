package query

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// dayKey is the partition key that a query should bound.
const dayKey = "dt"

// Days that no lake has. A query that would read both is not kept from any by its
// conditions.
const (
	firstDay = "0001-01-01"
	lastDay  = "9999-12-31"
)

// mostProbes bounds how many combinations of other partition values are probed.
const mostProbes = 50

// findUnbound asks the planner about partitions that are not there: of the first and
// of the last day that there can be, beside those that the query touches. A table of
// which it would read both has no bound on its day.
func (p *Plan) findUnbound(ctx context.Context, planner *engine, question string) error {
	asked := false
	for i := range p.tables {
		probe, ok := p.tables[i].probe()
		if !ok {
			continue
		}
		asked = true
		if err := planner.exec(ctx, slices.Concat([]string{"BEGIN"}, probe.planSQL(i+len(p.tables)), []string{"COMMIT"})...); err != nil {
			return err
		}
	}
	if !asked {
		return nil
	}
	plan, _, err := planner.plan(ctx, question)
	if err != nil {
		return unplanned{err}
	}
	kept := touched(plan)
	for i := range p.tables {
		for n := 0; n < 2*mostProbes; n += 2 {
			if kept[[2]int{i + len(p.tables), n}] && kept[[2]int{i + len(p.tables), n + 1}] {
				p.tables[i].unbound = true
			}
		}
	}
	return nil
}

// probe is the table with two partitions, of the first and the last day, for each
// combination of its other values that the query touches; ok is false where a bound
// could not matter.
func (t table) probe() (probe table, ok bool) {
	day := t.day()
	if day < 0 || !slices.Contains([]string{"VARCHAR", "DATE"}, t.keys[day].typ) || len(t.days(t.partitions)) < 2 {
		return table{}, false
	}
	probe = t
	probe.partitions = nil
	seen := make(map[string]bool)
	for _, p := range t.partitions {
		values := slices.Clone(p.values)
		values[day] = firstDay
		key := strings.Join(values, "\x00")
		if seen[key] || len(seen) == mostProbes {
			continue
		}
		seen[key] = true
		last := slices.Clone(values)
		last[day] = lastDay
		probe.partitions = append(probe.partitions, partition{values: values}, partition{values: last})
	}
	return probe, true
}

func (t table) day() int {
	return slices.IndexFunc(t.keys, func(k column) bool { return strings.EqualFold(k.name, dayKey) })
}

// days are the different days of partitions, in their order.
func (t table) days(partitions []partition) []string {
	var days []string
	for _, p := range partitions {
		days = append(days, p.values[t.day()])
	}
	slices.Sort(days)
	return slices.Compact(days)
}

// boundNote names the bound to add. It stands on what the scans say of time.
func (t table) boundNote(scans []tableScan) string {
	days := t.days(t.partitions)
	return fmt.Sprintf("%s is partitioned by %s, and nothing in the query bounds it: %d days are read, %s to %s; add: %s",
		t.name, dayKey, len(days), days[0], days[len(days)-1], proposal(scans, days))
}

var timeBound = regexp.MustCompile(`\b(timestamp|receivedat)\b(?: AS TIMESTAMP WITH TIME ZONE\))? ?>=? ?'(\d{4}-\d\d-\d\d)`)

// proposal is a bound. dt is the UTC day of receivedat; an event has come in when it
// had happened, but for a client whose clock is ahead: a day is left for that.
func proposal(scans []tableScan, days []string) string {
	lowest, why := "", ""
	for _, s := range scans {
		found := ""
		for _, m := range timeBound.FindAllStringSubmatch(strings.Join(s.filters, "\n"), -1) {
			day := m[2]
			if at, err := time.Parse(time.DateOnly, day); err == nil && m[1] == "timestamp" {
				day = at.AddDate(0, 0, -1).Format(time.DateOnly)
			}
			if day > found {
				found, why = day, " (the day of receivedat; the query asks for a "+m[1]+" from "+m[2]+" on)"
			}
		}
		if found == "" { // this scan wants everything
			lowest = ""
			break
		}
		if lowest == "" || found < lowest {
			lowest = found
		}
	}
	if lowest == "" {
		week := days[max(len(days)-7, 0)]
		return fmt.Sprintf("%s >= '%s' for the last %d of them", dayKey, week, min(len(days), 7))
	}
	return fmt.Sprintf("%s >= '%s'%s", dayKey, lowest, why)
}

// strangers are the ways in which DuckDB and Athena name what they do not find.
var strangers = regexp.MustCompile(`Table with name "?([^"\s!]+)"? does not exist|Referenced column "([^"]+)" not found|` +
	`does not have a column named "([^"]+)"|Referenced table "([^"]+)" not found|Column '([^']+)' cannot be resolved|` +
	`Table '([^']+)' does not exist|Schema '([^']+)' does not exist`)

// nearby adds the nearest names to an error that names what is not there.
func (p *Plan) nearby(err error) error {
	if err == nil {
		return nil
	}
	m := strangers.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	stranger := strings.Join(m[1:], "")
	stranger = stranger[strings.LastIndex(stranger, ".")+1:]
	tables, columns := p.names()
	known := columns
	if strings.HasPrefix(m[0], "Table with") || strings.HasPrefix(m[0], "Table '") || strings.HasPrefix(m[0], "Referenced table") {
		known = tables
	}
	if near := nearest(stranger, known); near != "" {
		return &strangerError{err, fmt.Sprintf("%s: nearest %s", stranger, near)}
	}
	return err
}

// strangerError is an error with what may have been meant.
type strangerError struct {
	error
	hint string
}

func (e *strangerError) Error() string { return e.error.Error() + "\n" + e.hint }
func (e *strangerError) Unwrap() error { return e.error }

// names are the database's tables, and the columns of those that the query names.
func (p *Plan) names() (tables, columns []string) {
	all := p.tables
	for _, v := range p.views {
		all = append(all[:len(all):len(all)], v.table)
	}
	for _, t := range all {
		tables = append(tables, t.name)
		if t.named {
			for _, c := range t.shown() {
				columns = append(columns, c.name)
			}
		}
	}
	if columns == nil { // the planner did not come so far
		for _, t := range all {
			for _, c := range t.shown() {
				columns = append(columns, c.name)
			}
		}
	}
	return tables, columns
}

// failure is Athena's error with the nearest names.
func (p *Plan) failure(err error) error {
	if err != nil && p.whole != nil && errors.Is(p.whole, ErrNoTable) {
		return p.nearby(fmt.Errorf("%w (%w)", err, p.whole))
	}
	return p.nearby(err)
}
