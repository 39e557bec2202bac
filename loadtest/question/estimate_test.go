//go:build duckdb && e2e

package question

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/lake"
	"weir/pkg/ledger/sums"
	"weir/services/query/dialect"
)

// What is estimated, from footers and from the catalog's ledger, beside what Trino and DuckDB read: within a tenth, or else
// for the reason that stands beside the query. Trino is told not to read across gaps between columns and not to take small files whole, which it does for speed
// where chunks are smaller than a megabyte.
func TestEstimatesAreWhatEnginesRead(t *testing.T) {
	w, known, trino := startTrino(t)
	trino.Session = "hive.parquet_small_file_threshold=0B"
	files := filepath.Join(w.Dir, "s3", "data", "weir", "lake", "eventlogs")
	engine := openMeasured(t, files)
	footers := make([]int64, len(tenQueries))
	for i, q := range tenQueries {
		said := estimatedIn(t, w, q.sql)
		require.Equal(t, "footers of all objects", said.Basis)
		footers[i] = said.Bytes
	}
	putLedger(t, w, known)
	t.Logf("%10s %10s %10s %10s", "footers", "ledger", "trino", "duckdb")
	for i, q := range tenQueries {
		said := estimatedIn(t, w, q.sql)
		require.Equal(t, "the catalog's ledger", said.Basis)
		ledger := said.Bytes
		require.InEpsilon(t, footers[i], ledger, 0.1, q.sql)
		_, there, err := trino.Measure(t.Context(), "weir", q.sql)
		require.NoError(t, err)
		here := engine.bytes(t, q.sql)
		t.Logf("%10d %10d %10d %10d  of the ledger's %+6.1f%% %+6.1f%%  %s  %s", footers[i], ledger, there, here,
			percent(ledger, there), percent(ledger, here), q.sql, q.reason)
		for _, want := range []int64{footers[i], ledger} {
			requireRead(t, want, there, q.trino, "Trino: "+q.sql)
			requireRead(t, want, here, q.duckdb, "DuckDB: "+q.sql)
		}
	}
}

func requireRead(t *testing.T, want, read int64, most float64, what string) {
	t.Helper()
	if most == 0 {
		assert.InEpsilon(t, read, want, 0.1, what)
		return
	}
	assert.LessOrEqual(t, float64(read), float64(want)*most, what)
}

// Each macro that stands in for a function of Athena's engine gives what that engine gives.
func TestMacrosOnTrino(t *testing.T) {
	_, _, trino := startTrino(t)
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

// startTrino puts the lake down and starts Trino over it.
func startTrino(t *testing.T) (fleet.World, map[lake.Day][]sums.Sum, *parts.Trino) {
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
	known := putLake(t, w)
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: filepath.Join(dir, "trino"), GlueURL: w.GlueURL, S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret,
		Hive: "parquet.max-merge-distance=0B\n",
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	return w, known, trino
}

// measured is a DuckDB whose reads of files are counted. Its own profile counts none of those that its reader makes ahead
// of time, so the kernel is asked what this process has read.
type measured struct{ conn *sql.Conn }

func openMeasured(t *testing.T, files string) measured {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	for _, s := range append(dialect.Macros(),
		"CREATE VIEW eventlogs AS SELECT * FROM read_parquet('"+files+"/*/*/*.parquet', hive_partitioning=true, hive_types_autocast=false)",
		"SET enable_external_file_cache=false",
	) {
		_, err := conn.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	return measured{conn}
}

func (m measured) bytes(t *testing.T, query string) int64 {
	t.Helper()
	before := readSoFar(t)
	answer, err := m.conn.QueryContext(t.Context(), query)
	require.NoError(t, err, query)
	for answer.Next() {
	}
	require.NoError(t, answer.Err())
	require.NoError(t, answer.Close())
	return readSoFar(t) - before
}

// readSoFar is how many bytes this process has read, of whatever.
func readSoFar(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	require.NoError(t, err)
	var n int64
	_, err = fmt.Sscanf(string(text), "rchar: %d", &n)
	require.NoError(t, err)
	return n
}
