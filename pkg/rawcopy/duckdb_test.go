//go:build duckdb

package rawcopy

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // a reader that shares no code with the compressors
	"github.com/stretchr/testify/require"
)

// Frames and members that stand one behind the other are one file to a reader.
func TestDuckDBReadsAllFrames(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	require.NoError(t, err)
	defer db.Close()
	var values []string
	size, pads := 0, 0
	for i := range 3000 {
		values = append(values, fmt.Sprintf("{\"i\":%d,\n\"pad\":\"%s\"}", i, strings.Repeat("x", i%700)))
		size += len(values[i]) + 1
		pads += i % 700
	}
	require.Greater(t, size, 3*frameBytes)
	for codec, ext := range map[string]string{"zstd": ".jsonl.zst", "gzip": ".jsonl.gz"} {
		path := filepath.Join(t.TempDir(), "raw"+ext)
		require.NoError(t, os.WriteFile(path, write(t, codec, values...), 0o600))
		var n, sum, pad int
		query := fmt.Sprintf("select count(*), sum(i), sum(len(pad)) from read_json('%s', format='newline_delimited', columns={i: 'bigint', pad: 'varchar'})", path)
		require.NoError(t, db.QueryRow(query).Scan(&n, &sum, &pad), codec)
		require.Equal(t, 3000, n, codec)
		require.Equal(t, 3000*2999/2, sum, codec)
		require.Equal(t, pads, pad, codec)
	}
}
