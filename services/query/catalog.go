package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/pkg/glue"
	"weir/pkg/prestoview"
)

// tables reads the database's tables and views. Those that this engine cannot read are
// left out, with a note for each.
func (l *Lake) tables(ctx context.Context) (found []table, views []virtual, notes []string, err error) {
	for t, err := range l.glue.Tables(ctx, l.cfg.Database) {
		if errors.Is(err, glue.ErrNotFound) {
			return nil, nil, nil, fmt.Errorf("database %s: %w", l.cfg.Database, ErrNoDatabase)
		}
		if err != nil {
			return nil, nil, nil, err
		}
		if t.Type == prestoview.TableType {
			v, err := virtualOf(t, l.cfg.Database)
			if err != nil {
				notes = append(notes, fmt.Sprintf("table %s is left out: %s", t.Name, err))
				continue
			}
			views = append(views, v)
			continue
		}
		shown, err := tableOf(t)
		if err != nil {
			notes = append(notes, fmt.Sprintf("table %s is left out: %s", t.Name, err))
			continue
		}
		found = append(found, shown)
	}
	return found, views, notes, nil
}

func tableOf(t glue.Table) (table, error) {
	shown := table{name: t.Name, location: t.Location}
	switch serde := t.Format.Serde; {
	case strings.EqualFold(t.Parameters["table_type"], "ICEBERG"):
		return table{}, errors.New("it is an Iceberg table")
	case strings.HasSuffix(serde, "ParquetHiveSerDe"):
		shown.format = parquetFiles
	case strings.HasSuffix(serde, "JsonSerDe"):
		shown.format = jsonLines
	default:
		return table{}, fmt.Errorf("its SerDe %q is neither Parquet nor JSON", serde)
	}
	var err error
	if shown.columns, err = columnsOf(t.Columns, t.Format.SerdeParameters); err != nil {
		return table{}, err
	}
	if len(shown.columns) == 0 {
		return table{}, errors.New("it has no columns")
	}
	shown.keys, err = columnsOf(t.PartitionKeys, nil)
	return shown, err
}

func columnsOf(declared []glue.Column, serde map[string]string) ([]column, error) {
	var columns []column
	for _, c := range declared {
		typ, err := engineType(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		columns = append(columns, column{name: c.Name, typ: typ, jsonKey: jsonKey(c.Name, serde)})
	}
	return columns, nil
}

// jsonKey is the key that a JSON table's column is read from. The SerDe folds
// letter case, DuckDB does not: the spelling comes from the SerDe's own
// "mapping." parameters, else from Segment's common fields.
func jsonKey(column string, serde map[string]string) string {
	if key := serde["mapping."+column]; key != "" {
		return key
	}
	common := []string{
		"anonymousId", "messageId", "userId", "originalTimestamp", "sentAt", "receivedAt", "groupId", "previousId",
	}
	if i := slices.IndexFunc(common, func(key string) bool { return strings.EqualFold(key, column) }); i >= 0 {
		return common[i]
	}
	return column
}

// partitions reads where a table's partitions are.
func (l *Lake) partitions(ctx context.Context, t *table) error {
	if len(t.keys) == 0 {
		t.partitions = []partition{{location: t.location}}
		return nil
	}
	t.partitions = nil // they may have been read for a planner that gave up
	for p, err := range l.glue.Partitions(ctx, l.cfg.Database, t.name, glue.Filter{ExcludeColumns: true}) {
		if err != nil {
			return err
		}
		if len(p.Values) != len(t.keys) {
			return fmt.Errorf("table %s: partition %v has %d values for %d keys", t.name, p.Values, len(p.Values), len(t.keys))
		}
		t.partitions = append(t.partitions, partition{values: p.Values, location: p.Location})
	}
	return nil
}
