//go:build e2e

package columnar

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// Spark finds in the files what Go put there, by the columns that Glue declares: every value, by its vectorized reader and
// by Parquet's own for Java, which Hive has too; and where conditions let it leave out row groups and pages, every row.
func TestSpark(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	dir := t.TempDir()
	made := enginesTable(t, dir)
	spark, err := parts.StartSpark(t.Context(), parts.SparkOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(spark.Stop)
	ask := func(t *testing.T, sql string) [][]any {
		rows, _, err := spark.Query(t.Context(), sql)
		require.NoError(t, err, spark.Tail())
		return rows
	}
	var declared []string
	for _, c := range enginesColumns() {
		declared = append(declared, "`"+c.Name+"` "+c.Type.Glue())
	}
	ask(t, fmt.Sprintf("create temporary view glue (%s) using parquet options (path '%s')", strings.Join(declared, ", "), dir))
	ask(t, fmt.Sprintf("create temporary view merged using parquet options (path '%s', mergeSchema 'true')", dir))
	ask(t, "set spark.sql.codegen.maxFields=1000") // of more columns rows are read one by one

	t.Run("merged", func(t *testing.T) { made.requireColumns(t, ask(t, "describe merged")) })
	for _, vectorized := range []string{"true", "false"} {
		t.Run("vectorized="+vectorized, func(t *testing.T) {
			ask(t, "set spark.sql.parquet.enableVectorizedReader="+vectorized)
			require.Contains(t, fmt.Sprint(ask(t, "explain select * from glue")), "Batched: "+vectorized)
			made.requireRows(t, sparkRows(t, ask(t, sparkRowsOf(ask(t, "describe glue")))))
			made.requireConditions(t, "input_file_name()", ask)
		})
	}
}

// requireColumns compares the columns that Spark finds in the files themselves with those that have values.
func (f files) requireColumns(t *testing.T, described [][]any) {
	t.Helper()
	want, found := map[string]string{}, map[string]string{}
	for _, c := range enginesColumns() {
		if _, promoted := promotedTypes[c.Name]; !promoted || len(f.count(func(r row) bool { return r[c.Name] != nil })) > 0 {
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

// sparkRows has the JSON of rows read.
func sparkRows(t *testing.T, rows [][]any) [][]any {
	t.Helper()
	for _, r := range rows {
		var values map[string]any
		require.NoError(t, json.Unmarshal([]byte(r[1].(string)), &values))
		r[1] = values
	}
	return rows
}
