//go:build duckdb && cgo

package query

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/athena/athenatest"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/prestoview"
)

// view registers a view as the catalog, Athena and Trino do.
func (w *world) view(name, sql string, columns ...string) {
	w.t.Helper()
	v := prestoview.View{SQL: sql, Catalog: prestoview.Catalog, Schema: w.name}
	t := glue.Table{Database: w.name, Name: name, Type: prestoview.TableType, Parameters: map[string]string{prestoview.Parameter: "true"}}
	for _, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		t.Columns = append(t.Columns, glue.Column{Name: name, Type: typ})
	}
	t.View = glue.View{Original: v.Encode(), Expanded: prestoview.Expanded}
	w.create(t)
}

const kept = `SELECT messageid, timestamp, userid,
  try_cast(regexp_extract(element_at(properties, 'a'), '^-?[0-9]+$') AS bigint) AS "a", properties, sourceid, dt
FROM eventlogs WHERE type = 'track'`

var keptColumns = []string{"messageid string", "timestamp timestamp", "userid string", "a bigint", "properties map<string,string>", "sourceid string", "dt string"}

// A query on a view is planned, bounded and priced as one on the table behind it.
func TestAViewIsPlannedOverItsTable(t *testing.T) {
	w := tenDays(t)
	w.view("kept", kept, keptColumns...)
	w.view("nested", "SELECT userid, dt FROM kept", "userid string", "dt string")
	l := w.lake()
	through := w.plan(l, "select userid from nested where dt >= '2026-11-09'")
	direct := w.plan(l, "select userid from eventlogs where type = 'track' and dt >= '2026-11-09'")
	require.Equal(t, direct.Tables(), through.Tables())
	for i := range direct.tables {
		require.Equal(t, direct.tables[i].partitions, through.tables[i].partitions)
		require.Equal(t, direct.tables[i].reads, through.tables[i].reads)
	}
	read, known := through.partitions()
	require.Equal(t, []int{4, 20}, []int{read, known})
	require.Empty(t, through.Notes)

	unbound := w.plan(l, "select count(a) from kept")
	require.Len(t, unbound.Notes, 1)
	require.Contains(t, unbound.Notes[0], "eventlogs is partitioned by dt, and nothing in the query bounds it")
	require.Equal(t, map[string]bool{"type": true, "properties": true}, unbound.tables[1].reads)

	require.Equal(t, [][]any{{int64(1000)}}, w.ask(l, "select count(userid) from nested where dt = '2026-11-03'"))
	require.Equal(t, [][]any{{"a", "BIGINT"}}, w.ask(l, "select column_name, column_type from (describe kept) where column_name = 'a'"))
	require.Equal(t, [][]any{{"days"}, {"eventlogs"}, {"kept"}, {"nested"}}, w.ask(l, "show tables"))
}

func TestTypedColumns(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	w.view("kept", kept, keptColumns...)
	w.partition(events, "s", "2026-11-01")
	w.parquet("eventlogs/sourceid=s/dt=2026-11-01/a-0.parquet", "SELECT i AS messageid, 'track' AS type, TIMESTAMPTZ '2026-11-01' AS timestamp, MAP {'a': i} AS properties "+
		"FROM (VALUES ('7'), ('-7'), ('19.99'), ('1e3'), (''), ('seven'), (' 7'), ('9223372036854775808')) t(i)")
	require.Equal(t, [][]any{
		{"", nil},
		{" 7", nil},
		{"-7", int64(-7)},
		{"19.99", nil},
		{"1e3", nil},
		{"7", int64(7)},
		{"9223372036854775808", nil},
		{"seven", nil},
	}, w.ask(w.lake(), "select properties['a'], a from kept order by 1"))
}

// What cannot be made says so, and does nothing to other queries.
func TestViewsThatCannotBeMade(t *testing.T) {
	w := tenDays(t)
	w.view("odd", "SELECT FOO BAR BAZ (", "a string")
	w.view("ring", "SELECT * FROM ring", "a string")
	w.view("gone", "SELECT * FROM nothing", "a string")
	l := w.lake()
	require.Equal(t, [][]any{{int64(500)}}, w.ask(l, "select count(*) from eventlogs where dt = '2026-11-03' and sourceid = 'source1'"))
	for name, why := range map[string]string{"odd": "view odd: syntax error", "ring": "ring", "gone": "nothing"} {
		_, err := l.Query(context.Background(), "select * from "+name)
		require.ErrorContains(t, err, why, name)
	}
	_, err := l.Query(context.Background(), "select * from keptt")
	require.ErrorContains(t, err, "keptt")
	w.view("kept", kept, keptColumns...)
	_, err = l.Query(context.Background(), "select * from keptt")
	require.ErrorContains(t, err, "nearest kept")

	other := prestoview.View{SQL: "SELECT 1 AS a", Catalog: prestoview.Catalog, Schema: "elsewhere"}
	w.create(glue.Table{Database: w.name, Name: "far", Type: prestoview.TableType, View: glue.View{Original: other.Encode()}, Columns: []glue.Column{{Name: "a", Type: "int"}}})
	require.Contains(t, w.plan(l, "select 1").Notes, "table far is left out: it is a view over the database elsewhere")
}

// Athena's own dialect in a view, or around it: the tables behind it count whole.
func TestViewsThatOnlyAthenaKnows(t *testing.T) {
	w := tenDays(t)
	w.view("kept", kept, keptColumns...)
	w.view("odd", "SELECT userid FROM kept MATCH_RECOGNIZE (x)", "userid string")
	l, _ := w.onAthena(athenatest.Script{})
	for _, sql := range []string{"select * from odd where dt = '2026-11-03'", "select * from kept MATCH_RECOGNIZE (x)"} {
		p := w.plan(l, sql)
		require.Equal(t, []string{"eventlogs"}, p.Tables(), sql)
		read, known := p.partitions()
		require.Equal(t, []int{20, 20}, []int{read, known}, sql)
	}
}
