//go:build duckdb

package verify

import (
	"context"
	"database/sql"
	"fmt"

	_ "github.com/duckdb/duckdb-go/v2" // registers the driver
)

type duckDB struct{ db *sql.DB }

func openEngine() (engine, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	return duckDB{db}, nil
}

func (d duckDB) close() error { return d.db.Close() }

func (d duckDB) rows(ctx context.Context, path string, each func(topic string, partition int32, offset int64)) error {
	rows, err := d.db.QueryContext(ctx,
		`SELECT coalesce(kafkatopic, ''), coalesce(kafkapartition, -1), coalesce(kafkaoffset, -1) FROM read_parquet(?, hive_partitioning = false)`, path)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var topic string
	var partition int32
	var offset int64
	for rows.Next() {
		if err := rows.Scan(&topic, &partition, &offset); err != nil {
			return err
		}
		each(topic, partition, offset)
	}
	return rows.Err()
}
