//go:build duckdb

package replay

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // the engine that is not ours
)

// ReadTable reads one source's rows of eventlogs in the order of their Kafka offsets, straight from the
// Parquet files under lakeDir.
func ReadTable(ctx context.Context, lakeDir, source string) ([]Row, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	defer db.Close()
	texts := slices.Sorted(maps.Keys(textColumns))
	times := []string{"timestamp", "originaltimestamp", "sentat", "receivedat"}
	maps := append(slices.Clone(mapColumns), "rescued")
	var columns []string
	columns = append(columns, texts...)
	for _, c := range times {
		columns = append(columns, "epoch_ms("+c+")")
	}
	for _, c := range maps {
		columns = append(columns, "to_json("+c+")::varchar")
	}
	glob := filepath.Join(lakeDir, "eventlogs", "sourceid="+source, "*", "*.parquet")
	rows, err := db.QueryContext(ctx, fmt.Sprintf("select %s from read_parquet('%s', hive_partitioning=false) order by kafkapartition, kafkaoffset",
		strings.Join(columns, ", "), glob))
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", source, err)
	}
	defer rows.Close()
	var all []Row
	for rows.Next() {
		row, err := scanRow(rows, texts, times, maps)
		if err != nil {
			return nil, fmt.Errorf("read row %d of %s: %w", len(all), source, err)
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func scanRow(rows *sql.Rows, texts, times, mapNames []string) (Row, error) {
	row := Row{Text: map[string]*string{}, Times: map[string]*int64{}, Maps: map[string]map[string]string{}}
	text, clocks, objects := make([]*string, len(texts)), make([]*int64, len(times)), make([]*string, len(mapNames))
	var targets []any
	for i := range text {
		targets = append(targets, &text[i])
	}
	for i := range clocks {
		targets = append(targets, &clocks[i])
	}
	for i := range objects {
		targets = append(targets, &objects[i])
	}
	if err := rows.Scan(targets...); err != nil {
		return row, err
	}
	for i, c := range texts {
		row.Text[c] = text[i]
	}
	for i, c := range times {
		row.Times[c] = clocks[i]
	}
	for i, c := range mapNames {
		if objects[i] == nil {
			continue
		}
		entries := map[string]string{}
		if err := json.Unmarshal([]byte(*objects[i]), &entries); err != nil {
			return row, fmt.Errorf("decode %s: %w", c, err)
		}
		row.Maps[c] = entries
	}
	return row, nil
}
