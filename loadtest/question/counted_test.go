//go:build duckdb

package question

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// counted are the answers to the page's queries, in its order, from what was sent. They know nothing of SQL.
func counted(all []deed) []answer {
	return []answer{
		{"messages by type", byType(all)},
		{"people a day", peopleByDay(all)},
		{"one person", onePerson(all)},
		{"revenue by day", revenueByDay(all, false)},
		{"revenue, texts too", revenueByDay(all, true)},
		{"models", models(all)},
		{"funnel", funnel(all)},
		{"a day by event time", dayByEventTime(all)},
		{"lateness", lateness(all)},
		{"each once", eachOnce(all)},
		{"raw", [][]string{{"m-odd-0123456789", "2026-11-22T01:00:00.000Z", "many"}}},
		{"files", filesRows(all)},
		{"a week by type", weekByType(all)},
	}
}

type answer struct {
	about string
	rows  [][]string
}

func (d deed) day() string { return d.received.Format(time.DateOnly) }

func (d deed) amount() (text string, number bool) {
	return strings.Trim(d.revenue, `"`), !strings.HasPrefix(d.revenue, `"`)
}

// tally counts by key, in the order of the keys.
func tally(all []deed, key func(deed) (string, bool)) map[string]int {
	n := map[string]int{}
	for _, d := range all {
		if k, counts := key(d); counts {
			n[k]++
		}
	}
	return n
}

// distinct counts different values by key.
func distinct(all []deed, pair func(deed) (key, value string, counts bool)) map[string]int {
	seen, n := map[string]bool{}, map[string]int{}
	for _, d := range all {
		if k, v, counts := pair(d); counts && !seen[k+"\x00"+v] {
			seen[k+"\x00"+v] = true
			n[k]++
		}
	}
	return n
}

func sorted(n map[string]int) (rows [][]string) {
	for _, k := range slices.Sorted(maps.Keys(n)) {
		rows = append(rows, []string{k, strconv.Itoa(n[k])})
	}
	return rows
}

// mostFirst puts the largest first, and equal ones in the order of their keys.
func mostFirst(n map[string]int) [][]string {
	rows := sorted(n)
	slices.SortStableFunc(rows, func(a, b []string) int { return cmp.Compare(n[b[0]], n[a[0]]) })
	return rows
}

func byType(all []deed) [][]string {
	return mostFirst(tally(all, func(d deed) (string, bool) { return d.kind, d.source == "source1" && d.day() == "2026-11-22" }))
}

func peopleByDay(all []deed) [][]string {
	return sorted(distinct(all, func(d deed) (string, string, bool) { return d.day(), cmp.Or(d.user, d.anonymous), true }))
}

func onePerson(all []deed) (rows [][]string) {
	var own []deed
	for _, d := range all {
		if d.user == "u-7" {
			own = append(own, d)
		}
	}
	slices.SortStableFunc(own, func(a, b deed) int { return a.at.Truncate(time.Millisecond).Compare(b.at.Truncate(time.Millisecond)) })
	for _, d := range own {
		rows = append(rows, []string{d.at.Format(time.DateTime), d.kind, cmp.Or(d.event, d.name)})
	}
	return rows
}

// revenueByDay counts orders and cents; with texts only the amounts, those that came as a text too.
func revenueByDay(all []deed, texts bool) (rows [][]string) {
	orders, cents := map[string]int{}, map[string]int{}
	for _, d := range all {
		if d.event != "Order Completed" {
			continue
		}
		orders[d.day()]++
		text, number := d.amount()
		if !number && !texts {
			continue
		}
		if n, err := strconv.Atoi(strings.Replace(text, ".", "", 1)); err == nil {
			cents[d.day()] += n
		}
	}
	for _, day := range slices.Sorted(maps.Keys(orders)) {
		amount := fmt.Sprintf("%d.%02d", cents[day]/100, cents[day]%100)
		if texts {
			rows = append(rows, []string{day, amount})
		} else {
			rows = append(rows, []string{day, strconv.Itoa(orders[day]), amount})
		}
	}
	return rows
}

func models(all []deed) [][]string {
	n := distinct(all, func(d deed) (string, string, bool) {
		return d.model, d.user, d.model != "" && d.day() == "2026-11-22" && d.user != ""
	})
	return mostFirst(n)
}

func funnel(all []deed) [][]string {
	looked, ordered := map[string]time.Time{}, map[string]time.Time{}
	for _, d := range all {
		if d.user == "" || d.day() != "2026-11-22" {
			continue
		}
		first, there := looked[d.user]
		if d.event == "Product Viewed" && (!there || d.at.Before(first)) {
			looked[d.user] = d.at
		}
		if d.event == "Order Completed" && d.at.After(ordered[d.user]) {
			ordered[d.user] = d.at
		}
	}
	then := 0
	for user, at := range looked {
		if ordered[user].After(at) {
			then++
		}
	}
	return [][]string{{strconv.Itoa(len(looked)), strconv.Itoa(then)}}
}

func dayByEventTime(all []deed) [][]string {
	return sorted(distinct(all, func(d deed) (string, string, bool) {
		return d.kind, d.id, d.at.Format(time.DateOnly) == "2026-11-21" && d.day() >= "2026-11-21"
	}))
}

func lateness(all []deed) [][]string {
	return sorted(tally(all, func(d deed) (string, bool) {
		days := d.received.Truncate(24*time.Hour).Sub(d.at.Truncate(24*time.Hour)) / (24 * time.Hour)
		return strconv.Itoa(int(days)), d.day() == "2026-11-23"
	}))
}

func eachOnce(all []deed) [][]string {
	return sorted(distinct(all, func(d deed) (string, string, bool) { return d.event, d.source + d.id, d.kind == "track" }))
}

func filesRows(all []deed) (rows [][]string) {
	for _, row := range sorted(tally(all, func(d deed) (string, bool) { return d.day() + " " + d.source, true })) {
		rows = append(rows, append(strings.Fields(row[0]), row[1]))
	}
	return rows
}

func weekByType(all []deed) [][]string {
	return sorted(tally(all, func(d deed) (string, bool) { return d.kind, d.day() < "2026-11-23" }))
}
