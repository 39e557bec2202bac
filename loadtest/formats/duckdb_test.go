//go:build duckdb

package formats

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// DuckDB gives the same answers from each form, which are those that were counted, and reads the least of Parquet.
func TestMeasureWithDuckDB(t *testing.T) {
	l, err := Lay(t.TempDir(), 20_000)
	require.NoError(t, err)
	engine, err := OpenDuckDB(l)
	require.NoError(t, err)
	figures, err := Measure(t.Context(), l, engine, 1, func(s string) { t.Log(s) })
	require.NoError(t, err)
	requireLess(t, l, figures)
	require.Greater(t, l.ByTime.Files, len(l.Places))
	require.Greater(t, l.ByTime.Bytes, l.Bytes[Parquet], "many small files are larger")
	require.Less(t, l.ByTime.Footers, l.ByTime.Bytes)
	require.Greater(t, l.ByTime.Footers, int64(500*l.ByTime.Files))

	l.Want[2][0][1] += "1"
	_, err = Measure(t.Context(), l, engine, 1, func(string) {})
	wrong := new(WrongError)
	require.ErrorAs(t, err, &wrong, "an answer that is not right has no figures")
}

// requireLess holds the figures to what must be so in any lake: lines are read whole, of Parquet only the columns asked for.
func requireLess(t *testing.T, l *Lake, figures [][]Figure) {
	t.Helper()
	for i, q := range Questions() {
		for j, way := range q.Ways {
			f := figures[i][j]
			require.Positive(t, f.Wall)
			require.NotEmpty(t, l.Want[i])
			switch {
			case i == 0:
				require.Less(t, f.Bytes, l.Bytes[way.Form]/2, "one partition of many")
			case way.Form == Parquet:
				require.Less(t, f.Bytes, l.Bytes[way.Form]/2, "some columns of many: %s", q.Name)
			default:
				require.InEpsilon(t, l.Bytes[way.Form], f.Bytes, 0.02, "whole lines: %s", q.Name)
			}
		}
	}
}
