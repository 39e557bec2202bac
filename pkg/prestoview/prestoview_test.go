package prestoview

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestImports(t *testing.T) { puretest.Check(t, "weir/services") }

func TestRoundTrip(t *testing.T) {
	v := View{
		SQL: "SELECT 'a''<b>' AS \"x\"", Catalog: Catalog, Schema: "weir", Comment: "é",
		Columns: []Column{{Name: "x", Type: "varchar", Comment: "X"}},
	}
	got, err := Decode(v.Encode())
	require.NoError(t, err)
	require.Equal(t, v, got)
}

// As Athena wrote it.
func TestDecodeAthenas(t *testing.T) {
	v, err := Decode("/* Presto View: eyJvcmlnaW5hbFNxbCI6IlNFTEVDVCAxIGEiLCJjYXRhbG9nIjoiYXdzZGF0YWNhdGFsb2ciLCJzY2hlbWEiOiJkYiIsImNvbHVtbnMiOlt7Im5hbWUiOiJhIiwidHlwZSI6ImludGVnZXIifV19 */")
	require.NoError(t, err)
	require.Equal(t, View{SQL: "SELECT 1 a", Catalog: Catalog, Schema: "db", Columns: []Column{{Name: "a", Type: "integer"}}}, v)
	for text, why := range map[string]string{
		"SELECT 1":                "no view",
		"/* Presto View: !!! */":  "read the view",
		"/* Presto View: aaaa */": "read the view",
		"/* Presto View: e30= */": "no SQL",
	} {
		_, err := Decode(text)
		require.ErrorContains(t, err, why, text)
	}
}
