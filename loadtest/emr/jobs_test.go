//go:build duckdb && e2e

package emr

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the engine that is not ours
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/corpus"
	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// sentEvent is one event with what the gateway would have said of it.
type sentEvent struct {
	source   string
	received time.Time
	body     []byte
}

const events = 20_000

// history makes the events: of two sources on three days, hostile ones among them, some twice. Each says when it was
// received and has a messageId, as every event that came through the gateway or from Segment.
func history() []sentEvent {
	start := time.Date(2026, time.November, 22, 23, 30, 0, 0, time.UTC) // a day begins soon
	strange := hostile()
	var all []sentEvent
	for i, body := range corpus.Generate(11, events) {
		e := sentEvent{source: corpus.SourceOf(i, 2), received: start.Add(time.Duration(i) * 5 * time.Second / 2)}
		if len(all) >= events {
			break
		}
		inside := string(body[1 : len(body)-1])
		if i%100 < len(strange) {
			inside = strange[i%100] + fmt.Sprintf(`,"messageId":"strange-%d"`, i)
		}
		e.body = fmt.Appendf(nil, `{%s,"receivedAt":%q}`, inside, e.received.Format("2006-01-02T15:04:05.000Z"))
		all = append(all, e)
		if i%50 == 0 {
			all = append(all, e)
		}
	}
	return all[:events]
}

func produce(t *testing.T, broker string, all []sentEvent) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic))
	require.NoError(t, err)
	defer cl.Close()
	records := make([]*kgo.Record, len(all))
	for i, e := range all {
		records[i] = &kgo.Record{Key: []byte(e.source), Value: e.body, Headers: []kgo.RecordHeader{
			{Key: event.HeaderReceivedAt, Value: []byte(e.received.Format("2006-01-02T15:04:05.000Z"))},
		}}
	}
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

// rig is a fleet that has sunk the events, and Spark beside it.
type rig struct {
	t      *testing.T
	world  fleet.World
	fleet  *fleet.Fleet
	bucket *s3.Store // with keys from the bucket's root
	lake   string    // the folder of the bucket
	spark  parts.SparkOptions
	jobs   string

	convert func(code int, args ...string) done // runs the job that converts history
}

func newRig(t *testing.T, all []sentEvent, env ...string) *rig {
	w, lakeDir := fleet.Real(t) // the embedded S3 copies no objects, which a move needs
	w.Env = append(w.Env, env...)
	w.Sources = "sources:\n- {id: source1, enabled: true, write_keys: [key-one]}\n"
	r := &rig{t: t, world: w, lake: filepath.Dir(lakeDir)}
	r.spark = parts.SparkOptions{Dir: t.TempDir(), S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret}
	var err error
	r.jobs, err = filepath.Abs("../../deploy/emr")
	require.NoError(t, err)
	r.bucket, err = s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "weir"}, Endpoint: w.S3URL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret,
	}, nil)
	require.NoError(t, err)
	r.fleet = fleet.Launch(t, w)
	produce(t, w.Broker, all)
	require.NoError(t, r.fleet.Drained(t.Context(), 2*time.Minute))
	return r
}

// done is what a job says of itself.
type done struct {
	Partitions, Written, Unchanged, Rows, Rejected int
	Refused                                        []string

	Days         int
	CountedDays  int `json:"counted_days"`
	CountedWeeks int `json:"counted_weeks"`
	Messages     int
}

// run runs a Spark job.
func (r *rig) run(code int, job string, args ...string) (d done) {
	r.t.Helper()
	return r.done(code, job, func(ctx context.Context) (string, int, error) {
		return parts.SubmitSpark(ctx, r.spark, filepath.Join(r.jobs, job), args...)
	})
}

// done runs a job to its end, which must be with this code, and reads what it says of itself.
func (r *rig) done(code int, job string, run func(context.Context) (string, int, error)) (d done) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	out, exit, err := run(ctx)
	require.NoError(r.t, err)
	require.Equal(r.t, code, exit, out)
	line, _, _ := strings.Cut(out, "\n")
	require.NoError(r.t, json.Unmarshal([]byte(line), &d), out)
	r.t.Logf("%s in %.1f s: %s", job, time.Since(began).Seconds(), line)
	return d
}

