//go:build duckdb && cgo

package query

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/services/query/dialect"
)

// Each macro gives what Trino's documentation says; loadtest/question asks Trino itself.
func TestMacrosGiveWhatTrinoGives(t *testing.T) {
	w := newWorld(t)
	l := w.lake()
	for _, e := range dialect.Examples() {
		result, err := l.Query(context.Background(), "select cast("+e.SQL+" as varchar)")
		require.NoError(t, err, e.SQL)
		want := any(e.Want)
		if e.Null {
			want = nil
		}
		require.Equal(t, [][]any{{want}}, result.Values, e.SQL)
	}
}

// What has no right answer here is refused, not answered wrongly.
func TestWhatDuckDBCannotDoAsTrino(t *testing.T) {
	w := newWorld(t)
	l := w.lake()
	for query, want := range map[string]string{
		"select split_part('a', 'b', 0)":                               "the index starts at 1",
		"select date_add('fortnight', 1, date '2020-01-01')":           "there is no unit fortnight",
		"select date_parse('2022-02-30', '%Y-%m-%d')":                  "is no time",
		`select json_extract_scalar('{"a b": 1}', '$["a b"]')`:         "JSON path error",
		"select approx_distinct(1) filter (where true)":                "only applicable to aggregate functions",
		"select at_timezone(now(), 'Europe/Berlin')":                   "at_timezone does not exist",
		"select format_datetime(now(), 'yyyy')":                        "format_datetime does not exist",
		"select transform(array[1], x -> x + 1)":                       "transform does not exist",
		"select map_filter(map(array['a'], array[1]), (k, v) -> true)": "map_filter does not exist",
		"select reduce(array[1], 0, (s, x) -> s + x, s -> s)":          "failed to bind function",
		"select regexp_like('ab', 'a(?=b)')":                           "invalid perl operator",
		`select regexp_like('aa', '(a)\1')`:                            "invalid escape sequence",
		"select if(true, 1)":                                           "Wrong number of arguments to IF",
		"select k from unnest(map(array['a'], array[1])) as t(k,v)":    "UNNEST",
	} {
		_, err := l.Query(context.Background(), query)
		require.ErrorContains(t, err, want, query)
	}
}

func TestTheDatabaseByItsWholeName(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, [][]any{{int64(1)}}, w.ask(w.lake(), "select 1::bigint"))
	w.create(days(w))
	w.parquet("days/a.parquet", "SELECT DATE '2026-11-22' AS day, 1 AS n")
	require.Equal(t, [][]any{{int64(1)}}, w.ask(w.lake(), "select count(*) from awsdatacatalog."+w.name+".days"))
}
