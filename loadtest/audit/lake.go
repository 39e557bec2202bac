//go:build duckdb

package audit

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the engine that is not ours
)

// ReadLake reads the table and the raw copy under a lake that stands as plain files in dir (the posix backend
// of the S3 under test): dir/eventlogs/**.parquet and dir/raw/**.jsonl.zst.
func ReadLake(ctx context.Context, dir string) (Lake, error) {
	lake := Lake{Rows: map[Place]int{}, Raw: map[string]int{}}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return lake, fmt.Errorf("open DuckDB: %w", err)
	}
	defer db.Close()
	const rows = `select kafkapartition, kafkaoffset, count(*) from read_parquet([%s], hive_partitioning=false) group by all`
	err = eachRow(ctx, db, dir, "eventlogs", ".parquet", rows, func(scan func(...any) error) error {
		var p Place
		var n int
		err := scan(&p.Partition, &p.Offset, &n)
		lake.Rows[p] += n
		return err
	})
	if err != nil {
		return lake, err
	}
	const raw = `select json->>'$.messageId', count(*) from read_ndjson_objects([%s], compression='zstd', maximum_object_size=33554432) group by all`
	err = eachRow(ctx, db, dir, "raw", ".jsonl.zst", raw, func(scan func(...any) error) error {
		var id sql.NullString
		var n int
		err := scan(&id, &n)
		lake.Raw[id.String] += n
		return err
	})
	return lake, err
}

// eachRow runs query over the files of one table, where there are any, and calls each per result row.
func eachRow(ctx context.Context, db *sql.DB, dir, table, ext, query string, each func(scan func(...any) error) error) error {
	files, err := objects(filepath.Join(dir, table), ext)
	if err != nil || len(files) == 0 {
		return err
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(query, strings.Join(files, ", ")))
	if err != nil {
		return fmt.Errorf("read %s with DuckDB: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return fmt.Errorf("read a row of %s: %w", table, err)
		}
	}
	return rows.Err()
}

// objects lists the visible objects as SQL string literals.
func objects(dir, ext string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ext) {
			found = append(found, "'"+strings.ReplaceAll(path, "'", "''")+"'")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return found, nil
}
