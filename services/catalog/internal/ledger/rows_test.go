package ledger

import (
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

// What Glue says of the table is what stands in its objects.
func TestRowsHaveTheTablesColumns(t *testing.T) {
	types := map[lake.Type]string{
		lake.String: "STRING", lake.BigInt: "INT(64,true)", lake.Int: "INT(32,true)", lake.MapStringBigInt: "MAP",
		lake.Timestamp: "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)",
	}
	fields := parquet.SchemaOf(row{}).Fields()
	schema := lake.Files("db").Schema
	require.Len(t, fields, len(schema))
	for i, c := range schema {
		require.Equal(t, c.Name, fields[i].Name())
		require.Equal(t, types[c.Type], fields[i].Type().String(), c.Name)
	}
}
