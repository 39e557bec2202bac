//go:build duckdb

package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/duckdb/duckdb-go/v2"

	"weir/loadtest/corpus"
)

func init() {
	rows = append(rows, row{name: "encode/duckdb", events: 200_000, run: runDuckDB})
}

// runDuckDB reads the events as lines of JSON, with the columns given, and copies them to Parquet, on one thread.
func runDuckDB(ctx context.Context, c child) (int64, error) {
	in, out := filepath.Join(c.dir, "events.ndjson"), filepath.Join(c.dir, "events.parquet")
	if err := writeLines(in, corpus.Generate(corpusSeed, c.row.events)); err != nil {
		return 0, err
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "set threads=1"); err != nil {
		return 0, err
	}
	if err := c.meter.start(); err != nil {
		return 0, err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf(`copy (select * from read_json('%s', format='newline_delimited', columns={
		anonymousId: 'VARCHAR', messageId: 'VARCHAR', type: 'VARCHAR', userId: 'VARCHAR', event: 'VARCHAR', name: 'VARCHAR',
		category: 'VARCHAR', groupId: 'VARCHAR', previousId: 'VARCHAR', timestamp: 'TIMESTAMP', originalTimestamp: 'TIMESTAMP',
		sentAt: 'TIMESTAMP', receivedAt: 'TIMESTAMP', context: 'MAP(VARCHAR, VARCHAR)', traits: 'MAP(VARCHAR, VARCHAR)',
		properties: 'MAP(VARCHAR, VARCHAR)', integrations: 'MAP(VARCHAR, VARCHAR)'}))
		to '%s' (format parquet, codec zstd, compression_level 1, row_group_size %d)`, in, out, rowGroupRows))
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(out)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func writeLines(path string, lines [][]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for _, line := range lines {
		w.Write(line)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
