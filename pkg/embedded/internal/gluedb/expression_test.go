package gluedb

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var testKeys = []key{{"s", "string"}, {"n", "int"}, {"d", "decimal(10,2)"}, {"timestamp", "string"}}

func matches(t *testing.T, where string, values ...string) (bool, error) {
	t.Helper()
	holds, err := parseExpression(where, testKeys)
	require.NoError(t, err, where)
	return holds(values)
}

func TestExpressions(t *testing.T) {
	const null = nullValue
	for _, test := range []struct {
		where string
		s, n  string
		want  bool
	}{
		{"", "a", "1", true},
		{"  ", "a", "1", true},
		{"s = 'a' OR s = 'b' AND n = 2", "a", "1", true},
		{"(s = 'a' OR s = 'b') AND n = 2", "a", "1", false},
		{"NOT s = 'a' AND n = 1", "b", "1", true},
		{"NOT (s = 'a' AND n = 1)", "a", "2", true},
		{"NOT NOT s = 'a'", "a", "1", true},
		{"n < 10", "a", "9", true},
		{"n < '10'", "a", "9", true},
		{"n = 9.0", "a", "9", true},
		{"n >= -5", "a", "-4", true},
		{"n BETWEEN 9 AND 11 AND s = 'a'", "a", "10", true},
		{"n NOT BETWEEN 9 AND 11", "a", "10", false},
		{"n IN (1, 2, 3)", "a", "2", true},
		{"s < 'b'", "a%3Ab", "1", true},
		{"s = 'it''s'", "it's", "1", true},
		{"s = ''", "", "1", true},
		{"s LIKE 'a.%'", "a.b", "1", true},
		{"s LIKE 'a.%'", "axb", "1", false},
		{"s LIKE '%\n%'", "a\nb", "1", true},
		{"s NOT LIKE '_'", "ab", "1", true},
		{`"s" = 'a' and "timestamp" = 't'`, "a", "1", true},
		{"`s` = 'a'", "a", "1", true},
		{"S = 'a'", "a", "1", true},
		{"timestamp = TIMESTAMP 't'", "a", "1", true},
		{"timestamp = date 't'", "a", "1", true},
		// What has no value is neither equal nor unequal to anything.
		{"s = 'a'", null, "1", false},
		{"s <> 'a'", null, "1", false},
		{"NOT s = 'a'", null, "1", false},
		{"s LIKE '%'", null, "1", false},
		{"s = 'a' OR n = 1", null, "1", true},
		{"s IS NULL", null, "1", true},
		{"NOT s IS NULL", null, "1", false},
		{"n IS NOT NULL", "a", null, false},
		{"n = 1", "a", null, false},
		{"n BETWEEN 0 AND 9", "a", null, false},
	} {
		got, err := matches(t, test.where, test.s, test.n, "1.50", "t")
		require.NoError(t, err, test.where)
		require.Equal(t, test.want, got, "%s with %s, %s", test.where, test.s, test.n)
	}
	got, err := matches(t, "d = 1.5 AND d > 1.49", "a", "1", "1.50", "t")
	require.NoError(t, err)
	require.True(t, got)
	_, err = matches(t, "n = 1", "a", "null", "1.50", "t")
	var e *Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, invalidState, e.Code)
}

func TestExpressionsThatAreNone(t *testing.T) {
	for _, where := range []string{
		"s", "s =", "= 'a'", "s = a", "s = 'a", "s = 'a' AND", "(s = 'a'", "s = 'a')", "s = 'a' 'b'", "x = 'a'", "s IN", "s IN ()",
		"s IN ('a'", "s BETWEEN 'a'", "s BETWEEN 'a' OR 'b'", "s LIKE a", "s IS", "s IS NOT", "NOT", "n = 'x'", "s ; 'a'", "'a' = s", "\x00",
		strings.Repeat("(", 10_000) + "s = 'a'" + strings.Repeat(")", 10_000),
		strings.Repeat("NOT ", 10_000) + "s = 'a'",
	} {
		_, err := parseExpression(where, testKeys)
		var e *Error
		require.True(t, errors.As(err, &e), "%.40s", where)
		require.Equal(t, invalidInput, e.Code)
	}
}

func FuzzExpression(f *testing.F) {
	f.Add("(s in ('a', 'b')) AND NOT n BETWEEN 1 AND -2.5 OR d IS NOT NULL")
	f.Add("\"s\" LIKE '%_' OR `n` <> 7")
	f.Fuzz(func(t *testing.T, where string) {
		holds, err := parseExpression(where, testKeys)
		if err != nil {
			return
		}
		if _, err := holds([]string{"a", "1", "2.5", "t"}); err != nil {
			t.Fatalf("%q fails on good values: %v", where, err)
		}
	})
}
