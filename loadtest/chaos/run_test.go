//go:build duckdb

package chaos

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
)

func play(t *testing.T, s Scenario, tamper func(lake string) error) *Result {
	weir, err := fleet.Build(context.WithoutCancel(t.Context()), t.TempDir())
	require.NoError(t, err)
	audit := filepath.Join(t.TempDir(), "weiraudit")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "duckdb", "-o", audit, "weir/loadtest/cmd/weiraudit").CombinedOutput()
	require.NoError(t, err, string(out))
	result, err := Run(t.Context(), s, Options{Weir: weir, Audit: audit, Dir: t.TempDir(), Say: t.Logf, tamper: tamper})
	require.NoError(t, err)
	t.Log(result.Page())
	return result
}

// The whole way from the load to the verdict, with a crash in it; then a file of the table is there twice and one of
// the raw copy is gone. Everything that the result says beside that is right.
func TestTamperedLakeEmbedded(t *testing.T) {
	s, err := ParseScenario([]byte(`
name: tampered
duration: 6s
cluster: {sinks: 1, partitions: 2, file-age: 1s}
load:
  sources: 2
  gateway: {count: 1, rate: 200, batch: 20}
  direct: {count: 1, rate: 50, batch: 5}
  refuse-every: 10
  letter-every: 5
timeline:
- {at: 2s, do: kill, target: sink}
`))
	require.NoError(t, err)
	result := play(t, s, func(lake string) error {
		files, err := filepath.Glob(filepath.Join(lake, "eventlogs", "*", "*", "*.parquet"))
		require.NoError(t, err)
		raws, err := filepath.Glob(filepath.Join(lake, "raw", "*", "*", "*.jsonl.zst"))
		require.NoError(t, err)
		content, err := os.ReadFile(files[0])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(files[0]+".again.parquet", content, 0o644))
		return os.Remove(raws[0])
	})
	require.False(t, result.Passed)
	for _, check := range result.Checks {
		require.Equal(t, check.Name != "exactly once", check.OK, "%s: limit %s, found %s", check.Name, check.Limit, check.Found)
	}
	kinds := map[string]int64{}
	for _, f := range result.Verdict.FaultList {
		kinds[f.Kind] = f.Count
	}
	require.Positive(t, kinds["doubled in the table"])
	require.Positive(t, kinds["missing in the raw copy"])
	require.Equal(t, result.Verdict.Doubled, kinds["doubled in the table"])
	require.Equal(t, result.Verdict.Missing, kinds["missing in the raw copy"])
	require.Len(t, kinds, 2)
	require.Positive(t, result.Verdict.Letters)
	require.Positive(t, result.Verdict.Rejected)
}
