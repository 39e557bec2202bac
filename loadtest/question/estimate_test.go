//go:build duckdb && e2e

package question

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/services/query/dialect"
)

// tenQueries are what analysts ask. A reason says why an engine reads less than the estimate, which is an upper bound.
var tenQueries = []struct{ sql, reason string }{
	{"select type, count(messageid) from eventlogs where sourceid = 'source1' and dt = '2026-11-21' group by 1", ""},
	{"select count(distinct userid) from eventlogs where dt >= '2026-11-22'", ""},
	{"select max(element_at(properties, 'revenue')) from eventlogs where sourceid = 'source2'", ""},
	{"select max(messageid), max(userid), max(event) from eventlogs where dt between '2026-11-20' and '2026-11-22'", ""},
	{"select avg(cast(element_at(properties, 'revenue') as double)), max(userid) from eventlogs where dt = '2026-11-20'", ""},
	{"select max(a.userid), min(b.messageid) from eventlogs a join eventlogs b on a.kafkaoffset = b.kafkaoffset where a.dt = '2026-11-20' and b.dt = '2026-11-20' and a.sourceid = 'source1' and b.sourceid = 'source1'", "a self-join reads its table twice"},
	{"select count(*), max(timestamp), max(receivedat) from eventlogs where cast(dt as date) > date '2026-11-21'", ""},
	{"select max(json_extract_scalar(element_at(context, 'page'), '$.url')) from eventlogs where dt = '2026-11-23'", ""},
	{"select count(userid) from eventlogs where dt = '2026-11-22' and messageid = 'nobody'", "statistics and the Bloom filter spare it"},
	{"select userid from eventlogs where dt = '2026-11-22' limit 10", "LIMIT ends it early"},
}

// What is estimated, beside what Trino and DuckDB say that they read: within a tenth, or less for the reason that stands
// beside the query.
func TestEstimatesAreWhatEnginesRead(t *testing.T) {
	w, trino := startTrino(t)
	files := filepath.Join(w.Dir, "s3", "data", "weir", "lake", "eventlogs")
	engine := openProfiled(t, files)
	t.Logf("%10s %10s %10s %6s %6s", "estimate", "trino", "duckdb", "", "")
	for _, q := range tenQueries {
		want, basis := estimated(t, w, q.sql)
		require.Equal(t, "footers of all objects", basis)
		_, there, err := trino.Measure(t.Context(), "weir", q.sql, "hive.parquet_small_file_threshold=0B")
		require.NoError(t, err)
		here := engine.bytes(t, q.sql)
		t.Logf("%10d %10d %10d %5.1f%% %5.1f%%  %s  %s", want, there, here, percent(want, there), percent(want, here), q.sql, q.reason)
		if q.reason == "" {
			require.InEpsilon(t, there, want, 0.1, "Trino: %s", q.sql)
			require.InEpsilon(t, here, want, 0.1, "DuckDB: %s", q.sql)
		}
	}
}

// Each macro that stands in for a function of Athena's engine gives what that engine gives.
func TestMacrosOnTrino(t *testing.T) {
	_, trino := startTrino(t)
	for _, e := range dialect.Examples() {
		rows, err := trino.Query(t.Context(), "weir", "select cast("+e.SQL+" as varchar)")
		require.NoError(t, err, e.SQL)
		want := any(e.Want)
		if e.Null {
			want = nil
		}
		got := rows[0][0]
		if text, ok := got.(string); ok {
			got = strings.TrimSuffix(strings.TrimSuffix(text, ".000000"), ".000")
		}
		require.Equal(t, want, got, e.SQL)
	}
}

func percent(want, got int64) float64 { return 100 * (float64(got)/float64(max(want, 1)) - 1) }

// startTrino puts the lake down and starts Trino over it.
func startTrino(t *testing.T) (fleet.World, *parts.Trino) {
	t.Helper()
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	_, err = parts.FetchMoto(t.Context())
	parts.Need(t, "moto", err)
	_, err = parts.FetchVersitygw(t.Context())
	parts.Need(t, "versitygw", err)
	dir := t.TempDir()
	bin, err := fleet.Build(t.Context(), dir)
	require.NoError(t, err)
	w := fleet.World{Bin: bin, Dir: dir, Access: "dev", Secret: "dev-secret"}
	gateway, err := parts.StartVersitygw(t.Context(), filepath.Join(dir, "s3"), w.Access, w.Secret)
	require.NoError(t, err)
	t.Cleanup(gateway.Stop)
	moto, err := parts.StartMoto(t.Context(), filepath.Join(dir, "moto"))
	require.NoError(t, err)
	t.Cleanup(moto.Stop)
	w.S3URL, w.GlueURL = gateway.URL, moto.URL
	putLake(t, w)
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: filepath.Join(dir, "trino"), GlueURL: w.GlueURL, S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret,
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	return w, trino
}

// profiled is a DuckDB that counts what it reads of the lake's files.
type profiled struct{ conn *sql.Conn }

func openProfiled(t *testing.T, files string) profiled {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	p := profiled{conn}
	for _, s := range append(dialect.Macros(),
		"CREATE VIEW eventlogs AS SELECT * FROM read_parquet('"+files+"/*/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)",
		"PRAGMA enable_profiling='no_output'",
		`PRAGMA custom_profiling_settings='{"TOTAL_BYTES_READ": "true"}'`,
	) {
		_, err := conn.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	return p
}

func (p profiled) bytes(t *testing.T, query string) int64 {
	t.Helper()
	answer, err := p.conn.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	for answer.Next() {
	}
	require.NoError(t, answer.Err())
	info, err := duckdb.GetProfilingInfo(p.conn)
	require.NoError(t, err)
	require.NoError(t, answer.Close())
	n, err := strconv.ParseInt(info.Metrics["TOTAL_BYTES_READ"], 10, 64)
	require.NoError(t, err, fmt.Sprint(info.Metrics))
	return n
}
