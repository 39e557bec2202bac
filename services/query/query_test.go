//go:build duckdb && cgo

package query

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/services/query/rows"
)

// rowOf is one row of a file as the sink writes it: timestamps are instants.
func rowOf(id, typ string, at time.Time) string {
	return fmt.Sprintf("SELECT '%s' AS messageid, '%s' AS type, TIMESTAMPTZ '%s' AS timestamp, MAP {'a': '1'} AS properties",
		id, typ, at.UTC().Format("2006-01-02 15:04:05.000+00"))
}

func TestOutsidesQueryVerbatim(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	now := time.Now().UTC()
	yesterday := now.Add(-24 * time.Hour)
	today := lake.DayOf(now).String()
	for _, source := range []string{"source1", "source2"} {
		w.partition(events, source, today)
		w.partition(events, source, lake.DayOf(yesterday).String())
		w.parquet("eventlogs/sourceid="+source+"/dt="+today+"/a-0.parquet",
			rowOf("1", "track", now)+" UNION ALL "+rowOf("2", "page", now)+" UNION ALL "+rowOf("3", "track", yesterday))
		w.parquet("eventlogs/sourceid="+source+"/dt="+today+"/b-0.parquet", rowOf("4", "track", now))
		w.parquet("eventlogs/sourceid="+source+"/dt="+lake.DayOf(yesterday).String()+"/c-0.parquet", rowOf("5", "track", yesterday))
	}
	query := "select type, count(messageid) from eventlogs where sourceid='source1' and date_trunc('day', timestamp) = current_date group by 1 order by 2 desc"
	for name, l := range map[string]*Lake{
		"in place":        w.lake(),
		"through a cache": w.lake(func(c *Config) { c.LocalRoot, c.CacheDir = "", t.TempDir() }),
	} {
		result, err := l.Query(context.Background(), query)
		require.NoError(t, err, name)
		require.Equal(t, [][]any{{"track", int64(2)}, {"page", int64(1)}}, result.Values, name)
		require.Equal(t, 2, result.Read, "%s: source2 is not read", name)
		require.Equal(t, 4, result.Known, name)
		require.Equal(t, 3, result.Files, name)
	}
}

func TestColumnsAreGlues(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	w.partition(events, "a:b/c", "2026-11-22") // escaped in the path, not in the column
	w.partition(events, "empty", "2026-11-22")
	dir := "eventlogs/sourceid=a%3Ab%2Fc/dt=2026-11-22/"
	w.parquet(dir+"old-0.parquet", "SELECT 'm1' AS messageid, TIMESTAMPTZ '2026-11-22 23:30:00+00' AS timestamp")
	w.parquet(dir+"new-0.parquet", `SELECT 'm2' AS messageid, TIMESTAMPTZ '2026-11-22 23:30:00.123+00' AS timestamp,
		MAP {'k': 'v', 'n': NULL} AS traits, 7 AS kafkapartition, 42::BIGINT AS kafkaoffset, 'x' AS unknown_to_glue`)
	w.put(dir+"_hidden.parquet", []byte("not parquet"))
	l := w.lake()

	var names, types []string
	for _, row := range w.ask(l, "describe eventlogs") {
		names, types = append(names, row[0].(string)), append(types, row[1].(string))
	}
	require.Len(t, names, len(events.Schema)+2)
	for i, c := range events.Schema {
		require.Equal(t, c.Name, names[i])
		want := map[lake.Type]string{
			lake.String: "VARCHAR", lake.Timestamp: "TIMESTAMP", lake.MapStringString: "MAP(VARCHAR, VARCHAR)", lake.Int: "INTEGER", lake.BigInt: "BIGINT",
		}[c.Type]
		require.Equal(t, want, types[i], c.Name)
	}
	require.Equal(t, []string{"sourceid", "dt"}, names[len(names)-2:])
	require.Equal(t, []string{"VARCHAR", "VARCHAR"}, types[len(types)-2:])

	require.Equal(t, [][]any{
		{"m1", "2026-11-22 23:30:00", nil, nil, "a:b/c", "2026-11-22"},
		{"m2", "2026-11-22 23:30:00.123", json.Number("7"), int64(42), "a:b/c", "2026-11-22"},
	}, w.ask(l, "select messageid, timestamp, kafkapartition, kafkaoffset, sourceid, dt from eventlogs order by messageid"))
	require.Equal(t, [][]any{{"v", nil, int64(1)}},
		w.ask(l, "select traits['k'], traits['n'], count(*) from eventlogs where traits is not null group by all"))
	require.Equal(t, [][]any{{int64(2)}}, w.ask(l, "select count(*) from "+w.name+".eventlogs"), "by its full name, as in Athena")
	require.Equal(t, [][]any{{int64(0)}}, w.ask(l, "select count(*) from eventlogs where sourceid = 'empty'"))
}

