//go:build duckdb

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the engine that is not ours

	"weir/loadtest/chaos/record"
)

// tableQuery asks for the mark too: a top-level key of the event that no column knows stands in rescued, as JSON text.
const tableQuery = `select filename, messageid, type, anonymousid, rescued['chaos']
	from read_parquet([%s], hive_partitioning=false, filename=true)`

// readLake reads the rows of the table, and lists the objects of both tables.
func readLake(ctx context.Context, run record.Run) (table []row, keys []string, err error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, nil, fmt.Errorf("open DuckDB: %w", err)
	}
	defer func() { _ = db.Close() }() // nothing was written
	files, err := objects(run.Lake, "eventlogs", ".parquet")
	if err != nil {
		return nil, nil, err
	}
	raw, err := objects(run.Lake, "raw", ".jsonl.zst")
	if err != nil || len(files) == 0 {
		return nil, raw, err
	}
	var quoted []string
	for _, key := range files {
		quoted = append(quoted, "'"+strings.ReplaceAll(filepath.Join(run.Lake, key), "'", "''")+"'")
	}
	rows, err := db.QueryContext(ctx, fmt.Sprintf(tableQuery, strings.Join(quoted, ", ")))
	if err != nil {
		return nil, nil, fmt.Errorf("read the table with DuckDB: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := readRow(run, rows)
		if err != nil {
			return nil, nil, err
		}
		table = append(table, r)
	}
	return table, append(files, raw...), rows.Err()
}

func readRow(run record.Run, rows *sql.Rows) (r row, err error) {
	var file string
	var id, typ, anonymous, text sql.NullString
	if err := rows.Scan(&file, &id, &typ, &anonymous, &text); err != nil {
		return r, fmt.Errorf("read a row of the table: %w", err)
	}
	if file, err = filepath.Rel(run.Lake, file); err != nil {
		return r, fmt.Errorf("find the key of an object: %w", err)
	}
	var mark record.Mark
	if text.String != "" && json.Unmarshal([]byte(text.String), &mark) != nil {
		mark = record.Mark{} // it does not add up
	}
	r.key, r.sum = filepath.ToSlash(file), mark.Sum
	r.id, r.ours = record.ParseID(run.ID, id.String)
	r.want = record.Sum(id.String, typ.String, anonymous.String, mark.Sched)
	return r, nil
}

// objects lists the keys of a table's visible objects.
func objects(lake, table, ext string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(filepath.Join(lake, table), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ext) {
			return err
		}
		key, err := filepath.Rel(lake, path)
		found = append(found, filepath.ToSlash(key))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the objects of %s: %w", table, err)
	}
	return found, nil
}
