//go:build duckdb && e2e

package formats

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// Trino gives the same answers from each form, and reads the least of Parquet.
func TestMeasureWithTrino(t *testing.T) {
	parts.Need(t, "trino", TrinoThere(t.Context()))
	dir := t.TempDir()
	l, err := Lay(LakeDir(dir), 20_000, false)
	require.NoError(t, err)
	engine, err := OpenTrino(t.Context(), dir, l)
	require.NoError(t, err)
	t.Cleanup(engine.Close)
	figures, err := Measure(t.Context(), l, engine, 1, func(s string) { t.Log(s) })
	require.NoError(t, err)
	requireLess(t, l, figures)
}
