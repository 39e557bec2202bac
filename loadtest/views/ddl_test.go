//go:build duckdb && e2e

package views

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// The tables that `weir catalog ddl` prints are made by hand in Spark, whose DDL is Hive's as Athena's is, in a metastore
// that knows nothing of weir, and find what the sink wrote.
func TestDDLInSpark(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	w, _ := fleet.Real(t)
	f := launch(t, &w)
	for _, round := range Rounds() {
		require.NoError(t, round.Send(t.Context(), w.Broker))
	}
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	args := []string{}
	for _, table := range []string{"eventlogs", "eventlogs_raw"} {
		ddl, err := f.Weir(t.Context(), "catalog", "ddl", table)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), table+".sql")
		require.NoError(t, os.WriteFile(file, []byte(ddl), 0o644))
		args = append(args, file)
	}
	script, err := filepath.Abs("testdata/ddl.py")
	require.NoError(t, err)
	out, exit, err := parts.SubmitSpark(t.Context(), parts.SparkOptions{Dir: t.TempDir(), S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret}, script, args...)
	require.NoError(t, err)
	require.Zero(t, exit, out)
	var answer struct {
		Rows     [][]any
		Comments map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer), out)
	require.Equal(t, [][]any{{"1", "3", true}, {"4", "three", true}, {"5", "2.5", true}, {"8", `{"a":1}`, true}}, answer.Rows)
	require.Equal(t, "properties.revenue", answer.Comments["properties_revenue"])
}
