//go:build duckdb && e2e

package question

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/ledger/sums"
)

// Shape of the lake that is put down without a pipeline: each file has some row groups and some megabytes.
const (
	lakeSources = 2
	lakeDays    = 4
	lakeRows    = 120_000
	lakeGroups  = 60_000
)

// lakeDay is the first of its days.
var lakeDay = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// putLake registers eventlogs and puts one file into each of its partitions, as the sink writes them. It returns what the
// catalog would add up of them.
func putLake(t *testing.T, w fleet.World) (known map[lake.Day][]sums.Sum) {
	t.Helper()
	known = map[lake.Day][]sums.Sum{}
	ctx := context.Background()
	store := storeOf(t, w)
	require.NoError(t, store.CreateBucket(ctx))
	catalog, err := glue.Open(ctx, glue.Config{Endpoint: w.GlueURL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret}, nil)
	require.NoError(t, err)
	table := lake.EventLogs()
	require.NoError(t, catalog.CreateDatabase(ctx, glue.Database{Name: "weir"}))
	require.NoError(t, catalog.CreateTable(ctx, glueTable(table)))
	chance := rand.New(rand.NewPCG(1, 2))
	for source := range lakeSources {
		for day := range lakeDays {
			p := lake.Partition{Table: table.Name, SourceID: fmt.Sprintf("source%d", source+1), Day: lake.DayOf(lakeDay.AddDate(0, 0, day))}
			body, sum := lakeFile(t, chance, table, p)
			known[p.Day] = append(known[p.Day], sum)
			require.NoError(t, store.PutFileIfAbsent(ctx, p.Dir(table)+"/0195-0.parquet", "application/vnd.apache.parquet", body))
			items, err := catalog.BatchCreatePartition(ctx, "weir", table.Name, []glue.Partition{{
				Values: []string{p.SourceID, p.Day.String()}, Location: fleet.LakeURL + "/" + p.Dir(table) + "/", Format: glueTable(table).Format,
			}})
			require.NoError(t, err)
			require.Empty(t, items)
		}
	}
	return known
}

// putLedger puts down what the catalog's ledger adds up, where weir query looks for it.
func putLedger(t *testing.T, w fleet.World, known map[lake.Day][]sums.Sum) {
	t.Helper()
	store := storeOf(t, w)
	for at, list := range known {
		var day sums.Day
		day.Apply(1, list)
		body, err := day.Encode()
		require.NoError(t, err)
		require.NoError(t, store.Put(t.Context(), lake.SumsKey("weir", at), body))
	}
}

func glueTable(table lake.Table) glue.Table {
	g := glue.Table{
		Database: "weir", Name: table.Name, Type: "EXTERNAL_TABLE", Location: fleet.LakeURL + "/" + table.Dir + "/",
		Parameters: map[string]string{"EXTERNAL": "TRUE", "classification": "parquet"},
		Format: glue.Format{
			Input:           "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
			Output:          "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
			Serde:           "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
			SerdeParameters: map[string]string{"serialization.format": "1"},
		},
	}
	for _, c := range table.Schema {
		g.Columns = append(g.Columns, glue.Column{Name: c.Name, Type: c.Type.Glue()})
	}
	for _, k := range lake.PartitionKeys() {
		g.PartitionKeys = append(g.PartitionKeys, glue.Column{Name: k, Type: "string"})
	}
	return g
}

func lakeFile(t *testing.T, chance *rand.Rand, table lake.Table, p lake.Partition) ([]byte, sums.Sum) {
	t.Helper()
	layout, err := columnar.NewLayout(table.Schema, columnar.Options{RowGroupRows: lakeGroups, PageRows: lakeGroups})
	require.NoError(t, err)
	var body bytes.Buffer
	file := layout.NewFile(&body)
	var view event.View
	at, err := time.Parse(time.DateOnly, p.Day.String())
	require.NoError(t, err)
	r := event.Record{Topic: fleet.Topic, Key: []byte(p.SourceID), Timestamp: at.Add(time.Hour)}
	for i := range lakeRows {
		r.Offset = int64(i)
		r.Value = fmt.Appendf(r.Value[:0], `{"type":%q,"event":"Order Completed","messageId":"%016x%016x","userId":"u%08x","timestamp":%q,`+
			`"context":{"ip":"10.0.%d.%d","page":{"url":"https://example.com/%x"}},"properties":{"revenue":%d.%02d,"token":"%016x"}}`,
			[]string{"track", "page", "identify"}[chance.IntN(3)], chance.Uint64(), chance.Uint64(), chance.Uint32(),
			at.Add(time.Duration(i)*2*time.Second).Format(time.RFC3339), chance.IntN(256), chance.IntN(256), chance.Uint32(),
			chance.IntN(1000), chance.IntN(100), chance.Uint64())
		require.Empty(t, view.Decode(&r))
		require.NoError(t, file.Append(&r, &view))
	}
	require.NoError(t, file.Close())
	sum := sums.Sum{Partition: p, Files: 1, Rows: file.Rows(), Bytes: int64(body.Len()), Columns: map[string]int64{}}
	for _, c := range file.ColumnBytes() {
		sum.Columns[c.Name] = c.Bytes
	}
	return body.Bytes(), sum
}

// weir runs a command of the program against the world, with env beside the world's own.
func weir(t *testing.T, w fleet.World, env []string, args ...string) (out, errs string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.Bin, args...)
	cmd.Dir = t.TempDir() // no weir dev is there
	cmd.Env = append(append(os.Environ(), w.Environment()...), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// estimatedIn is what weir query --estimate says without a fleet.
func estimatedIn(t *testing.T, w fleet.World, sql string) estimated {
	t.Helper()
	out, errs, err := weir(t, w, nil, "query", "--local", "--estimate", "--output", "json", "--lake", fleet.LakeURL, sql)
	require.NoError(t, err, errs)
	return total(t, out)
}
