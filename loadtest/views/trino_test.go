//go:build duckdb && e2e

package views

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// The same through Apache Kafka, a versitygw process and moto's Glue, asked of Trino, whose engine Athena's is, and of
// `weir query`: one text, the same answers.
func TestViewsTrino(t *testing.T) {
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	w, _ := fleet.Real(t)
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: t.TempDir(), GlueURL: w.GlueURL, S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret, Athena: true,
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	f := launch(t, &w)
	play(t, f, w, askTrino(trino), askWeir(f))

	ask := askTrino(trino)
	comments, err := ask(t.Context(), "select column_name, data_type, comment from information_schema.columns where table_schema = 'weir' and table_name = 'order_completed' and comment is not null order by ordinal_position")
	require.NoError(t, err)
	require.Contains(t, comments, []string{"items", "bigint", "properties.items"})
	require.Contains(t, comments, []string{"f_" + kakaku, "varchar", "properties.価格"})
	plan, err := ask(t.Context(), "explain select revenue from order_completed where dt = '2020-01-01' and sourceid = 'source1'")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(plan), "Values", "a bound on dt inside of a view leaves no partition")
}

func askTrino(trino *parts.Trino) asker {
	return func(ctx context.Context, sql string) ([][]string, error) {
		rows, err := trino.Query(ctx, "weir", sql)
		var texts [][]string
		for _, row := range rows {
			one := make([]string, len(row))
			for i, v := range row {
				one[i] = fmt.Sprint(v)
			}
			texts = append(texts, one)
		}
		return texts, err
	}
}
