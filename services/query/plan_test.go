//go:build duckdb && cgo

package query

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/athena"
	"weir/pkg/athena/athenatest"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/services/query/rows"
)

// days is a small table without partitions.
func days(w *world) glue.Table {
	return glue.Table{
		Database: w.name, Name: "days", Type: "EXTERNAL_TABLE", Location: "s3://" + w.name + "/lake/days",
		Columns: []glue.Column{{Name: "day", Type: "date"}, {Name: "n", Type: "int"}},
		Format:  glue.Format{Serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
	}
}

// tenDays is a world with two sources of ten days each, and days.
func tenDays(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	w.create(days(w))
	w.parquet("days/a.parquet", "SELECT DATE '2026-11-22' AS day, 1 AS n")
	for day := 1; day <= 10; day++ {
		for _, source := range []string{"source1", "source2"} {
			dt := fmt.Sprintf("2026-11-%02d", day)
			w.partition(events, source, dt)
			w.parquet("eventlogs/sourceid="+source+"/dt="+dt+"/x-0.parquet",
				"SELECT i::varchar AS messageid, 'track' AS type, TIMESTAMPTZ '"+dt+" 05:00:00+00' AS timestamp, "+
					"md5(i::varchar) AS userid, MAP {'a': md5(i::varchar), 'b': sha256(i::varchar)} AS properties FROM range(500) t(i)")
		}
	}
	return w
}

func (w *world) plan(l *Lake, sql string, params ...string) *Plan {
	w.t.Helper()
	p, err := l.Plan(context.Background(), Question{SQL: sql, Params: params})
	require.NoError(w.t, err, sql)
	return p
}

func TestColumnsThatAreRead(t *testing.T) {
	w := tenDays(t)
	l := w.lake()
	for sql, want := range map[string][]string{
		"select count(*) from eventlogs":                                                           {},
		"select type, count(messageid) from eventlogs where dt='2026-11-01' group by 1":            {"dt", "messageid", "type"},
		"select type from eventlogs where userid = 'x' and sourceid = 'source1'":                   {"sourceid", "type", "userid"},
		"select a.type from eventlogs a join eventlogs b using (messageid)":                        {"messageid", "type"},
		"select element_at(properties, 'a') from eventlogs order by timestamp limit 10":            {"properties", "timestamp"},
		"with e as (select * from eventlogs) select max(userid) from e":                            {"userid"},
		"select 1 from days where exists (select 1 from eventlogs where userid = 'x')":             {"userid"},
		"select type from eventlogs where date_parse(userid, '%Y') < now()":                        {"type", "userid"},
		"select type from eventlogs union all select event from eventlogs where dt = '2026-11-01'": {"dt", "event", "type"},
	} {
		p := w.plan(l, sql)
		require.Nil(t, p.whole)
		e, err := l.Estimate(context.Background(), p)
		require.NoError(t, err)
		i := 0
		for e.Tables[i].Table != "eventlogs" {
			i++
		}
		require.Equal(t, want, append([]string{}, e.Tables[i].Columns...), sql)
	}
}

func TestABoundThatIsMissing(t *testing.T) {
	w := tenDays(t)
	l := w.lake()
	for sql, want := range map[string]string{
		"select count(*) from eventlogs":                                                                         "nothing in the query bounds it: 10 days are read, 2026-11-01 to 2026-11-10; add: dt >= '2026-11-04' for the last 7 of them",
		"select type from eventlogs where timestamp >= timestamp '2026-11-08 00:00:00'":                          "add: dt >= '2026-11-07' (the day of receivedat; the query asks for a timestamp from 2026-11-08 on)",
		"select type from eventlogs where date_trunc('day', timestamp) = date '2026-11-09'":                      "add: dt >= '2026-11-08' (",
		"select type from eventlogs where receivedat > timestamp '2026-11-08 10:00:00' and sourceid = 'source1'": "add: dt >= '2026-11-08' (",
		"select type from eventlogs where sourceid = 'source1'":                                                  "10 days are read",
		"select type from eventlogs where (sourceid = 'source1' and dt > '2026-11-08') or sourceid = 'source2'":  "10 days are read",
		"with e as (select * from eventlogs) select * from e where userid = 'x'":                                 "10 days are read",
		"select type from eventlogs where dt >= '2026-11-08'":                                                    "",
		"select type from eventlogs where dt <= '2026-11-08'":                                                    "",
		"select type from eventlogs where dt between '2026-11-02' and '2026-11-03'":                              "",
		"select type from eventlogs where dt in ('2026-11-02', '2026-11-03')":                                    "",
		"select type from eventlogs where substr(dt, 1, 7) = '2026-11'":                                          "",
		"select type from eventlogs where cast(dt as date) > date '2026-11-05'":                                  "",
		"with e as (select * from eventlogs) select * from e where dt > '2026-11-05'":                            "",
		"select * from days": "",
		"select 1":           "",
		"describe eventlogs": "",
	} {
		p := w.plan(l, sql)
		if want == "" && strings.Contains(sql, "cast") {
			read, _ := p.partitions()
			require.Equal(t, 10, read, "a condition that can fail leaves out days too: %s", sql)
		}
		if want == "" {
			require.Empty(t, p.Notes, sql)
			continue
		}
		require.Len(t, p.Notes, 1, sql)
		require.Contains(t, p.Notes[0], want, sql)
		require.True(t, strings.HasPrefix(p.Notes[0], "eventlogs is partitioned by dt"), sql)
		require.NotContains(t, p.Notes[0], "\n")
	}
}

func TestNearestNames(t *testing.T) {
	w := tenDays(t)
	l := w.lake()
	ctx := context.Background()
	for sql, want := range map[string]string{
		"select mesageid from eventlogs":     "mesageid: nearest messageid",
		"select e.tpye from eventlogs e":     "tpye: nearest type",
		"select * from evntlogs":             "evntlogs: nearest eventlogs",
		"select * from " + w.name + ".dayz":  "dayz: nearest days",
		"select usreid from eventlogs limit": "syntax error",
	} {
		_, err := l.Plan(ctx, Question{SQL: sql})
		require.ErrorContains(t, err, want, sql)
	}
	_, err := l.Plan(ctx, Question{SQL: "select * from evntlogs"})
	require.ErrorIs(t, err, ErrNoTable)
	require.Equal(t, []string{"eventlogs has no partition that the query asks for: of sourceid 'sourc1' the nearest there is source1, source2"},
		w.plan(l, "select type from eventlogs where sourceid = 'sourc1'").Notes)
	require.Equal(t, []string{"eventlogs has no partition that the query asks for: there is sourceid: source1, source2; dt: 10 from 2026-11-01 to 2026-11-10"},
		w.plan(l, "select type from eventlogs where sourceid = 'nobody at all'").Notes)
}

func TestParametersAreValuesNotSQL(t *testing.T) {
	w := tenDays(t)
	l := w.lake()
	p := w.plan(l, "select count(*) from eventlogs where sourceid = ? and dt = ? and messageid = ? and 1 = ?", "source1", "2026-11-02", "'7'", "1")
	read, known := p.partitions()
	require.Equal(t, 1, read, "the values prune")
	require.Equal(t, 20, known)
	var got rows.Rows
	result, err := l.Answer(context.Background(), p, &got)
	require.NoError(t, err)
	require.Equal(t, [][]any{{int64(1)}}, got.Values)
	require.Equal(t, 1, result.Files)

	p = w.plan(l, "select count(*) from eventlogs where sourceid = ?", "x' or 'a' = 'a")
	read, _ = p.partitions()
	require.Zero(t, read)
	_, err = l.Plan(context.Background(), Question{SQL: "select ?"})
	require.ErrorContains(t, err, "the query has 1 parameters (?), 0 values")
}

func TestEstimates(t *testing.T) {
	w := tenDays(t)
	ctx := context.Background()
	for name, l := range map[string]*Lake{
		"in place":             w.lake(),
		"by ranges of objects": w.lake(func(c *Config) { c.LocalRoot, c.CacheDir = "", t.TempDir() }),
	} {
		one, err := l.Estimate(ctx, w.plan(l, "select userid from eventlogs where sourceid = 'source1' and dt = '2026-11-03'"))
		require.NoError(t, err)
		require.Equal(t, Exact, one.Basis)
		require.Equal(t, 1, one.Objects)
		all, err := l.Estimate(ctx, w.plan(l, "select * from eventlogs where sourceid = 'source1' and dt = '2026-11-03'"))
		require.NoError(t, err)
		o, err := w.store.Head(ctx, "eventlogs/sourceid=source1/dt=2026-11-03/x-0.parquet")
		require.NoError(t, err)
		require.Less(t, all.Bytes, o.Bytes)
		require.Greater(t, all.Bytes, o.Bytes*9/10, "all columns are nearly the file")
		require.Less(t, one.Bytes, all.Bytes/3, name)
		require.Positive(t, one.Bytes)
		none, err := l.Estimate(ctx, w.plan(l, "select count(*) from eventlogs"))
		require.NoError(t, err)
		require.Positive(t, none.Bytes, "the footers")
		require.Less(t, none.Bytes, 20*o.Bytes/4)
		require.Equal(t, 20, none.Objects)
		free, err := l.Estimate(ctx, w.plan(l, "describe eventlogs"))
		require.NoError(t, err)
		require.Zero(t, free.Dollars)
	}
}

func TestWhatCostsTooMuchIsRefused(t *testing.T) {
	w := tenDays(t)
	ctx := context.Background()
	l := w.lake(func(c *Config) { c.MaxCost, c.PerTB = 0.0000001, 5 })
	p := w.plan(l, "select * from eventlogs")
	err := l.Affordable(ctx, p)
	var cost *CostError
	require.ErrorAs(t, err, &cost)
	require.Equal(t, Exact, cost.Estimate.Basis)
	require.Regexp(t, `^the query would read about .* in 20 objects, \$0\.000048 \(footers of all objects\), and max-cost is \$0\.000000: bound dt`, err.Error())
	require.NoError(t, l.Affordable(ctx, w.plan(l, "show tables")), "what reads no table is free")
	require.NoError(t, w.lake().Affordable(ctx, p))
	require.NoError(t, w.lake(func(c *Config) { c.MaxCost = 0 }).Affordable(ctx, p))
}

// Of many objects some are looked at, spread over all.
func TestFootersAreBounded(t *testing.T) {
	var tables []table
	for i := range 3 {
		var t table
		t.named = true
		for p := range 200 {
			part := partition{listed: true}
			for o := range 3 {
				part.objects = append(part.objects, object{bucket: "b"})
				part.objects[o].Key = fmt.Sprintf("%d-%d-%d", i, p, o)
			}
			t.partitions = append(t.partitions, part)
		}
		tables = append(tables, t)
	}
	tables[1].named = false
	chosen := choose(tables)
	require.Len(t, chosen, mostFooters)
	bytes, basis := Size{Objects: 10, Bytes: 1000, Looked: 2, Whole: 200, Columns: 50}.bytes(parquetFiles)
	require.Equal(t, int64(250), bytes)
	require.Equal(t, Sample, basis)
	bytes, basis = Size{Objects: 10, Bytes: 1000}.bytes(parquetFiles)
	require.Equal(t, int64(1000), bytes)
	require.Equal(t, Bound, basis)
	bytes, basis = Size{Objects: 10, Bytes: 1000}.bytes(jsonLines)
	require.Equal(t, int64(1000), bytes)
	require.Equal(t, Exact, basis)
}

func TestAnAnswerAsParquet(t *testing.T) {
	w := tenDays(t)
	l := w.lake()
	ctx := context.Background()
	file := filepath.Join(t.TempDir(), "answer.parquet")
	q := Question{SQL: "select messageid, ? as one from eventlogs where dt = '2026-11-01'; ", Params: []string{"1"}, To: file}
	p, err := l.Plan(ctx, q)
	require.NoError(t, err)
	result, err := l.Answer(ctx, p, nil)
	require.NoError(t, err)
	require.Equal(t, 1000, result.Count)
	e, err := openEngine(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.close()) }()
	text, _, err := e.text(ctx, "select count(*) || ' ' || sum(one) from "+literal(file))
	require.NoError(t, err)
	require.Equal(t, "1000 1000", text)

	_, err = l.Answer(ctx, p, nil)
	require.ErrorContains(t, err, "it exists")
	q.To = filepath.Join(t.TempDir(), "other.parquet")
	q.SQL, q.Params = "select error('midway') from eventlogs", nil
	p, err = l.Plan(ctx, q)
	require.NoError(t, err)
	_, err = l.Answer(ctx, p, nil)
	require.ErrorContains(t, err, "midway")
	left, err := os.ReadDir(filepath.Dir(q.To))
	require.NoError(t, err)
	require.Empty(t, left, "a file that is not whole is not left")
}

