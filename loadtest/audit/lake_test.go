//go:build duckdb

package audit

import (
	"compress/gzip"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// ReadLake sees what engines see, byte by byte; nothing of weir has written it.
func TestReadLake(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	table := func(name, values string) {
		path := filepath.Join(dir, "eventlogs", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		_, err := db.Exec(`copy (select * from (values ` + values + `) t(kafkatopic, kafkapartition, kafkaoffset, messageid)) to '` + path + `' (format parquet)`)
		require.NoError(t, err)
	}
	table("sourceid=a/dt=2026-11-23/1-0.parquet", `('t', 0, 0::bigint, 'm0'), ('t', 0, 1, 'm1'), ('other', 0, 0, 'o')`)
	table("sourceid=a/dt=2026-11-24/1-1.parquet", `('t', 0, 1::bigint, 'm1')`)
	table("sourceid=b/dt=2026-11-23/1-2.parquet", `('t', 2, 7::bigint, null)`)
	table("sourceid=a/dt=2026-11-23/_temporary.parquet", `('t', 9, 9::bigint, 'x')`)
	table("_staged/sourceid=a/dt=2026-11-23/x.parquet", `('t', 9, 9::bigint, 'x')`)
	raw := func(name, text string, compress func(io.Writer) io.WriteCloser) {
		path := filepath.Join(dir, "raw", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		file, err := os.Create(path)
		require.NoError(t, err)
		z := compress(file)
		_, err = io.WriteString(z, text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, file.Close())
	}
	const strange = `{"a": 1.0,  "a":2e5 , "m":"\u00e9é"}`
	raw("sourceid=a/dt=2026-11-23/1-0.jsonl.zst", "{}\n"+strange+"\n  {\"b\": 1} \n", func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		require.NoError(t, err)
		return z
	})
	raw("sourceid=a/dt=2026-11-24/1-0.jsonl.gz", "{}\n", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })

	lake, err := ReadLake(t.Context(), dir, "t")
	require.NoError(t, err)
	require.Equal(t, 1, lake.Others)
	require.Len(t, lake.Rows, 3)
	require.Equal(t, Row{Count: 1, ID: "m0", SourceID: "a", Day: "2026-11-23"}, lake.Rows[Place{0, 0}])
	require.Equal(t, Row{Count: 1, SourceID: "b", Day: "2026-11-23"}, lake.Rows[Place{2, 7}])
	twice := lake.Rows[Place{0, 1}]
	require.Equal(t, 2, twice.Count)
	require.True(t, twice.otherDir)
	require.False(t, twice.otherID)
	require.Equal(t, map[Digest]int{
		digestOf([]byte("{}")): 2, digestOf([]byte(strange)): 1, digestOf([]byte("\n\n{\"b\":\r1}\n")): 1,
	}, lake.Raw)
}

func TestALakeThatIsNotThere(t *testing.T) {
	_, err := ReadLake(t.Context(), t.TempDir(), "t")
	require.ErrorIs(t, err, os.ErrNotExist)
}
