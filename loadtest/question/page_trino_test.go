//go:build duckdb && e2e

package question

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// The page's queries on Trino, whose engine Athena's is, over Apache Kafka, versitygw and moto's Glue: the answers are those
// that were counted, and DuckDB's. The ledger's table is one of those that both read.
func TestPageOnTrino(t *testing.T) {
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	w, _ := fleet.Real(t)
	f, all := launchShop(t, w)
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: t.TempDir(), GlueURL: w.GlueURL, S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret,
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	ask := func(sql string) (texts [][]string, err error) {
		rows, err := trino.Query(t.Context(), "weir", sql)
		for _, row := range rows {
			line := make([]string, len(row))
			for i, v := range row {
				line[i] = trinoText(v)
			}
			texts = append(texts, line)
		}
		return texts, err
	}
	requirePage(t, all, ask)
	requirePage(t, all, func(sql string) ([][]string, error) { return askCSV(t.Context(), f, sql) })

	const files = `select count(*), sum(rows), sum(bytes), min(first_offset), sum(element_at(column_bytes, 'messageid')), count(distinct key),
		count(min_time), count(visible_at), count_if(visible_at < flushed_at) from weir_files where table_name = 'eventlogs'`
	there, err := ask(files)
	require.NoError(t, err)
	here, err := askCSV(t.Context(), f, files)
	require.NoError(t, err)
	require.Equal(t, here, there, "both engines read the table of files alike")
	require.Equal(t, []string{fmt.Sprint(len(all)), "0", "0"}, []string{there[0][1], there[0][3], there[0][8]})
	for _, i := range []int{5, 6, 7} {
		require.Equal(t, there[0][0], there[0][i], "a key, its times, of each file")
	}

	_, err = ask("select properties['no such key'] from eventlogs where dt = '2026-11-22' and properties is not null")
	require.ErrorContains(t, err, "Key not present in map")
	missing, err := askCSV(t.Context(), f, "select count(properties['no such key']) from eventlogs where dt = '2026-11-22'")
	require.NoError(t, err)
	require.Equal(t, [][]string{{"0"}}, missing, "as the page says")
}

// trinoText is a value of Trino's answer, whose numbers come as JSON's.
func trinoText(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