// onAthena is the world with a double of Athena that plays a script.
func (w *world) onAthena(s athenatest.Script) (*Lake, *athenatest.Server) {
	server := athenatest.New(s)
	return w.lake(func(c *Config) {
		c.Athena, c.Workgroup, c.Results = true, "analysts", "s3://answers/"
		c.AthenaAPI = athena.Config{Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Millisecond, Transport: server}
	}), server
}

func TestTheSamePlanForAthena(t *testing.T) {
	w := tenDays(t)
	ctx := context.Background()
	one := "1"
	l, server := w.onAthena(athenatest.Script{
		Scanned: 20 << 20, Columns: []athena.Column{{Name: "n", Type: "bigint"}}, Rows: 1, Row: func(int) []*string { return []*string{&one} },
	})
	p := w.plan(l, "select count(*) n from eventlogs where sourceid = ?", "source1")
	require.Len(t, p.Notes, 1)
	require.Contains(t, p.Notes[0], "10 days are read")
	var got rows.Rows
	result, err := l.Answer(ctx, p, &got)
	require.NoError(t, err)
	require.Equal(t, [][]any{{int64(1)}}, got.Values)
	require.Equal(t, 10, result.Read)
	require.Equal(t, 20, result.Known)
	require.Equal(t, "scanned 20.0 MiB, $0.000095, query q-1", l.Cost(result))
	started, _ := server.Queries()
	require.Equal(t, "select count(*) n from eventlogs where sourceid = ?", started[0].QueryString, "nobody's SQL is rewritten")
	require.Equal(t, []string{"'source1'"}, started[0].ExecutionParameters)
	require.Equal(t, "analysts", started[0].WorkGroup)
	require.Equal(t, "s3://answers/", started[0].ResultConfiguration.OutputLocation)
	require.Equal(t, w.name, started[0].QueryExecutionContext.Database)
}