func (r *rig) put(key string, body []byte) {
	r.t.Helper()
	require.NoError(r.t, r.bucket.Put(r.t.Context(), key, body))
}

// objects are the objects under a prefix with what changes when one is written again.
func (r *rig) objects(prefix string) map[string]string {
	all := map[string]string{}
	for o, err := range r.bucket.List(r.t.Context(), prefix, "") {
		require.NoError(r.t, err)
		if !lake.Hidden(o.Key) {
			all[o.Key] = fmt.Sprint(o.ETag, o.Bytes, o.Modified)
		}
	}
	return all
}

// columns of a row as text, without where it stood in Kafka: the history does not know that.
func columns() string {
	var list []string
	for _, c := range lake.EventLogs().Schema {
		switch {
		case strings.HasPrefix(c.Name, "kafka"):
		case c.Type == lake.MapStringString:
			list = append(list, fmt.Sprintf("list_sort(map_entries(%[1]s))::varchar as %[1]s", c.Name))
		case c.Type == lake.Timestamp:
			list = append(list, fmt.Sprintf("epoch_us(%[1]s) as %[1]s", c.Name))
		default:
			list = append(list, c.Name)
		}
	}
	return strings.Join(list, ", ") + ", sourceid, dt"
}

// table is a folder of eventlogs as DuckDB reads it.
func (r *rig) table(of, where string) string {
	glob := filepath.Join(r.lake, of, "eventlogs", "*", "*", "*.parquet")
	return fmt.Sprintf("(select %s from read_parquet('%s', hive_partitioning=true, hive_types_autocast=false) where %s)", columns(), glob, where)
}

func (r *rig) count(query string) (n int) {
	r.t.Helper()
	db, err := sql.Open("duckdb", "")
	require.NoError(r.t, err)
	defer db.Close()
	require.NoError(r.t, db.QueryRowContext(r.t.Context(), query).Scan(&n), query)
	return n
}

// requireSame holds the rows of a lake against the sink's, row by row, duplicates counted.
func (r *rig) requireSame(of string, rows int) {
	r.t.Helper()
	ours, sinks := r.table(of, "true"), r.table("lake", "true")
	require.Equal(r.t, rows, r.count("select count(*) from "+ours))
	for _, pair := range [][2]string{{ours, sinks}, {sinks, ours}} {
		require.Zero(r.t, r.count(fmt.Sprintf("select count(*) from (select * from %s except all select * from %s)", pair[0], pair[1])))
	}
}

func TestSparkJobs(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	all := history()
	r := newRig(t, all)
	r.convert = func(code int, args ...string) done { return r.run(code, "json_to_parquet.py", args...) }
	r.weirs("s3a://weir/lake/raw")
	r.segment(all, "--codec", "snappy")
	r.refused()
	r.registered()
	r.rollups()
	t.Run("trino", func(t *testing.T) { r.rollupsInTrino(r.sameInTrino(t)) })
}

// weirs converts weir's own layout, over what earlier runs left behind, and once more, which changes nothing.
func (r *rig) weirs(raw string) {
	t := r.t
	// An earlier run that died between its moves, and those that died while they wrote.
	half := "history/eventlogs/sourceid=source1/dt=2026-11-23/history-0123456789abcdef-1of2.parquet"
	r.put(half, []byte("half"))
	for _, job := range []string{"json_to_parquet", "json_to_parquet_hive"} {
		r.put("history/_staging/"+job+"/rows/eventlogs/sourceid=source9/dt=2026-11-23/part-0.parquet", []byte("half"))
	}
	args := []string{"--raw", raw, "--lake", "s3a://weir/history"}
	require.Equal(t, done{Partitions: 4, Written: 4, Rows: events, Refused: []string{}}, r.convert(0, args...))
	require.NotContains(t, r.objects("history/"), half)
	r.requireSame("history", events)

	before := r.objects("history/")
	require.Equal(t, done{Partitions: 4, Unchanged: 4, Refused: []string{}}, r.convert(0, args...))
	require.Equal(t, before, r.objects("history/"))
}

