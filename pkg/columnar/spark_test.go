//go:build e2e

package columnar

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
	"weir/pkg/event"
	"weir/pkg/lake"
)

// sparkRows are the rows that should stand in the files of one folder, by file.
type sparkRows map[string][]row

// add writes a file into dir and takes down its rows.
func (s sparkRows) add(t *testing.T, dir, name string, b []byte, want []row) {
	t.Helper()
	name = strings.NewReplacer("/", "-", " ", "-").Replace(name) + ".parquet"
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	s[name] = want
}

// count is how many rows of each file are such, without the files that have none.
func (s sparkRows) count(such func(row) bool) map[string]int {
	n := map[string]int{}
	for name, rows := range s {
		for _, r := range rows {
			if such(r) {
				n[name]++
			}
		}
	}
	return n
}

// sparkTable makes the files of one table: the matrix, a dictionary that is given up, and files of sinks of other times,
// with maps alone, with fewer columns promoted, and with typed columns alone.
func sparkTable(t *testing.T, dir string) sparkRows {
	files := sparkRows{}
	matrix(func(name string, o Options, records []*event.Record) {
		if heavy(o) {
			return
		}
		b, want := write(t, o, records...)
		files.add(t, dir, name, b, want)
	})
	var overflow []*event.Record
	for i := range 500 {
		overflow = append(overflow, record(i, overflowing(i, 200, 8<<10)))
	}
	b, want := write(t, Options{PageRows: 200}, overflow...)
	requireOverflow(t, b)
	files.add(t, dir, "overflow", b, want)

	b, want = write(t, Options{RowGroupRows: 1000}, mixed()...)
	files.add(t, dir, "promoted", b, want)
	b, want = writeBy(t, lake.EventLogs().Schema, Options{}, nil, mixed()...)
	files.add(t, dir, "maps alone", b, want)
	few := Options{Promoted: promoted[:20]}
	b, want = writeBy(t, lake.EventLogs().Schema, few, event.NewPromotion(few.Promoted), mixed()...)
	files.add(t, dir, "fewer promoted", b, want)

	b, want = writeBy(t, withoutMaps(lake.EventLogs().Schema), Options{Promoted: promoted}, event.NewPromotion(promoted).Alone(), mixed()...)
	for _, r := range want {
		for _, name := range []string{"context", "traits", "properties", "integrations"} {
			delete(r, name)
		}
	}
	files.add(t, dir, "typed alone", b, want)
	return files
}

// sparkColumns are the table's columns and all promoted ones with those beside them, as Glue declares them.
func sparkColumns() lake.Schema {
	columns := slices.Clone(lake.EventLogs().Schema)
	for name, typ := range promotedTypes {
		columns = append(columns, lake.Column{Name: name, Type: typ})
	}
	return columns
}

// Spark finds in the files what Go put there, by the columns that Glue declares: every value, by its vectorized reader and
// by Parquet's own for Java, which Hive has too; and where conditions let it leave out row groups and pages, every row.
func TestSpark(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	dir := t.TempDir()
	files := sparkTable(t, dir)
	spark, err := parts.StartSpark(t.Context(), parts.SparkOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(spark.Stop)
	ask := func(t *testing.T, sql string) [][]any {
		rows, _, err := spark.Query(t.Context(), sql)
		require.NoError(t, err, spark.Tail())
		return rows
	}
	var declared []string
	for _, c := range sparkColumns() {
		declared = append(declared, "`"+c.Name+"` "+c.Type.Glue())
	}
	ask(t, fmt.Sprintf("create temporary view glue (%s) using parquet options (path '%s')", strings.Join(declared, ", "), dir))
	ask(t, fmt.Sprintf("create temporary view merged using parquet options (path '%s', mergeSchema 'true')", dir))
	ask(t, "set spark.sql.codegen.maxFields=1000") // of more columns rows are read one by one

	t.Run("merged", func(t *testing.T) { files.requireColumns(t, ask(t, "describe merged")) })
	for _, vectorized := range []string{"true", "false"} {
		t.Run("vectorized="+vectorized, func(t *testing.T) {
			ask(t, "set spark.sql.parquet.enableVectorizedReader="+vectorized)
			require.Contains(t, fmt.Sprint(ask(t, "explain select * from glue")), "Batched: "+vectorized)
			files.requireRows(t, ask(t, sparkRowsOf(ask(t, "describe glue"))))
			files.requireConditions(t, ask)
		})
	}
}

// requireColumns compares the columns that Spark finds in the files themselves with those that have values.
func (s sparkRows) requireColumns(t *testing.T, described [][]any) {
	t.Helper()
	want, found := map[string]string{}, map[string]string{}
	for _, c := range sparkColumns() {
		if _, promoted := promotedTypes[c.Name]; !promoted || len(s.count(func(r row) bool { return r[c.Name] != nil })) > 0 {
			want[c.Name] = c.Type.Glue()
		}
	}
	for _, c := range described {
		found[c[0].(string)] = c[1].(string)
	}
	require.Equal(t, want, found)
}

// sparkRowsOf asks for every row as JSON, without its NULLs.
func sparkRowsOf(described [][]any) string {
	var shown []string
	for _, c := range described {
		switch name := c[0].(string); c[1] {
		case "timestamp":
			shown = append(shown, fmt.Sprintf("unix_micros(`%s`) as `%[1]s`", name))
		case "date":
			shown = append(shown, fmt.Sprintf("unix_date(`%s`) as `%[1]s`", name))
		default:
			shown = append(shown, "`"+name+"`")
		}
	}
	return "select input_file_name(), to_json(struct(" + strings.Join(shown, ", ") + ")) from glue order by 1, kafkaoffset"
}

// requireRows compares every row of every file.
func (s sparkRows) requireRows(t *testing.T, got [][]any) {
	t.Helper()
	seen := map[string]int{}
	for _, found := range got {
		name := filepath.Base(found[0].(string))
		var values map[string]any
		require.NoError(t, json.Unmarshal([]byte(found[1].(string)), &values))
		require.Less(t, seen[name], len(s[name]), name)
		want := asJSON(s[name][seen[name]])
		for column, value := range want {
			if value == nil {
				delete(want, column)
			}
		}
		require.Equal(t, want, values, "%s, row %d", name, seen[name])
		seen[name]++
	}
	require.Equal(t, s.count(func(row) bool { return true }), seen)
}

// requireConditions has rows counted by conditions that bounds, NULL counts, dictionaries and Bloom filters help to judge.
func (s sparkRows) requireConditions(t *testing.T, ask func(*testing.T, string) [][]any) {
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
		for _, found := range ask(t, "select input_file_name(), count(*) from glue where "+where+" group by 1") {
			got[filepath.Base(found[0].(string))] = int(found[1].(float64))
		}
		require.NotEmpty(t, got, where)
		require.Equal(t, s.count(such), got, where)
	}
}
