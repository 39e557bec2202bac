//go:build duckdb && e2e

package question

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// The same through Apache Kafka, a versitygw process and moto's Glue, asked of Trino, whose engine Athena's is,
// and of `weir query`.
func TestAskTrino(t *testing.T) {
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	w, _ := fleet.Real(t)
	w.Sources = Sources
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: t.TempDir(), GlueURL: w.GlueURL, S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret,
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)

	f := fleet.Launch(t, w)
	day, err := Send(t.Context(), f, w.Broker)
	require.NoError(t, err)
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	require.NoError(t, f.Await(t.Context(), time.Minute, func(ctx context.Context) error {
		rows, err := trino.Query(ctx, "weir", "select count(*) from eventlogs")
		if err == nil && (len(rows) != 1 || rows[0][0] != float64(day.Total())) {
			err = errors.New("not every row is registered yet")
		}
		return err
	}))

	rows, err := trino.Query(t.Context(), "weir", SQL)
	require.NoError(t, err)
	var answer []Count
	for _, row := range rows {
		answer = append(answer, Count{Type: row[0].(string), N: int(row[1].(float64))})
	}
	require.Equal(t, day.Answer(time.Now()), answer)
	require.Equal(t, answer, ask(t, f))

	maps, err := trino.Query(t.Context(), "weir", "select distinct element_at(context, 'page') is not null from eventlogs")
	require.NoError(t, err)
	require.Equal(t, [][]any{{true}}, maps, "maps are read by key")
	requirePruning(t, w, func(where string) int {
		t.Helper()
		plan, err := trino.Query(t.Context(), "weir", "explain analyze select event from eventlogs where sourceid = 'source1' and "+where)
		require.NoError(t, err)
		return inputRows(t, fmt.Sprint(plan))
	})

	require.NoError(t, f.Stop())
	requireConflicts(t, w, func(f *fleet.Fleet, columns []string, from string) ([]map[string]any, error) {
		ours, err := askWeir(t)(f, columns, from)
		if err != nil {
			return nil, err
		}
		rows, err := trino.Query(t.Context(), "weir", "select "+shownAs("varchar", columns)+" from "+from)
		if err == nil && len(ours) != len(rows) {
			err = fmt.Errorf("weir query finds %d rows, Trino %d", len(ours), len(rows))
		}
		return byColumn(columns, rows), err
	})
}

var input = regexp.MustCompile(`Input: ([0-9,]+) rows`)

// inputRows is what the scan of the table read: the largest of the plan's inputs.
func inputRows(t *testing.T, plan string) (rows int) {
	t.Helper()
	found := input.FindAllStringSubmatch(plan, -1)
	require.NotEmpty(t, found, plan)
	for _, m := range found {
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		require.NoError(t, err)
		rows = max(rows, n)
	}
	return rows
}

// byColumn names the values of each row.
func byColumn(columns []string, rows [][]any) []map[string]any {
	named := make([]map[string]any, len(rows))
	for i, row := range rows {
		named[i] = map[string]any{}
		for j, column := range columns {
			named[i][column] = row[j]
		}
	}
	return named
}
