//go:build duckdb

package columnar

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // a reader that shares no code with the writer
	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/lake"
)

// shared is one database for all tests, with one connection: opening one takes longer than reading a file.
var shared = sync.OnceValues(func() (*sql.DB, error) {
	db, err := sql.Open("duckdb", "")
	if err == nil {
		db.SetMaxOpenConns(1)
		_, err = db.Exec("set TimeZone='UTC'; set threads=1")
	}
	return db, err
})

func duck(t testing.TB, b []byte) (*sql.DB, string) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	db, err := shared()
	require.NoError(t, err)
	_, err = db.Exec("create or replace view e as select * from read_parquet('" + path + "')")
	require.NoError(t, err)
	return db, path
}

func TestDuckDBReadsEveryRow(t *testing.T) {
	b, want := write(t, Options{RowGroupRows: 1000}, mixed()...)
	readByDuckDB(t, b, want)
}

// readByDuckDB compares every row.
func readByDuckDB(t testing.TB, b []byte, want []row) {
	db, _ := duck(t, b)
	columns := ""
	for _, c := range columnsOfView(t, db) {
		expression := `"` + c.Name + `"`
		switch c.Type {
		case lake.Timestamp:
			expression = "epoch_us(" + expression + ")"
		case lake.Date:
			expression = "datediff('day', date '1970-01-01', " + expression + ")"
		}
		columns += `, "` + c.Name + `" := ` + expression
	}
	rows, err := db.Query("select to_json(struct_pack(" + columns[2:] + "))::varchar from e order by kafkaoffset")
	require.NoError(t, err)
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var text string
		require.NoError(t, rows.Scan(&text))
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		got = row(got).drop()
		require.Equal(t, asJSON(want[n]), got, n)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, len(want), n)
}

// columnsOfView are the table's own columns and those of the promoted ones that the file has.
func columnsOfView(t testing.TB, db *sql.DB) lake.Schema {
	columns := lake.EventLogs().Schema
	rows, err := db.Query("select column_name from (describe e)")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		if typ, ok := promotedTypes[name]; ok {
			columns = append(columns, lake.Column{Name: name, Type: typ})
		}
	}
	require.NoError(t, rows.Err())
	return columns
}

func TestDuckDBKnowsTheTypes(t *testing.T) {
	b, _ := write(t, Options{}, record(0, samples[0]), record(1, samples[1]))
	db, path := duck(t, b)
	for _, c := range lake.EventLogs().Schema {
		want := map[lake.Type]string{
			lake.String: "VARCHAR", lake.Timestamp: "TIMESTAMP WITH TIME ZONE", lake.MapStringString: "MAP(VARCHAR, VARCHAR)",
			lake.Int: "INTEGER", lake.BigInt: "BIGINT",
		}[c.Type]
		var got string
		var id int32
		require.NoError(t, db.QueryRow("select column_type from (describe e) where column_name = ?", c.Name).Scan(&got), c.Name)
		require.Equal(t, want, got, c.Name)
		require.NoError(t, db.QueryRow("select field_id from parquet_schema(?) where name = ?", path, c.Name).Scan(&id), c.Name)
		require.Equal(t, c.FieldID, id, c.Name)
	}
	for query, want := range map[string]string{
		"select context['ip'] from e where type = 'track'":                                       "1.2.3.4",
		"select properties['total']::decimal(9,2)::varchar from e where messageid = 'm1'":        "12.50",
		"select strftime(originaltimestamp, '%Y-%m-%d %H:%M:%S.%f') from e where messageid='m1'": "2026-11-23 10:00:00.123000",
		"select count(*)::varchar from e where properties['note'] is null and messageid = 'm1'":  "1",
		"select len(map_keys(properties))::varchar from e where messageid = 'm1'":                "3",
		"select count(*)::varchar from e where integrations is null":                             "1",
		"select count(*)::varchar from e where timestamp >= timestamptz '2026-11-23 00:00:00Z'":  "2",
	} {
		var got string
		require.NoError(t, db.QueryRow(query).Scan(&got), query)
		require.Equal(t, want, got, query)
	}
}

// Look-ups that may use the Bloom filter, the dictionary and the bounds find what is there.
func TestDuckDBFindsEveryMessage(t *testing.T) {
	var records []*event.Record
	for i, value := range corpus.Generate(5, 2000) {
		records = append(records, record(i, string(value)))
	}
	b, want := write(t, Options{RowGroupRows: 500}, records...)
	db, _ := duck(t, b)
	for i := 0; i < len(want); i += 37 {
		var offset int64
		require.NoError(t, db.QueryRow("select kafkaoffset from e where messageid = ?", want[i]["messageid"]).Scan(&offset))
		require.Equal(t, int64(i), offset)
	}
	var n int
	require.NoError(t, db.QueryRow("select count(*) from e where messageid = 'none such'").Scan(&n))
	require.Zero(t, n)
}