func TestNothingIsPrunedThatCounts(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	for day := 1; day <= 5; day++ {
		for _, source := range []string{"s1", "s2"} {
			dt := fmt.Sprintf("2026-11-%02d", day)
			w.partition(events, source, dt)
			w.parquet("eventlogs/sourceid="+source+"/dt="+dt+"/x-0.parquet", rowOf(source+dt, "track", time.Date(2026, 11, day, 5, 0, 0, 0, time.UTC)))
		}
	}
	l := w.lake()
	for query, want := range map[string]struct {
		read int
		rows int64
	}{
		"select count(*) from eventlogs":                                                                                       {10, 10},
		"select count(*) from eventlogs where dt >= '2026-11-04'":                                                              {4, 4},
		"select count(*) from eventlogs where dt >= '2026-11-04' or sourceid = 's1'":                                           {7, 7},
		"select count(*) from eventlogs where sourceid in ('s1', 'nobody') and dt between '2026-11-02' and '2026-11-03'":       {2, 2},
		"select count(*) from eventlogs a join eventlogs b using (messageid) where a.dt = '2026-11-01'":                        {10, 2},
		"with e as (select * from eventlogs) select count(*) from e where dt = '2026-11-01'":                                   {2, 2},
		"select count(*) from eventlogs where dt = (select max(dt) from eventlogs)":                                            {10, 2},
		"select count(*) from (select * from eventlogs where sourceid = 's1' union all select * from eventlogs where false)":   {5, 5},
		"select count(*) from eventlogs where messageid = 's12026-11-03'":                                                      {10, 1},
		"select count(*) from eventlogs where concat(sourceid, dt) = 's22026-11-05'":                                           {1, 1},
		"explain analyze select count(*) from eventlogs where sourceid = 's1'":                                                 {5, -1},
		"select (select count(*) from eventlogs where sourceid='s1') + (select count(*) from eventlogs where dt='2026-11-01')": {6, 7},
	} {
		result, err := l.Query(context.Background(), query)
		require.NoError(t, err, query)
		require.Equal(t, 10, result.Known)
		require.LessOrEqual(t, result.Read, want.read, query)
		if want.rows >= 0 {
			require.Equal(t, fmt.Sprint(want.rows), fmt.Sprint(result.Values[0][0]), query)
		}
	}
}

func TestRawTable(t *testing.T) {
	w := newWorld(t)
	raw := lake.EventLogsRaw("zstd")
	w.table(raw)
	w.partition(raw, "s1", "2026-11-22")
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	w.put("raw/sourceid=s1/dt=2026-11-22/x-0.jsonl.zst", enc.EncodeAll([]byte(
		`{"type":"track","messageId":"m1","userId":7,"properties":{"a":1,"b":{"c":[1, 2]},"s":"t","n":null},"timestamp":"2026-11-22T10:00:00.123Z"}`+"\n"+
			`{"type":"track","messageId":"m2","properties":"no map","context":null}`+"\n"+
			`{"type":"track","messageId":"m3","event":"\ud800"}`+"\n"), nil))
	l := w.lake()
	require.Equal(t, [][]any{
		{nil, nil, nil, nil, nil, nil},
		{"m1", "7", "1", `{"c":[1,2]}`, "t", "2026-11-22T10:00:00.123Z"},
		{"m2", nil, nil, nil, nil, nil},
	}, w.ask(l, "select messageid, userid, properties['a'], properties['b'], properties['s'], timestamp from eventlogs_raw order by messageid nulls first"),
		"a line that DuckDB cannot read (a lone surrogate) is a row of NULLs")
	require.Equal(t, [][]any{{int64(3)}}, w.ask(l, "select count(*) from eventlogs_raw where sourceid='s1'"))
}

