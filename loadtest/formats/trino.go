package formats

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"weir/loadtest/parts"
	"weir/pkg/glue"
	"weir/pkg/lake"
)

// Below a folder of ours: where versitygw keeps its bucket, and so where a lake must be laid out that Trino is to read.
const (
	bucket   = "weir"
	location = "s3://" + bucket + "/lake"
	user     = "dev"
	secret   = "dev-secret"
)

// LakeDir is where in a folder of ours the lake belongs.
func LakeDir(dir string) string { return filepath.Join(dir, "s3", "data", bucket, "lake") }

// Trino is the engine that Athena's is, over an S3 and a Glue on loopback. It is told neither to read across gaps between
// columns nor to take small files whole, as it does for speed where chunks are below a megabyte: a lake as large as those that
// cost money has few such, and what is read here is to grow with it.
type Trino struct {
	server *parts.Trino
	stops  []func()
}

// TrinoThere says nil where all of Trino's parts can be had, and fetches them.
func TrinoThere(ctx context.Context) error {
	_, moto := parts.FetchMoto(ctx)
	_, versitygw := parts.FetchVersitygw(ctx)
	_, trino := parts.FetchTrino(ctx)
	return errors.Join(moto, versitygw, trino)
}

// OpenTrino starts the servers over the lake in LakeDir(dir). Close ends them.
func OpenTrino(ctx context.Context, dir string, l *Lake) (t *Trino, err error) {
	t = new(Trino)
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	store, err := parts.StartVersitygw(ctx, filepath.Join(dir, "s3"), user, secret, bucket)
	if err != nil {
		return t, err
	}
	t.stops = append(t.stops, store.Stop)
	moto, err := parts.StartMoto(ctx, filepath.Join(dir, "moto"))
	if err != nil {
		return t, err
	}
	t.stops = append(t.stops, moto.Stop)
	if err := register(ctx, moto.URL, l); err != nil {
		return t, fmt.Errorf("register the tables in moto's Glue: %w", err)
	}
	t.server, err = parts.StartTrino(ctx, parts.TrinoOptions{
		Dir: filepath.Join(dir, "trino"), GlueURL: moto.URL, S3URL: store.URL, AccessKey: user, SecretKey: secret,
		Hive: "parquet.max-merge-distance=0B\n",
	})
	if err != nil {
		return t, err
	}
	t.stops = append(t.stops, t.server.Stop)
	t.server.Session = "hive.parquet_small_file_threshold=0B"
	return t, t.warm(ctx)
}

// warm lets the JVM meet each reader, and each question of Parquet, for which it takes no time: what is measured is a server
// that runs for a while.
func (t *Trino) warm(ctx context.Context) error {
	for i, q := range Questions() {
		for _, way := range q.Ways {
			if i > 0 && way.Form != Parquet {
				continue
			}
			if _, err := t.Ask(ctx, way.SQL); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the servers.
func (t *Trino) Close() {
	for i := len(t.stops) - 1; i >= 0; i-- {
		t.stops[i]()
	}
}

// Name of the engine.
func (*Trino) Name() string { return "Trino " + parts.TrinoVersion }

// Ask gives the answer and what Trino says that it has read. It keeps no files and no pages between questions.
func (t *Trino) Ask(ctx context.Context, sql string) (Reading, error) {
	began := time.Now()
	rows, bytes, err := t.server.Measure(ctx, "weir", sql)
	r := Reading{Wall: time.Since(began), Bytes: bytes}
	for _, row := range rows {
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i] = shown(v)
		}
		r.Rows = append(r.Rows, texts)
	}
	return r, err
}

// register makes the tables as the catalog does: the Parquet table with its columns, JSON lines with OpenX's SerDe.
func register(ctx context.Context, url string, l *Lake) error {
	catalog, err := glue.Open(ctx, glue.Config{Endpoint: url, Region: "us-east-1", AccessKey: user, SecretKey: secret}, nil)
	if err != nil {
		return err
	}
	if err := catalog.CreateDatabase(ctx, glue.Database{Name: "weir"}); err != nil {
		return err
	}
	for i := range forms {
		table := tableOf(Form(i), l)
		if err := catalog.CreateTable(ctx, table); err != nil {
			return err
		}
		var all []glue.Partition
		for _, at := range l.Places {
			place := table.Location + at.Dir(lake.Table{})[1:] + "/"
			all = append(all, glue.Partition{Values: []string{at.SourceID, at.Day.String()}, Location: place, Format: table.Format})
		}
		refused, err := catalog.BatchCreatePartition(ctx, "weir", table.Name, all)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			return fmt.Errorf("partitions of %s are refused: %v", table.Name, refused)
		}
	}
	return nil
}

func tableOf(f Form, l *Lake) glue.Table {
	t := glue.Table{
		Database: "weir", Name: forms[f].table, Type: "EXTERNAL_TABLE", Location: location + "/" + forms[f].dir + "/",
		Parameters: map[string]string{"EXTERNAL": "TRUE", "classification": "parquet"},
		Format: glue.Format{
			Input:           "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
			Output:          "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
			Serde:           "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
			SerdeParameters: map[string]string{"serialization.format": "1"},
		},
	}
	columns := l.Columns
	if f != Parquet {
		columns = lake.EventLogsRaw("gzip").Schema
		t.Parameters["classification"] = "json"
		t.Format = glue.Format{
			Input:           "org.apache.hadoop.mapred.TextInputFormat",
			Output:          "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
			Serde:           "org.openx.data.jsonserde.JsonSerDe",
			SerdeParameters: map[string]string{"serialization.format": "1", "case.insensitive": "TRUE", "ignore.malformed.json": "FALSE"},
		}
	}
	for _, c := range columns {
		t.Columns = append(t.Columns, glue.Column{Name: c.Name, Type: c.Type.Glue()})
	}
	for _, k := range lake.PartitionKeys() {
		t.PartitionKeys = append(t.PartitionKeys, glue.Column{Name: k, Type: "string"})
	}
	return t
}
