//go:build e2e

package columnar

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// files are the rows that should stand in the files of one folder, by file.
type files map[string][]row

// add writes a file into dir and takes down its rows.
func (f files) add(t *testing.T, dir, name string, b []byte, want []row) {
	t.Helper()
	name = strings.NewReplacer("/", "-", " ", "-").Replace(name) + ".parquet"
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	f[name] = want
}

// count is how many rows of each file are such, without the files that have none.
func (f files) count(such func(row) bool) map[string]int {
	n := map[string]int{}
	for name, rows := range f {
		for _, r := range rows {
			if such(r) {
				n[name]++
			}
		}
	}
	return n
}

// enginesTable makes the files of one table: the matrix, a dictionary that is given up, and files of sinks of other times,
// with maps alone, with fewer columns promoted, and with typed columns alone.
func enginesTable(t *testing.T, dir string) files {
	made := files{}
	matrix(func(name string, o Options, records []*event.Record) {
		if heavy(o) {
			return
		}
		b, want := write(t, o, records...)
		made.add(t, dir, name, b, want)
	})
	var overflow []*event.Record
	for i := range 500 {
		overflow = append(overflow, record(i, overflowing(i, 200, 8<<10)))
	}
	b, want := write(t, Options{PageRows: 200}, overflow...)
	requireOverflow(t, b)
	made.add(t, dir, "overflow", b, want)

	b, want = write(t, Options{RowGroupRows: 1000}, mixed()...)
	made.add(t, dir, "promoted", b, want)
	b, want = writeBy(t, lake.EventLogs().Schema, Options{}, nil, mixed()...)
	made.add(t, dir, "maps alone", b, want)
	few := Options{Promoted: promoted[:20]}
	b, want = writeBy(t, lake.EventLogs().Schema, few, event.NewPromotion(few.Promoted), mixed()...)
	made.add(t, dir, "fewer promoted", b, want)

	b, want = writeBy(t, withoutMaps(lake.EventLogs().Schema), Options{Promoted: promoted}, event.NewPromotion(promoted).Alone(), mixed()...)
	for _, r := range want {
		for _, name := range []string{"context", "traits", "properties", "integrations"} {
			delete(r, name)
		}
	}
	made.add(t, dir, "typed alone", b, want)
	return made
}

// enginesColumns are the table's columns and all promoted ones with those beside them, as Glue declares them.
func enginesColumns() lake.Schema {
	columns := slices.Clone(lake.EventLogs().Schema)
	for name, typ := range promotedTypes {
		columns = append(columns, lake.Column{Name: name, Type: typ})
	}
	return columns
}

// requireRows compares every row of every file. rows are pairs of a path and values by column, in the order of offsets.
func (f files) requireRows(t *testing.T, rows [][]any) {
	t.Helper()
	seen := map[string]int{}
	for _, found := range rows {
		name, values := filepath.Base(found[0].(string)), found[1]
		require.Less(t, seen[name], len(f[name]), name)
		want := withoutNulls(asJSON(f[name][seen[name]]))
		require.Equal(t, want, values, "%s, row %d", name, seen[name])
		seen[name]++
	}
	require.Equal(t, f.count(func(row) bool { return true }), seen)
}

// withoutNulls leaves out the columns that are NULL: a file has them or not.
func withoutNulls(values map[string]any) map[string]any {
	maps.DeleteFunc(values, func(_ string, value any) bool { return value == nil })
	return values
}

// requireConditions has rows counted by conditions that bounds, NULL counts, dictionaries and Bloom filters help to judge.
// file is how the engine calls the path of a row's file.
func (f files) requireConditions(t *testing.T, file string, ask func(*testing.T, string) [][]any) {
	t.Helper()
	const halfPast = 1_795_429_800_000_000 // 2026-11-23 10:30:00 UTC in microseconds
	for where, such := range map[string]func(row) bool{
		"true":                                func(row) bool { return true },
		"userid is null":                      func(r row) bool { return r["userid"] == nil },
		"userid is not null":                  func(r row) bool { return r["userid"] != nil },
		"userid = 'u791900' or event is null": func(r row) bool { return r["userid"] == "u791900" || r["event"] == nil },
		"event = 'Event 1'":                   func(r row) bool { return r["event"] == "Event 1" },
		"messageid = 'm17'":                   func(r row) bool { return r["messageid"] == "m17" },
		"messageid in ('m0', 'm310', 'm400')": func(r row) bool { return slices.Contains([]any{"m0", "m310", "m400"}, r["messageid"]) },
		"timestamp >= timestamp '2026-11-23 10:30:00'": func(r row) bool {
			at, ok := r["timestamp"].(int64)
			return ok && at >= halfPast
		},
		"properties_d < -500": func(r row) bool { d, ok := r["properties_d"].(float64); return ok && d < -500 },
		"properties_k = 3":    func(r row) bool { return r["properties_k"] == int64(3) },
		"properties_b":        func(r row) bool { return r["properties_b"] == true },
		"properties_day >= date '2050-01-01'": func(r row) bool {
			day, ok := r["properties_day"].(int32)
			return ok && day >= 29_220
		},
		"properties_revenue__string is not null": func(r row) bool { return r["properties_revenue__string"] != nil },
		"kafkaoffset between 99 and 101":         func(r row) bool { at := r["kafkaoffset"].(int64); return at >= 99 && at <= 101 },
	} {
		got := map[string]int{}
		for _, found := range ask(t, "select "+file+", count(*) from glue where "+where+" group by 1") {
			got[filepath.Base(found[0].(string))] = int(found[1].(float64))
		}
		require.NotEmpty(t, got, where)
		require.Equal(t, f.count(such), got, where)
	}
}
