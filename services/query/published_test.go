//go:build duckdb && cgo

package query

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/ledger/sums"
)

// record writes the ledger's sums of a day.
func (w *world) record(dt string, of ...sums.Sum) {
	w.t.Helper()
	var day sums.Day
	at, err := lake.ParseDay(dt)
	require.NoError(w.t, err)
	for i := range of {
		of[i].Partition.Day = at
	}
	day.Apply(1, of)
	body, err := day.Encode()
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.Put(context.Background(), lake.SumsKey(w.name, at), body))
}

// What the ledger says is taken without a look at any object; what it does not know is looked at.
func TestEstimatesByTheLedger(t *testing.T) {
	w := tenDays(t)
	estimate := func(where string) Estimate {
		e, err := w.lake().Estimate(context.Background(), w.plan(w.lake(), "select userid, properties from eventlogs where "+where))
		require.NoError(t, err)
		return e
	}
	source1 := lake.Partition{Table: "eventlogs", SourceID: "source1"}
	w.record("2026-11-03", sums.Sum{
		Partition: source1, Files: 7, Rows: 80, Bytes: 10_000,
		Columns: map[string]int64{"userid": 2_000, "properties": 3_000, "messageid": 4_000},
	}, sums.Sum{Partition: lake.Partition{Table: "eventlogs_raw", SourceID: "source1"}, Files: 9, Bytes: 1 << 40, Unsized: 1 << 40})
	known := estimate("sourceid = 'source1' and dt = '2026-11-03'")
	require.Equal(t, Ledger, known.Basis)
	require.Equal(t, 7, known.Objects)
	require.EqualValues(t, 6_000-128, known.Bytes, "the columns, and what is in none but Bloom filters: ten bits for each of 80 ids, in blocks of 32 bytes")

	other := estimate("sourceid = 'source2' and dt = '2026-11-03'")
	require.Equal(t, Exact, other.Basis)
	both := estimate("dt = '2026-11-03'")
	require.Equal(t, Ledger, both.Basis)
	require.Equal(t, known.Bytes+other.Bytes, both.Bytes)
	require.Equal(t, 8, both.Objects)

	w.record("2026-11-04", sums.Sum{
		Partition: source1, Files: 2, Rows: 1_000_000, Bytes: 20_000, Unsized: 10_000,
		Columns: map[string]int64{"userid": 2_000, "properties": 3_000, "messageid": 4_000},
	})
	part := estimate("sourceid = 'source1' and dt = '2026-11-04'")
	require.Equal(t, Sample, part.Basis, "of one of its files nobody told the columns")
	require.EqualValues(t, 10_000, part.Bytes, "no Bloom filter is larger than what no column takes")
}

// Who may not read the ledger, or finds it damaged, still gets an estimate.
func TestAnEstimateWithoutTheLedger(t *testing.T) {
	w := tenDays(t)
	at, err := lake.ParseDay("2026-11-03")
	require.NoError(t, err)
	require.NoError(t, w.store.Put(context.Background(), lake.SumsKey(w.name, at), []byte("damaged")))
	p := w.plan(w.lake(), "select userid from eventlogs where sourceid = 'source1' and dt = '2026-11-03'")
	e, err := w.lake().Estimate(context.Background(), p)
	require.NoError(t, err)
	require.Equal(t, Exact, e.Basis)
	require.Equal(t, 1, e.Objects)
}

// The table of files is as fresh as the last flush that is in it.
func TestFreshnessOfTheTableOfFiles(t *testing.T) {
	w := newWorld(t)
	fresh := func() string {
		f, err := w.lake().Freshness(context.Background(), lake.FilesName)
		require.NoError(t, err)
		return f[0].String()
	}
	require.Equal(t, "weir_files visible through: nothing of it is in the last flushes", fresh())
	last := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	of := lake.Partition{Table: "eventlogs", SourceID: "source1"}
	w.record("2026-11-02", sums.Sum{Partition: of, Files: 1, LastFlush: last.Add(-time.Hour)})
	w.record("2026-11-03", sums.Sum{Partition: of, Files: 1, LastFlush: last})
	require.Regexp(t, `^weir_files visible through 2026-11-03 09:00:00\.000 UTC, lag .*: flushed_at of the newest row$`, fresh())
}
