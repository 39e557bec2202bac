package follow

import (
	"maps"

	"weir/pkg/glue"
	"weir/services/catalog/internal/change"
)

func heldOf(t glue.Table) change.Table {
	return change.Table{
		Location: t.Location, Parameters: t.Parameters,
		Columns: columnsOf(t.Columns), PartitionKeys: columnsOf(t.PartitionKeys),
	}
}

func columnsOf(cols []glue.Column) []change.Column {
	out := make([]change.Column, len(cols))
	for i, c := range cols {
		out[i] = change.Column{Name: c.Name, Type: c.Type}
	}
	return out
}

// updated lays the update over the table as it was read: held columns keep their
// comments and parameters.
func updated(t glue.Table, u change.Update) glue.Table {
	cols := make([]glue.Column, len(u.Columns))
	for i, c := range u.Columns {
		if i < len(t.Columns) { // a merge keeps the order and appends
			cols[i] = t.Columns[i]
			cols[i].Name, cols[i].Type = c.Name, c.Type
		} else {
			cols[i] = glueColumn(c)
		}
	}
	t.Columns = cols
	t.Parameters = maps.Clone(t.Parameters)
	if t.Parameters == nil {
		t.Parameters = make(map[string]string)
	}
	maps.Copy(t.Parameters, u.Parameters)
	return t
}

func newTable(database string, s change.Spec) (glue.Table, glue.PartitionIndex) {
	index := glue.PartitionIndex{Name: "weir"}
	for _, k := range s.PartitionKeys {
		index.Keys = append(index.Keys, k.Name)
	}
	return glue.Table{
		Database: database, Name: s.Name, Type: "EXTERNAL_TABLE",
		Columns: glueColumns(s.Columns), PartitionKeys: glueColumns(s.PartitionKeys),
		Parameters: s.Parameters, Location: s.Location, Format: formatOf(s),
	}, index
}

// newPartition has no columns: the table's count, so that an engine never finds
// a partition's to disagree.
func newPartition(s change.Spec, p change.Partition) glue.Partition {
	return glue.Partition{Values: p.Values, Location: p.Location, Format: formatOf(s)}
}

func formatOf(s change.Spec) glue.Format {
	return glue.Format{Input: s.InputFormat, Output: s.OutputFormat, Serde: s.SerDe, SerdeParameters: s.SerDeParameters}
}

func glueColumns(cols []change.Column) []glue.Column {
	out := make([]glue.Column, len(cols))
	for i, c := range cols {
		out[i] = glueColumn(c)
	}
	return out
}

func glueColumn(c change.Column) glue.Column {
	column := glue.Column{Name: c.Name, Type: c.Type}
	if c.Path != "" {
		column.Parameters = map[string]string{change.ParamPath: c.Path}
	}
	return column
}