func TestUnload(t *testing.T) {
	w := tenDays(t)
	l, server := w.onAthena(athenatest.Script{Scanned: 1, Reused: true})
	p, err := l.Plan(context.Background(), Question{SQL: "select type from eventlogs -- all\n;", To: "s3://b/it's"})
	require.NoError(t, err)
	result, err := l.Answer(context.Background(), p, nil)
	require.NoError(t, err)
	require.Contains(t, l.Cost(result), "an earlier answer was given again")
	started, _ := server.Queries()
	require.Equal(t, "UNLOAD (select type from eventlogs -- all\n\n) TO 's3://b/it''s/' WITH (format = 'PARQUET', compression = 'ZSTD')", started[0].QueryString)
	require.Zero(t, server.Calls("GetQueryResults"))
}

// What only Athena understands is not refused: its tables count whole.
func TestADialectThatThePlannerDoesNotKnow(t *testing.T) {
	w := tenDays(t)
	l, server := w.onAthena(athenatest.Script{})
	for sql, note := range map[string]string{
		"select * from eventlogs for timestamp as of timestamp '2026-11-01 00:00:00'":     "syntax error",
		"select approx_most_frequent(3, type, 10) from eventlogs where dt = '2026-11-01'": "approx_most_frequent does not exist",
		`select * from "eventlogs$partitions" a, eventlogs b`:                             "does not exist",
	} {
		p := w.plan(l, sql)
		require.Error(t, p.whole, sql)
		require.Equal(t, []string{"eventlogs"}, p.Tables(), sql)
		require.Len(t, p.Notes, 1)
		require.Contains(t, p.Notes[0], note, sql)
		require.Contains(t, p.Notes[0], "count whole", sql)
		require.NotContains(t, p.Notes[0], "\n", sql)
		e, err := l.Estimate(context.Background(), p)
		require.NoError(t, err)
		require.GreaterOrEqual(t, e.Objects, 20)
		var got rows.Rows
		_, err = l.Answer(context.Background(), p, &got)
		require.NoError(t, err)
	}
	require.Empty(t, w.plan(l, "show partitions eventlogs").Notes)
	for _, sql := range []string{"drop table eventlogs", "insert into eventlogs select 1", "explain analyze insert into days select 1", "unload (select 1) to 's3://b/'"} {
		_, err := l.Plan(context.Background(), Question{SQL: sql})
		require.ErrorContains(t, err, "only a query is answered", sql)
	}
	started, _ := server.Queries()
	require.Len(t, started, 3)
}

func TestAthenasErrorWithTheNearestNames(t *testing.T) {
	w := tenDays(t)
	for reason, hint := range map[string]string{
		"COLUMN_NOT_FOUND: line 1:8: Column 'mesageid' cannot be resolved or requester is not authorized": "mesageid: nearest messageid",
		"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.weir.evntlogs' does not exist":                 "evntlogs: nearest eventlogs",
	} {
		l, _ := w.onAthena(athenatest.Script{States: []athena.State{athena.Running, athena.Failed}, Reason: reason})
		p := w.plan(l, "select mesageid from evntlogs")
		var got rows.Rows
		result, err := l.Answer(context.Background(), p, &got)
		require.ErrorContains(t, err, "query q-1 failed on Athena: "+reason)
		require.ErrorContains(t, err, hint)
		require.Equal(t, "q-1", result.ID)
	}
}

func TestSettings(t *testing.T) {
	cfg := DefaultConfig()
	require.Empty(t, cfg.Validate())
	cfg.Workgroup, cfg.Results, cfg.Reuse, cfg.PerTB, cfg.MaxCost = "", "answers", 8*24*time.Hour, -1, -1
	require.Len(t, cfg.Validate(), 5)
}