// segment converts the same events from Segment's layout, and then one day of it that has changed.
func (r *rig) segment(all []sentEvent, more ...string) {
	files := map[string]*bytes.Buffer{}
	for i, e := range all {
		key := fmt.Sprintf("segment-logs/%s/%d/%d.gz", e.source, e.received.Truncate(24*time.Hour).UnixMilli(), i%3)
		if files[key] == nil {
			files[key] = &bytes.Buffer{}
		}
		files[key].Write(append(slices.Clone(e.body), '\n'))
	}
	for key, lines := range files {
		r.put(key, zipped(r.t, lines.Bytes()))
	}
	segments := append([]string{"--raw", "s3a://weir/segment-logs", "--layout", "segment", "--lake", "s3a://weir/segment"}, more...)
	require.Equal(r.t, done{Partitions: 4, Written: 4, Rows: events, Refused: []string{}}, r.convert(0, segments...))
	r.requireSame("segment", events)

	before := r.objects("segment/eventlogs/")
	day := time.Date(2026, time.November, 23, 0, 0, 0, 0, time.UTC)
	bad := "no JSON \xff\x00{\n{\"type\":\"t\"\n[1]\n\n\\N\n\x01\ta\\\x02\ncarriage\rreturn\r\n"
	late := `{"type":"track","event":"late","messageId":"late","receivedAt":"2026-11-23T10:00:00.000Z"}` + "\n"
	r.put(fmt.Sprintf("segment-logs/source2/%d/late.gz", day.UnixMilli()), zipped(r.t, []byte(bad+late)))
	again := r.convert(0, segments...)
	require.Equal(r.t, []int{1, 3, 7}, []int{again.Written, again.Unchanged, again.Rejected})
	require.Equal(r.t, events+1, r.count("select count(*) from "+r.table("segment", "true")))
	for key, is := range r.objects("segment/eventlogs/") {
		if !strings.Contains(key, "sourceid=source2/dt=2026-11-23/") {
			require.Equal(r.t, before[key], is, key)
		}
	}
	require.ElementsMatch(r.t, slices.Collect(strings.Lines(bad)), r.rejected("segment"))
}

// rejected are the lines that were kept aside.
func (r *rig) rejected(of string) (lines []string) {
	files, err := filepath.Glob(filepath.Join(r.lake, of, "_rejected", "eventlogs", "sourceid=source2", "dt=2026-11-23", "reason=*", "*.gz"))
	require.NoError(r.t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(r.t, err)
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(r.t, err)
		var text bytes.Buffer
		_, err = text.ReadFrom(z)
		require.NoError(r.t, err)
		lines = slices.AppendSeq(lines, strings.Lines(text.String()))
	}
	return lines
}

