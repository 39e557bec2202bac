package gluetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
)

// expressionTests ask for parts of four partitions: a and b on two days.
func expressionTests() []test {
	const a1, a2, b1, b2 = "a/2026-11-01", "a/2026-11-02", "b/2026-11-01", "b/2026-11-02"
	var tests []test
	for _, e := range []struct {
		where string
		want  []string
	}{
		{"sourceid = 'a'", []string{a1, a2}},
		{"sourceid='a' AND dt='2026-11-02'", []string{a2}},
		{"sourceid = 'a' and dt >= '2026-11-02' or dt = '2026-11-01'", []string{a1, a2, b1}},
		{"sourceid = 'b' AND (dt = '2026-11-01' OR dt = '2026-11-02')", []string{b1, b2}},
		{"((sourceid = 'a')) AND ((dt > '2026-11-01') AND (dt <= '2026-11-30'))", []string{a2}},
		{"dt <> '2026-11-01'", []string{a2, b2}},
		{"dt != '2026-11-01'", []string{a2, b2}},
		{"dt < '2026-11-02'", []string{a1, b1}},
		{"dt IN ('2026-11-01')", []string{a1, b1}},
		{"(sourceid in ('a', 'c')) AND (dt in ('2026-11-01', '2026-11-02'))", []string{a1, a2}},
		{"dt NOT IN ('2026-11-01', '2026-11-03')", []string{a2, b2}},
		{"dt BETWEEN '2026-11-02' AND '2026-11-09'", []string{a2, b2}},
		{"dt LIKE '2026-11-%1'", []string{a1, b1}},
		{"dt LIKE '____-11-02'", []string{a2, b2}},
		{"NOT (dt = '2026-11-01')", []string{a2, b2}},
		{"sourceid = 'it''s'", nil},
		{"sourceid IS NOT NULL", []string{a1, a2, b1, b2}},
	} {
		tests = append(tests, test{e.where, func(t *testing.T, s suite) {
			s.create(t)
			s.fill(t, []glue.Partition{
				s.partition("a", "2026-11-01"), s.partition("a", "2026-11-02"),
				s.partition("b", "2026-11-01"), s.partition("b", "2026-11-02"),
			})
			found, err := s.list(t.Context(), glue.Filter{Expression: e.where})
			require.NoError(t, err)
			require.ElementsMatch(t, e.want, found)
		}})
	}
	for _, e := range []struct{ name, where string }{
		{"an unknown key", "nothing = 'a'"},
		{"not an expression", "dt = "},
	} {
		tests = append(tests, test{e.name, func(t *testing.T, s suite) {
			s.create(t)
			s.fill(t, s.days("a", 1))
			_, err := s.list(t.Context(), glue.Filter{Expression: e.where})
			require.ErrorIs(t, err, glue.ErrInvalid)
		}})
	}
	return append(tests, test{"numbers are compared as numbers", func(t *testing.T, s suite) {
		s.numbered(t, "9", "10", "100")
		found, err := s.list(t.Context(), glue.Filter{Expression: "n >= 10 AND n < 100"})
		require.NoError(t, err)
		require.Equal(t, []string{"10"}, found)
	}}, test{"a value that is no number", func(t *testing.T, s suite) {
		s.numbered(t, "9", "null")
		_, err := s.list(t.Context(), glue.Filter{Expression: "n = 9"})
		require.ErrorIs(t, err, glue.ErrInvalid)
	}})
}

// numbered makes a table that is partitioned by a number.
func (s suite) numbered(t *testing.T, values ...string) {
	t.Helper()
	table := s.table()
	table.PartitionKeys = []glue.Column{{Name: "n", Type: "int"}}
	require.NoError(t, s.CreateTable(t.Context(), table))
	var ps []glue.Partition
	for _, v := range values {
		ps = append(ps, glue.Partition{Values: []string{v}, Location: table.Location + "n=" + v + "/", Format: table.Format})
	}
	s.fill(t, ps)
}
