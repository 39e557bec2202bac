package catalog

import (
	"context"
	"errors"
	"fmt"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/prestoview"
	"weir/services/catalog/internal/change"
)

// TableInfo is a table or view as Glue holds it.
type TableInfo struct {
	Name          string       `json:"name"`
	View          bool         `json:"view,omitempty"`
	Location      string       `json:"location"`
	Columns       []ColumnInfo `json:"columns"`
	SchemaVersion string       `json:"schema_version,omitempty"` // "" for a table that weir did not make
}

// ColumnInfo is a column, or a partition key.
type ColumnInfo struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Comment   string `json:"comment,omitempty"`
	From      string `json:"from,omitempty"` // of a typed column: the map and the key in it
	Partition bool   `json:"partition,omitempty"`
}

// PartitionInfo is a partition as Glue holds it.
type PartitionInfo struct {
	SourceID string `json:"sourceid"` // "" in the table of files, which has no such key
	Day      string `json:"dt"`
	Location string `json:"location"`
}

// Tables lists the tables of the database.
func Tables(ctx context.Context, cfg Config) ([]TableInfo, error) {
	g, err := glue.Open(ctx, glue.Config{}, nil)
	if err != nil {
		return nil, err
	}
	var list []TableInfo
	for t, err := range g.Tables(ctx, cfg.Database) {
		if err != nil {
			return nil, err
		}
		list = append(list, TableInfo{
			Name: t.Name, View: t.Type == prestoview.TableType, Location: t.Location, SchemaVersion: t.Parameters[change.ParamSchemaVersion],
			Columns: append(columnInfos(t.Columns, false), columnInfos(t.PartitionKeys, true)...),
		})
	}
	return list, nil
}

// Partitions lists the partitions of a table.
func Partitions(ctx context.Context, cfg Config, table string) ([]PartitionInfo, error) {
	g, err := glue.Open(ctx, glue.Config{}, nil)
	if err != nil {
		return nil, err
	}
	var list []PartitionInfo
	for p, err := range g.Partitions(ctx, cfg.Database, table, glue.Filter{ExcludeColumns: true}) {
		if errors.Is(err, glue.ErrNotFound) {
			return nil, fmt.Errorf("there is no table %s.%s", cfg.Database, table)
		}
		if err != nil {
			return nil, err
		}
		if table == lake.FilesName && len(p.Values) == 1 {
			list = append(list, PartitionInfo{Day: p.Values[0], Location: p.Location})
			continue
		}
		if len(p.Values) != len(change.PartitionKeys()) {
			return nil, fmt.Errorf("table %s.%s has other partition keys than sourceid and dt", cfg.Database, table)
		}
		list = append(list, PartitionInfo{SourceID: p.Values[0], Day: p.Values[1], Location: p.Location})
	}
	if len(list) > 0 {
		return list, nil
	}
	if t, err := g.GetTable(ctx, cfg.Database, table); err == nil && t.Type == prestoview.TableType {
		return nil, fmt.Errorf("%s.%s is a view: it has the partitions of %s", cfg.Database, table, lake.EventLogsName)
	}
	return nil, nil
}

func columnInfos(cols []glue.Column, partition bool) []ColumnInfo {
	list := make([]ColumnInfo, 0, len(cols))
	for _, c := range cols {
		list = append(list, ColumnInfo{Name: c.Name, Type: c.Type, Comment: c.Comment, From: c.Parameters[change.ParamPath], Partition: partition})
	}
	return list
}
