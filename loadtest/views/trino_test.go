//go:build duckdb && e2e

package views

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/glue"
	"weir/pkg/prestoview"
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
	requireByHand(t, w, f, ask)
	comments, err := ask(t.Context(), "select column_name, data_type, comment from information_schema.columns where table_schema = 'weir' and table_name = 'order_completed' and comment is not null order by ordinal_position")
	require.NoError(t, err)
	require.Contains(t, comments, []string{"items", "bigint", "properties.items"})
	require.Contains(t, comments, []string{"f_" + kakaku, "varchar", "properties.価格"})
	plan, err := ask(t.Context(), "explain select revenue from order_completed where dt = '2020-01-01' and sourceid = 'source1'")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(plan), "Values", "a bound on dt inside of a view leaves no partition")
}

// requireByHand makes a view by the statement that `weir catalog ddl` prints: Trino then writes the form that weir writes, and
// weir reads what Trino wrote.
func requireByHand(t *testing.T, w fleet.World, f *fleet.Fleet, ask asker) {
	t.Helper()
	ddl, err := f.Weir(t.Context(), "catalog", "ddl", "identifies")
	require.NoError(t, err)
	ddl = strings.TrimSuffix(strings.Replace(strings.TrimSpace(ddl), `"weir"."identifies"`, `awsdatacatalog."weir"."by_hand"`, 1), ";")
	_, err = ask(t.Context(), strings.Replace(ddl, "FROM eventlogs", "FROM awsdatacatalog.weir.eventlogs", 1))
	require.NoError(t, err)

	g, err := glue.Open(t.Context(), glue.Config{Endpoint: w.GlueURL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret}, nil)
	require.NoError(t, err)
	ours, err := g.GetTable(t.Context(), "weir", "identifies")
	require.NoError(t, err)
	theirs, err := g.GetTable(t.Context(), "weir", "by_hand")
	require.NoError(t, err)
	require.Equal(t, []any{theirs.Type, theirs.View.Expanded, theirs.Parameters[prestoview.Parameter], theirs.Parameters["comment"]},
		[]any{ours.Type, ours.View.Expanded, ours.Parameters[prestoview.Parameter], ours.Parameters["comment"]})
	a, err := prestoview.Decode(ours.View.Original)
	require.NoError(t, err)
	b, err := prestoview.Decode(theirs.View.Original)
	require.NoError(t, err)
	for i := range a.Columns {
		a.Columns[i].Comment = ""
	}
	require.Equal(t, b.Columns, a.Columns, "the types that Trino gives the columns are those that weir says")

	const sql = "select userid, plan from by_hand order by 1"
	want := [][]string{{"u1", "pro"}, {"u2", "free"}}
	for _, ask := range []asker{ask, askWeir(f)} {
		got, err := ask(t.Context(), sql)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
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
