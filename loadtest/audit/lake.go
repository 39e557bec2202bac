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
// of the S3 under test): dir/eventlogs/**.parquet and dir/raw/**.jsonl.{zst,gz}. topic is whose rows count.
func ReadLake(ctx context.Context, dir, topic string) (Lake, error) {
	lake := Lake{Rows: map[Place]Row{}, Raw: map[Digest]int{}}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return lake, fmt.Errorf("open DuckDB: %w", err)
	}
	defer func() { _ = db.Close() }() // nothing was written
	const rows = `select kafkatopic, kafkapartition, kafkaoffset, coalesce(messageid, ''), sourceid, dt, count(*)
		from read_parquet([%s], hive_partitioning = true, hive_types_autocast = false) group by all`
	err = eachRow(ctx, db, dir, "eventlogs", ".parquet", rows, func(scan func(...any) error) error {
		var place Place
		var found Row
		var of sql.NullString
		err := scan(&of, &place.Partition, &place.Offset, &found.ID, &found.SourceID, &found.Day, &found.Count)
		if of.String != topic {
			lake.Others += found.Count
		} else {
			lake.Rows[place] = lake.Rows[place].and(found)
		}
		return err
	})
	for ext, codec := range map[string]string{".jsonl.zst": "zstd", ".jsonl.gz": "gzip"} {
		raw := `select md5(json::varchar), count(*) from read_ndjson_objects([%s], compression = '` + codec + `', maximum_object_size = 33554432) group by all`
		if err == nil {
			err = eachRow(ctx, db, dir, "raw", ext, raw, lake.rawLine)
		}
	}
	return lake, err
}

func (l Lake) rawLine(scan func(...any) error) error {
	var text string
	var n int
	if err := scan(&text, &n); err != nil {
		return err
	}
	digest, err := parseDigest(text)
	l.Raw[digest] += n
	return err
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
	defer func() { _ = rows.Close() }() // Err says what there is to say
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return fmt.Errorf("read a row of %s: %w", table, err)
		}
	}
	return rows.Err()
}

// objects lists the visible objects as SQL string literals. Engines pass over names that begin with _ or a dot.
func objects(dir, ext string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".")
		if hidden && d.IsDir() && path != dir {
			return fs.SkipDir
		}
		if !hidden && !d.IsDir() && strings.HasSuffix(path, ext) {
			found = append(found, "'"+strings.ReplaceAll(path, "'", "''")+"'")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return found, nil
}
