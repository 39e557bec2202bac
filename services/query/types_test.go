package query

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngineType(t *testing.T) {
	for hive, want := range map[string]string{
		"string":                   "VARCHAR",
		"varchar(20)":              "VARCHAR",
		"INT":                      "INTEGER",
		"bigint":                   "BIGINT",
		"decimal(10,2)":            "DECIMAL(10,2)",
		"decimal":                  "DECIMAL",
		"timestamp":                "TIMESTAMP",
		"binary":                   "BLOB",
		"map<string,string>":       "MAP(VARCHAR, VARCHAR)",
		"map<string, array<int>>":  "MAP(VARCHAR, INTEGER[])",
		"array<array<double>>":     "DOUBLE[][]",
		"struct<a:int,b c:string>": `STRUCT("a" INTEGER, "b c" VARCHAR)`,
		"array<struct<a:decimal(3,1),m:map<string,date>>>": `STRUCT("a" DECIMAL(3,1), "m" MAP(VARCHAR, DATE))[]`,
	} {
		got, err := engineType(hive)
		require.NoError(t, err, hive)
		require.Equal(t, want, got, hive)
	}
	for _, hive := range []string{"", "uniontype<int>", "map<string>", "map<string,int", "array<>", "struct<a>", "struct<>", "int>", "string) FROM x"} {
		_, err := engineType(hive)
		require.Error(t, err, hive)
	}
}

func TestNamesAreQuoted(t *testing.T) {
	require.Equal(t, `"a""b"`, ident(`a"b`))
	require.Equal(t, `'it''s'`, literal("it's"))
}

func TestJSONKey(t *testing.T) {
	require.Equal(t, "anonymousId", jsonKey("anonymousid", nil))
	require.Equal(t, "type", jsonKey("type", nil))
	require.Equal(t, "AnonID", jsonKey("anonymousid", map[string]string{"mapping.anonymousid": "AnonID"}))
}

func TestReferences(t *testing.T) {
	_, err := references(`{"error":true,"error_type":"parser","error_message":"x"}`)
	require.ErrorIs(t, err, errSyntax)
	_, err = references(`{"error":true,"error_type":"not implemented","error_message":"Only SELECT"}`)
	require.ErrorContains(t, err, "only a query is answered")
	_, err = references(`{"error":false,"statements":[{},{}]}`)
	require.ErrorContains(t, err, "this is 2")
	named, err := references(`{"statements":[{"node":{"from":{"type":"BASE_TABLE","table_name":"EventLogs"},"x":[{"table_name":"\"b\""}]}}]}`)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"eventlogs": true, "b": true}, named)
}

func TestTouched(t *testing.T) {
	require.Equal(t, map[[2]int]bool{{0, 3}: true, {12, 34}: true},
		touched(`"Table": "memory.weir_plan.t0p3" … "memory.weir_plan.t12p34"… "weir_planXt1p1"`))
}
