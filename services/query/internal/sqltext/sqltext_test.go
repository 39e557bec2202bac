package sqltext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

func TestBind(t *testing.T) {
	for _, c := range []struct {
		sql    string
		values []string
		want   string
	}{
		{"select ?", []string{"1"}, "select 1"},
		{"select '?', \"?\", ? -- ?\n, ? /* ? */", []string{"1", "it's"}, "select '?', \"?\", 1 -- ?\n, 'it''s' /* ? */"},
		{"select 'it''s ?' || ?", []string{"x"}, "select 'it''s ?' || 'x'"},
		{"select 1", nil, "select 1"},
		{"select ?, ?", []string{"'123'", "' or 1=1 --"}, "select '123', ''' or 1=1 --'"},
	} {
		var literals []string
		for _, v := range c.values {
			literals = append(literals, Literal(v))
		}
		got, err := Bind(c.sql, literals)
		require.NoError(t, err, c.sql)
		require.Equal(t, c.want, got)
	}
	_, err := Bind("select ?, '?'", []string{"1", "2"})
	require.EqualError(t, err, "the query has 1 parameters (?), 2 values are given with --param")
	_, err = Bind("select ?", nil)
	require.Error(t, err)
}

func TestLiteral(t *testing.T) {
	for value, want := range map[string]string{
		"1": "1", "-1.5e3": "-1.5e3", "true": "true", "NULL": "NULL", "source1": "'source1'", "": "''", "2026-11-22": "'2026-11-22'",
		"'123'": "'123'", "'it''s'": "'it''s'", "'a' or 'b'": "'''a'' or ''b'''", "'": "''''", "'a": "'''a'", "1 or 1": "'1 or 1'", "''": "''", "'''": "''''''''",
	} {
		require.Equal(t, want, Literal(value), value)
	}
}

// Whatever a value holds, it stays one text of a statement.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"a", "'", "''", "' --", "1", "é?", "'a'b'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		literal := Literal(value)
		bound, err := Bind("select ?, 'end'", []string{literal})
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(bound, ", 'end'"))
		texts := Texts(bound)
		require.Equal(t, "end", texts[len(texts)-1], "%q", bound)
		require.LessOrEqual(t, len(texts), 2)
	})
}

func TestKindOf(t *testing.T) {
	for sql, want := range map[string]Kind{
		"select 1":                          Query,
		" -- a\n (SELECT 1)":                Query,
		"with a as (select 1) select 1":     Query,
		"show partitions eventlogs":         Metadata,
		"describe eventlogs":                Metadata,
		"explain select 1":                  Metadata,
		"explain (type logical) select 1":   Metadata,
		"explain analyze select 1":          Query,
		"explain analyze verbose select 1":  Query,
		"explain analyze insert into a":     Other,
		"explain drop table a":              Other,
		"insert into a select 1":            Other,
		"unload (select 1) to 's3://a/'":    Other,
		"/* select */ drop table eventlogs": Other,
		"":                                  Other,
	} {
		require.Equal(t, want, KindOf(sql), sql)
	}
}

func TestMentions(t *testing.T) {
	names := []string{"eventlogs", "eventlogs_raw", "Days"}
	require.Equal(t, []string{"eventlogs"}, Mentions("select 'eventlogs_raw' from EventLogs -- days", names))
	require.Equal(t, []string{"eventlogs_raw", "Days"}, Mentions(`select * from "weir"."eventlogs_raw", days`, names))
	require.Equal(t, []string{"it's", ""}, Texts("select 'it''s', '' -- 'x'"))
	require.Equal(t, "select 1", Explained(" EXPLAIN analyze select 1"))
}

func TestConjuncts(t *testing.T) {
	for expression, want := range map[string][]string{
		"(a = 1)":                                {"(a = 1)"},
		"((a = 1) AND (b = ' and ') and c)":      {"(a = 1)", "(b = ' and ')", "c"},
		"(a = 1) AND (b = 2)":                    {"(a = 1)", "(b = 2)"},
		"((a = 1) OR ((b = 2) AND (c = 3)))":     {"((a = 1) OR ((b = 2) AND (c = 3)))"},
		"((a = 1) AND ((b = 2) OR \"and\" = 3))": {"(a = 1)", "((b = 2) OR \"and\" = 3)"},
		"a":                                      {"a"},
	} {
		require.Equal(t, want, Conjuncts(expression), expression)
	}
}
