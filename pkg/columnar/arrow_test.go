package columnar

import (
	"bytes"
	"context"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"
)

// readArrow reads every row by arrow-go.
func readArrow(t testing.TB, b []byte) []row {
	r, err := file.NewParquetReader(bytes.NewReader(b), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	require.NoError(t, err)
	defer r.Close()
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	table, err := fr.ReadTable(context.Background())
	require.NoError(t, err)
	defer table.Release()
	out := make([]row, table.NumRows())
	for i := range out {
		out[i] = row{}
	}
	for c := range int(table.NumCols()) {
		name, at := table.Schema().Field(c).Name, 0
		for _, chunk := range table.Column(c).Data().Chunks() {
			for i := range chunk.Len() {
				out[at][name] = arrowValue(t, chunk, i)
				at++
			}
		}
		require.Equal(t, len(out), at, name)
	}
	for i := range out {
		out[i].drop()
	}
	return out
}

func arrowValue(t testing.TB, a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.Int32:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	case *array.Date32:
		return int32(a.Value(i))
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.Map:
		e := entries{}
		from, to := a.ValueOffsets(i)
		keys, values := a.Keys().(*array.String), a.Items().(*array.String)
		for j := int(from); j < int(to); j++ {
			require.NotContains(t, e, keys.Value(j))
			e[keys.Value(j)] = nil
			if !values.IsNull(j) {
				v := values.Value(j)
				e[keys.Value(j)] = &v
			}
		}
		return e
	}
	require.FailNow(t, "a column of an unknown type", a.DataType())
	return nil
}
