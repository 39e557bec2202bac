//go:build duckdb && e2e

package question

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// The same asked of Spark, the engine of EMR, over S3. Outside EMR Spark cannot have Glue as its metastore: it is told the
// columns and the place that stand in Glue.
func TestAskSpark(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	w, _ := fleet.Embedded(t)
	w.Sources = Sources
	spark, err := parts.StartSpark(t.Context(), parts.SparkOptions{Dir: t.TempDir(), S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret})
	require.NoError(t, err)
	t.Cleanup(spark.Stop)

	f := fleet.Launch(t, w)
	day, err := Send(t.Context(), f, w.Broker)
	require.NoError(t, err)
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	require.NoError(t, f.Await(t.Context(), 30*time.Second, func(ctx context.Context) error { return registered(ctx, f, day) }))

	rows, _, err := askSpark(t.Context(), f, spark, SQL)
	require.NoError(t, err)
	var answer []Count
	for _, row := range rows {
		answer = append(answer, Count{Type: row[0].(string), N: int(row[1].(float64))})
	}
	require.Equal(t, day.Answer(time.Now()), answer)

	maps, _, err := askSpark(t.Context(), f, spark, "select distinct context['page'] is not null from eventlogs")
	require.NoError(t, err)
	require.Equal(t, [][]any{{true}}, maps, "maps are read by key")
	requireSparkPrunes(t, w, f, spark)

	require.NoError(t, f.Stop())
	requireConflicts(t, w, func(f *fleet.Fleet, columns []string, from string) ([]map[string]any, error) {
		rows, _, err := askSpark(t.Context(), f, spark, "select "+shownAs("string", columns)+" from "+from)
		return byColumn(columns, rows), err
	})
}

// requireSparkPrunes also takes away what should spare Spark the rows: then it reads them.
func requireSparkPrunes(t *testing.T, w fleet.World, f *fleet.Fleet, spark *parts.Spark) {
	t.Helper()
	ask := func(where string) int {
		t.Helper()
		_, scanned, err := askSpark(t.Context(), f, spark, "select event from eventlogs where sourceid = 'source1' and "+where)
		require.NoError(t, err)
		return scanned
	}
	oneMessage, oneHour := requirePruning(t, w, ask)
	for where, without := range map[string]string{oneMessage: "parquet.filter.bloom.enabled", oneHour: "parquet.filter.columnindex.enabled"} {
		with := ask(where)
		_, _, err := spark.Query(t.Context(), "set "+without+"=false")
		require.NoError(t, err)
		all := ask(where)
		require.GreaterOrEqual(t, all, with+groupRows/2, without)
		t.Logf("rows that Spark took in for %s: %d, without %s %d", where, with, without, all)
		_, _, err = spark.Query(t.Context(), "set "+without+"=true")
		require.NoError(t, err)
	}
}

// askSpark asks of a table eventlogs as Glue has it at this moment.
func askSpark(ctx context.Context, f *fleet.Fleet, spark *parts.Spark, sql string) (rows [][]any, scanned int, err error) {
	out, err := f.Weir(ctx, "catalog", "tables", "--output", "json")
	if err != nil {
		return nil, 0, err
	}
	var listed []struct{ Table, Column, Type, Location string }
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		return nil, 0, fmt.Errorf("read the tables: %w", err)
	}
	var columns []string
	location := ""
	for _, l := range listed {
		if l.Table == "eventlogs" {
			columns = append(columns, "`"+l.Column+"` "+l.Type)
			location = strings.Replace(l.Location, "s3://", "s3a://", 1)
		}
	}
	table := fmt.Sprintf("create or replace temporary view eventlogs (%s) using parquet options (path '%s')", strings.Join(columns, ", "), location)
	if _, _, err := spark.Query(ctx, table); err != nil {
		return nil, 0, err
	}
	return spark.Query(ctx, sql)
}