func TestOnlyQueriesAndNoOtherFiles(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	w.partition(events, "s1", "2026-11-22")
	key := "eventlogs/sourceid=s1/dt=2026-11-22/x-0.parquet"
	w.parquet(key, rowOf("1", "track", time.Now()))
	file := filepath.Join(testS3.Root(), w.name, "lake", filepath.FromSlash(key))
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	l := w.lake()
	for query, want := range map[string]string{
		"copy (select 1) to '" + file + "' (use_tmp_file false)":                 "only a query is answered",
		"explain analyze copy (select 1) to '" + file + "' (use_tmp_file false)": "only a query is answered",
		"select 1; select 2":                           "one query at a time is answered, this is 2",
		"select * from read_csv('/etc/passwd')":        "file system operations are disabled",
		"select * from '/etc/passwd'":                  "no such table in Glue",
		"set enable_external_access=true":              "only a query is answered",
		"create table x as select 1":                   "only a query is answered",
		"selec 1":                                      "syntax error",
		"select nope from eventlogs":                   `"nope" not found`,
		"select * from nowhere":                        "no such table in Glue",
		"select range from range(2000000)":             "more than 1000000 rows",
		"":                                             "one query at a time",
		"select error('from the query') from range(1)": "from the query",
	} {
		_, err := l.Query(context.Background(), query)
		require.ErrorContains(t, err, want, query)
	}
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, err = l.Query(context.Background(), "select * from nowhere")
	require.ErrorIs(t, err, ErrNoTable)
	require.NotContains(t, err.Error(), "EXPLAIN", "the message shows what was asked, not what was made of it")
}

func TestDatabase(t *testing.T) {
	w := newWorld(t)
	_, err := w.lake(func(c *Config) { c.Database = "nobodys" }).Query(context.Background(), "select 1")
	require.ErrorIs(t, err, ErrNoDatabase)

	w.table(lake.EventLogs())
	w.create(glue.Table{
		Database: w.name, Name: "days", Type: "EXTERNAL_TABLE", Location: "s3://" + w.name + "/lake/days",
		Columns: []glue.Column{{Name: "day", Type: "date"}, {Name: "n", Type: "decimal(10,2)"}},
		Format:  glue.Format{Serde: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
	})
	w.create(glue.Table{Database: w.name, Name: "shown", Type: "VIRTUAL_VIEW"})
	w.create(glue.Table{Database: w.name, Name: "texts", Columns: []glue.Column{{Name: "a", Type: "string"}}, Format: glue.Format{Serde: "org.apache.hadoop.hive.serde2.OpenCSVSerde"}})
	w.parquet("days/a.parquet", "SELECT DATE '2026-11-22' AS day, 1.5::DECIMAL(10,2) AS n")
	l := w.lake()
	result, err := l.Query(context.Background(), "show tables")
	require.NoError(t, err)
	require.Equal(t, [][]any{{"days"}, {"eventlogs"}}, result.Values)
	require.Len(t, result.Notes, 2)
	require.Contains(t, result.Notes[0], "table shown is left out: it is a view")
	require.Contains(t, result.Notes[1], "table texts is left out: its SerDe")
	require.Equal(t, [][]any{{"2026-11-22", json.Number("1.50")}}, w.ask(l, "select * from days"), "a table without partitions")
	require.Equal(t, [][]any{{int64(0)}}, w.ask(l, "select count(*) from eventlogs"), "a table without anything")
}

func TestValues(t *testing.T) {
	w := newWorld(t)
	w.table(lake.EventLogs())
	got := w.ask(w.lake(), `select 1::TINYINT, 170141183460469231731687303715884105727::HUGEINT, 1.50::DECIMAL(10,2), true,
		DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05', TIME '03:04:05.5', TIMESTAMPTZ '2026-01-02 03:04:05+02',
		'ab'::BLOB, uuid '00112233-4455-6677-8899-aabbccddeeff', [1, NULL], {'b': 1, 'a': 'x'}, NULL, INTERVAL 2 DAY, 0.1::DOUBLE, -0.05::DECIMAL(10,2), 0::DECIMAL(4,3), 7::DECIMAL(4,0)`)
	text, err := json.Marshal(got[0])
	require.NoError(t, err)
	require.Equal(t, `[1,170141183460469231731687303715884105727,1.50,true,"2026-01-02","2026-01-02 03:04:05","03:04:05.5","2026-01-02 01:04:05",`+
		`"\\x6162","00112233-4455-6677-8899-aabbccddeeff",[1,null],{"a":"x","b":1},null,"0 months 2 days 0s",0.1,-0.05,0.000,7]`, string(text))
}

func TestNumbersThatJSONDoesNotHave(t *testing.T) {
	w := newWorld(t)
	result, err := w.lake().Query(context.Background(), `select 'nan'::DOUBLE a, 'inf'::FLOAT b, '-inf'::DOUBLE c, ['nan'::FLOAT, 0.5] d, {'k': 'inf'::DOUBLE} e, 0.1::FLOAT f`)
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, result.Write(&out, rows.JSON))
	require.JSONEq(t, `[{"a":"NaN","b":"Infinity","c":"-Infinity","d":["NaN",0.5],"e":{"k":"Infinity"},"f":0.1}]`, out.String())
}

func TestCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	events := lake.EventLogs()
	w.table(events)
	var size int64
	for _, source := range []string{"s1", "s2", "s3"} {
		key := "eventlogs/sourceid=" + source + "/dt=2026-11-22/x-0.parquet"
		w.partition(events, source, "2026-11-22")
		w.parquet(key, rowOf(source, "track", time.Now()))
		o, err := w.store.Head(context.Background(), key)
		require.NoError(t, err)
		size = o.Bytes
	}
	dir := t.TempDir()
	l := w.lake(func(c *Config) { c.LocalRoot, c.CacheDir, c.CacheSize = "", dir, settings.Bytes(2*size+10) })
	files := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
		require.NoError(t, err)
		return len(found)
	}
	require.Equal(t, [][]any{{"s1"}}, w.ask(l, "select messageid from eventlogs where sourceid='s1'"))
	require.Equal(t, [][]any{{"s2"}}, w.ask(l, "select messageid from eventlogs where sourceid='s2'"))
	require.Equal(t, 2, files())
	require.Equal(t, [][]any{{"s1"}}, w.ask(l, "select messageid from eventlogs where sourceid='s1'"))
	require.Equal(t, 2, files(), "s1 was there")
	require.Equal(t, [][]any{{"s3"}}, w.ask(l, "select messageid from eventlogs where sourceid='s3'"))
	require.Equal(t, 2, files(), "s2 made room: s1 was used later")
	_, err := l.Query(context.Background(), "select count(*) from eventlogs")
	require.ErrorContains(t, err, "more than cache-size allows")
	require.Equal(t, 2, files())
}

func TestFreshness(t *testing.T) {
	w := newWorld(t)
	l := w.lake()
	ctx := context.Background()
	all, err := l.Freshness(ctx, lake.EventLogsName)
	require.NoError(t, err)
	require.Equal(t, "eventlogs visible through: nothing of it is in the last flushes", all[0].String())

	id := lake.TopicID{1}
	gate := &flush.Gate{Marks: map[int32]flush.Mark{}}
	newest := time.Now().Add(-3 * time.Second).Truncate(time.Millisecond)
	for partition, times := range map[int32][]time.Time{
		0: {newest.Add(-time.Hour), newest.Add(-time.Minute)},
		1: {newest, newest.Add(-time.Hour)},
		2: {}, // dead letters only
	} {
		owner := lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: id, Partition: partition}
		m := &flush.Manifest{
			Key: owner.ManifestKey(1, "0195"), Group: owner.Group, Topic: owner.Topic, TopicID: id, Partition: partition, Seq: 1, FlushID: "0195",
			Bucket: w.name, NextLow: 1, CreatedAt: newest,
		}
		for i, at := range times {
			p := lake.Partition{Table: lake.EventLogsName, SourceID: "s1", Day: lake.DayOf(at)}
			m.Files = append(m.Files, flush.File{
				UploadID: "u",
				Table:    p.Table, Partition: p, Key: lake.ObjectKey(lake.EventLogs(), p, "0195", i), Rows: 1, Bytes: 1,
				Offsets: flush.NewOffsets(0), MinTime: at.Add(-time.Second), MaxTime: at,
			})
		}
		body, err := codec.EncodeManifest(m)
		require.NoError(t, err)
		w.put(m.Key, body)
		gate.Marks[partition] = flush.Mark{Group: owner.Group, Seq: 1, Manifest: m.Key, Low: 1}
	}
	body, err := codec.EncodeGate(gate)
	require.NoError(t, err)
	w.put(lake.GateKey(w.name, id), body)
	all, err = l.Freshness(ctx, lake.EventLogsName)
	require.NoError(t, err)
	require.WithinDuration(t, newest, all[0].Through, 0)
	require.Regexp(t, `^eventlogs visible through `+newest.UTC().Format("2006-01-02 15:04:05.000")+` UTC, lag 3(\.\d)?s: receivedat of the newest row$`, all[0].String())
}
