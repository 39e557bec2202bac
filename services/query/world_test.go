//go:build duckdb && cgo

package query

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// The embedded S3 is one per process: each test has a bucket of its own.
var (
	testS3   *embedded.S3
	testGlue *embedded.Glue
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-query-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if testS3, err = embedded.StartS3(embedded.S3Options{Dir: filepath.Join(dir, "s3"), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret"}); err != nil {
		panic(err)
	}
	defer func() { _ = testS3.Close() }()
	if testGlue, err = embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"}); err != nil {
		panic(err)
	}
	defer func() { _ = testGlue.Close() }()
	return m.Run()
}

// world is one lake: a bucket, a database, and what a test puts there.
type world struct {
	t       *testing.T
	name    string // of bucket and database
	glue    *glue.Catalog
	store   *s3.Store
	catalog glue.Config
	objects s3.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{t: t, name: fmt.Sprintf("w%d", len(t.Name())) + fmt.Sprintf("%x", t.Name())[:20]}
	w.catalog = glue.Config{Endpoint: "http://" + testGlue.Addr(), Region: embedded.Region, AccessKey: "dev", SecretKey: "dev-secret"}
	w.objects = s3.Config{Endpoint: "http://" + testS3.Addr(), Region: embedded.Region, AccessKey: "dev", SecretKey: "dev-secret"}
	w.objects.Lake = lake.Location{Bucket: w.name, Prefix: "lake"}
	var err error
	w.glue, err = glue.Open(ctx, w.catalog, nil)
	require.NoError(t, err)
	w.store, err = s3.Open(ctx, w.objects, nil)
	require.NoError(t, err)
	require.NoError(t, w.store.CreateBucket(ctx))
	require.NoError(t, w.glue.CreateDatabase(ctx, glue.Database{Name: w.name}))
	return w
}

// lake opens the world as weir dev does (in place) or from afar (through a cache).
func (w *world) lake(change ...func(*Config)) *Lake {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.Lake, cfg.Database = "s3://"+w.name+"/lake", w.name
	cfg.Glue, cfg.S3 = w.catalog, w.objects
	cfg.LocalRoot = testS3.Root()
	for _, f := range change {
		f(&cfg)
	}
	require.Empty(w.t, cfg.Validate())
	l, err := Open(context.Background(), cfg)
	require.NoError(w.t, err)
	return l
}

// table registers one of weir's tables as the catalog does.
func (w *world) table(t lake.Table) {
	w.t.Helper()
	g := glue.Table{Database: w.name, Name: t.Name, Type: "EXTERNAL_TABLE", Location: "s3://" + w.name + "/lake/" + t.Dir + "/"}
	for _, c := range t.Schema {
		g.Columns = append(g.Columns, glue.Column{Name: c.Name, Type: c.Type.Glue()})
	}
	for _, k := range lake.PartitionKeys() {
		g.PartitionKeys = append(g.PartitionKeys, glue.Column{Name: k, Type: "string"})
	}
	g.Format.Serde = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
	if t.Format == lake.JSONLines {
		g.Format.Serde = "org.openx.data.jsonserde.JsonSerDe"
	}
	w.create(g)
}

func (w *world) create(g glue.Table) {
	w.t.Helper()
	require.NoError(w.t, w.glue.CreateTable(context.Background(), g))
}

func (w *world) partition(t lake.Table, source, dt string) {
	w.t.Helper()
	dir := t.Dir + "/sourceid=" + lake.EscapePathName(source) + "/dt=" + dt
	items, err := w.glue.BatchCreatePartition(context.Background(), w.name, t.Name, []glue.Partition{{
		Values: []string{source, dt}, Location: "s3://" + w.name + "/lake/" + dir + "/",
	}})
	require.NoError(w.t, err)
	require.Empty(w.t, items)
}

func (w *world) put(key string, body []byte) {
	w.t.Helper()
	require.NoError(w.t, w.store.Put(context.Background(), key, body))
}

// parquet makes a file of a SELECT, by the engine itself: columns and types are
// what the statement says.
func (w *world) parquet(key, query string) {
	w.t.Helper()
	ctx := context.Background()
	file := filepath.Join(w.t.TempDir(), "x.parquet")
	e, err := openEngine(ctx, "SET TimeZone='UTC'", "COPY ("+query+") TO "+literal(file))
	require.NoError(w.t, err)
	require.NoError(w.t, e.close())
	body, err := os.ReadFile(file)
	require.NoError(w.t, err)
	w.put(key, body)
}

func (w *world) ask(l *Lake, query string) [][]any {
	w.t.Helper()
	result, err := l.Query(context.Background(), query)
	require.NoError(w.t, err, query)
	return result.Values
}
