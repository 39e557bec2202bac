//go:build duckdb

package formats

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// DuckDB gives the same answers from each form, which are those that were counted, and reads the least of Parquet.
func TestMeasureWithDuckDB(t *testing.T) {
	l, err := Lay(t.TempDir(), 20_000, false)
	require.NoError(t, err)
	engine, err := OpenDuckDB(l)
	require.NoError(t, err)
	figures, err := Measure(t.Context(), l, engine, 1, func(s string) { t.Log(s) })
	require.NoError(t, err)
	requireLess(t, l, figures)

	l.Want[2][0][1] += "1"
	_, err = Measure(t.Context(), l, engine, 1, func(string) {})
	wrong := new(WrongError)
	require.ErrorAs(t, err, &wrong, "an answer that is not right has no figures")
}

// Files of a minute are many, hold the same rows, and are larger, by their footers above all.
func TestCutByTime(t *testing.T) {
	l, err := Lay(t.TempDir(), 500, true)
	require.NoError(t, err)
	require.Greater(t, l.ByTime.Files, 10*len(l.Places))
	require.LessOrEqual(t, l.ByTime.Files, 500)
	require.Greater(t, l.ByTime.Bytes, 2*l.Bytes[Parquet])
	require.Greater(t, l.ByTime.Footers, l.ByTime.Bytes/4)
	require.Less(t, l.ByTime.Footers, l.ByTime.Bytes)
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
