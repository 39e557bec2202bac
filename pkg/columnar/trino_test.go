//go:build e2e

package columnar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
	"weir/pkg/embedded"
	"weir/pkg/glue"
	"weir/pkg/lake"
)

// Trino, whose engine Athena's is, finds in the files what Go put there, by the columns that Glue declares: every value, by
// its vectorized decoders and by the plain ones; and where conditions let it leave out row groups and pages, every row.
func TestTrino(t *testing.T) {
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	made, trino := startTrino(t)
	ask := func(t *testing.T, sql string) [][]any {
		rows, err := trino.Query(t.Context(), "weir", sql)
		require.NoError(t, err, trino.Tail())
		return rows
	}
	columns := enginesColumns()
	for _, vectorized := range []string{"true", "false"} {
		t.Run("vectorized="+vectorized, func(t *testing.T) {
			// A file is not taken whole for being small: the pages that are left are read one by one.
			trino.Session = "hive.parquet_small_file_threshold=0B,hive.parquet_vectorized_decoding_enabled=" + vectorized
			made.requireRows(t, trinoRows(t, columns, ask(t, trinoSelect(columns))))
			made.requireConditions(t, `"$path"`, ask)
		})
	}
}

// startTrino starts the server over an S3 that holds the table's files and a Glue that declares it.
func startTrino(t *testing.T) (files, *parts.Trino) {
	t.Helper()
	const bucket, access, secret = "weir", "dev", "dev-secret"
	s3, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: access, SecretKey: secret, Buckets: []string{bucket}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s3.Close() })
	dir := filepath.Join(s3.Root(), bucket, "table")
	require.NoError(t, os.Mkdir(dir, 0o755))
	made := enginesTable(t, dir)

	server, err := embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	o := parts.TrinoOptions{Dir: t.TempDir(), GlueURL: "http://" + server.Addr(), S3URL: "http://" + s3.Addr(), AccessKey: access, SecretKey: secret}
	catalog, err := glue.Open(t.Context(), glue.Config{Endpoint: o.GlueURL, Region: embedded.Region, AccessKey: access, SecretKey: secret}, nil)
	require.NoError(t, err)
	declare(t, catalog, "s3://"+bucket+"/table/")
	trino, err := parts.StartTrino(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	return made, trino
}

// declare makes the table in Glue over the folder at a location.
func declare(t *testing.T, catalog *glue.Catalog, location string) {
	t.Helper()
	table := glue.Table{
		Database: "weir", Name: "glue", Type: "EXTERNAL_TABLE", Location: location,
		Format: glue.Format{
			Input:  "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
			Output: "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
			Serde:  "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
		},
	}
	for _, c := range enginesColumns() {
		table.Columns = append(table.Columns, glue.Column{Name: c.Name, Type: c.Type.Glue()})
	}
	require.NoError(t, catalog.CreateDatabase(t.Context(), glue.Database{Name: table.Database}))
	require.NoError(t, catalog.CreateTable(t.Context(), table))
}

// trinoSelect asks for every row of the columns.
func trinoSelect(columns lake.Schema) string {
	shown := []string{`"$path"`}
	for _, c := range columns {
		shown = append(shown, `"`+c.Name+`"`)
	}
	return "select " + strings.Join(shown, ", ") + " from glue order by 1, kafkaoffset"
}

// trinoRows has the rows' values by column, times as microseconds and dates as days.
func trinoRows(t *testing.T, columns lake.Schema, rows [][]any) [][]any {
	t.Helper()
	for i, r := range rows {
		values := map[string]any{}
		for j, c := range columns {
			values[c.Name] = trinoValue(t, c.Type, r[1+j])
		}
		rows[i] = []any{r[0], withoutNulls(values)}
	}
	return rows
}

// trinoValue is a value as the table's JSON has it. Trino writes times and dates as text.
func trinoValue(t *testing.T, typ lake.Type, value any) any {
	t.Helper()
	text, ok := value.(string)
	if !ok || typ != lake.Timestamp && typ != lake.Date {
		return value
	}
	layout := map[lake.Type]string{lake.Timestamp: "2006-01-02 15:04:05.000", lake.Date: time.DateOnly}[typ]
	at, err := time.Parse(layout, text)
	require.NoError(t, err)
	if typ == lake.Date {
		return float64(at.Unix() / 86_400)
	}
	return float64(at.UnixMicro())
}
