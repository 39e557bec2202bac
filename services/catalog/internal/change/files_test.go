package change

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/promote"
)

// The table of files is partitioned by day alone, and no promoted column of events gets into it.
func TestFilesSpec(t *testing.T) {
	l := NewLake(lake.Location{Bucket: "b", Prefix: "lake"})
	var list promote.List
	require.NoError(t, list.UnmarshalText([]byte("properties.n: bigint")))
	all, _, err := l.Promoted.Extend(list.Paths)
	require.NoError(t, err)
	l.Promoted = all
	s := l.FilesSpec("db")
	require.Equal(t, "weir_files", s.Name)
	require.Equal(t, "s3://b/lake/weir_files/db/", s.Location)
	require.Equal(t, []Column{{Name: "dt", Type: "string"}}, s.PartitionKeys)
	require.Equal(t, Column{Name: "column_bytes", Type: "map<string,bigint>"}, s.Columns[5])
	require.Len(t, s.Columns, len(lake.Files("db").Schema))
	require.Equal(t, SchemaHash(s.Columns), s.Parameters[ParamSchemaHash])
	p := l.FilesPartition("db", 20_000, 7)
	require.Equal(t, []string{"2024-10-04"}, p.Values)
	require.Equal(t, "s3://b/lake/weir_files_merged/db/dt=2024-10-04/00000000000000000007/", p.Location)
}