func zipped(t *testing.T, text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// refused: a day that the sink has written is left alone and named, and a day before it goes into the same table, where
// Glue learns of it and neither verify nor reconcile takes it for a fault.
func (r *rig) refused() {
	t := r.t
	old := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	r.put(fmt.Sprintf("segment-logs/source1/%d/old.gz", old.UnixMilli()), zipped(t, []byte(`{"type":"page","receivedAt":"2025-01-01T00:00:00Z","messageId":"old"}`+"\n")))
	sinks := r.objects("lake/eventlogs/")
	d := r.convert(3, "--raw", "s3a://weir/segment-logs", "--layout", "segment", "--lake", "s3a://weir/lake")
	require.Equal(t, []int{5, 1, 0, 1, 0}, []int{d.Partitions, d.Written, d.Unchanged, d.Rows, d.Rejected})
	require.Len(t, d.Refused, 4)
	require.Contains(t, d.Refused, "eventlogs/sourceid=source1/dt=2026-11-23")
	now := r.objects("lake/eventlogs/")
	require.Len(t, now, len(sinks)+1)
	for key, is := range sinks {
		require.Equal(t, is, now[key], key)
	}

	out, err := r.fleet.Weir(t.Context(), "catalog", "register", "--lake", fleet.LakeURL, "--table", "eventlogs", "--output", "csv")
	require.NoError(t, err)
	require.Equal(t, "sourceid,day,result,location,why\nsource1,2025-01-01,registered,s3://weir/lake/eventlogs/sourceid=source1/dt=2025-01-01/,\n", out)
	_, err = r.fleet.Weir(t.Context(), "catalog", "reconcile", "--lake", fleet.LakeURL)
	require.NoError(t, err)
	_, err = r.fleet.Weir(t.Context(), append([]string{"verify", "--lake", fleet.LakeURL}, r.world.KafkaFlags()...)...)
	require.NoError(t, err)
	out, err = r.fleet.Weir(t.Context(), "query", "--local", "--output", "csv", "select count(*) as n from eventlogs where dt = '2025-01-01'")
	require.NoError(t, err)
	require.Equal(t, "n\n1\n", out)
}

// register tells Glue's database history of a table's partitions, and returns the lines that say which.
func (r *rig) register(table string) int {
	r.t.Helper()
	out, err := r.fleet.Weir(r.t.Context(), "catalog", "register", "--lake", "s3://weir/history", "--database", "history", "--table", table, "--output", "csv")
	require.NoError(r.t, err)
	require.Contains(r.t, out, "sourceid,day,result,location,why\n")
	return strings.Count(out, ",registered,s3://weir/history/"+table+"/")
}

// registered: the database and the table are made as well, and a second time there is nothing left to do.
func (r *rig) registered() {
	require.Equal(r.t, 4, r.register("eventlogs"))
	require.Zero(r.t, r.register("eventlogs"))
}

// rollups: they sum to the count, a second run changes nothing, and a day that got another object is counted anew, with its
// week.
func (r *rig) rollups() {
	t, args := r.t, []string{"--lake", "s3a://weir/history"}
	sum := func(table string) int {
		glob := filepath.Join(r.lake, "history", table, "*", "*", "*.parquet")
		return r.count(fmt.Sprintf("select sum(messages)::int from read_parquet('%s')", glob))
	}
	require.Equal(t, done{Days: 4, CountedDays: 4, CountedWeeks: 4, Messages: events}, r.run(0, "rollup_by_type.py", args...))
	require.Equal(t, []int{events, events}, []int{sum("messages_by_type_daily"), sum("messages_by_type_weekly")})
	before := r.objects("history/messages_by_type")
	require.Equal(t, done{Days: 4}, r.run(0, "rollup_by_type.py", args...))
	require.Equal(t, before, r.objects("history/messages_by_type"))

	changed := "sourceid=source2/dt=2026-11-23/"
	made, err := filepath.Glob(filepath.Join(r.lake, "history", "eventlogs", changed, "*.parquet"))
	require.NoError(t, err)
	require.Len(t, made, 1)
	late, err := os.ReadFile(made[0])
	require.NoError(t, err)
	more := r.count(fmt.Sprintf("select count(*) from read_parquet('%s')", made[0]))
	r.put("history/eventlogs/"+changed+"0199f5a2-7c1e-7b7a-9d3e-0123456789ab-0.parquet", late)
	require.Equal(t, done{Days: 4, CountedDays: 1, CountedWeeks: 1, Messages: 2 * more}, r.run(0, "rollup_by_type.py", args...))
	require.Equal(t, []int{events + more, events + more}, []int{sum("messages_by_type_daily"), sum("messages_by_type_weekly")})
	for key, is := range r.objects("history/messages_by_type") {
		if !strings.Contains(key, "sourceid=source2/dt=2026-11-23/") && !strings.Contains(key, "sourceid=source2/week_start_ds=2026-11-23/") {
			require.Equal(t, before[key], is, key)
		}
	}
	require.NoError(t, os.Remove(filepath.Join(r.lake, "history", "eventlogs", changed, "0199f5a2-7c1e-7b7a-9d3e-0123456789ab-0.parquet")))
	require.Equal(t, done{Days: 4, CountedDays: 1, CountedWeeks: 1, Messages: more}, r.run(0, "rollup_by_type.py", args...))
	require.Equal(t, 4, r.register("messages_by_type_daily"))
	require.Equal(t, 4, r.register("messages_by_type_weekly"))
}
