// Package query answers SQL on the lake in this process, with DuckDB. What is
// read is what every other engine reads: tables, columns, partitions and places
// come from Glue, objects from a listing of those places, never from a pattern
// over files; the answer to outside.md's query is the one that Athena gives.
// The engine only reads, and only the objects of the partitions that the query
// can touch. It writes nothing to the lake and registers nothing (the sink and
// the catalog do). Owned by whoever owns the analysts' side of weir.
package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/query/rows"
)

// ErrNoEngine says what to do with a binary that has no DuckDB in it.
var ErrNoEngine = errors.New("this binary was built without DuckDB: build it with `make build`, or CGO_ENABLED=1 go build -tags duckdb")

// ErrNoDatabase: nothing was flushed yet, or another database is meant.
var ErrNoDatabase = errors.New("no such database in Glue: the catalog creates it before the first flush becomes visible")

// ErrNoTable: the query names a table that Glue does not have (yet).
var ErrNoTable = errors.New("no such table in Glue")

// Available says whether this binary can answer: ErrNoEngine, or nil.
func Available() error { return available() }

// Config of the local engine. Where Glue and S3 are is the AWS SDK's own
// environment, unless Glue and S3 say it.
type Config struct {
	Lake      string          `name:"lake" default:"s3://weir/lake" help:"Where the lake is."`
	Database  string          `name:"database" default:"weir" help:"The Glue database."`
	CacheDir  string          `name:"cache-dir" help:"Where objects are kept that were read. Empty: the user's cache folder."`
	CacheSize settings.Bytes  `name:"cache-size" default:"10GiB" help:"Bound on cache-dir, and on what one query may read."`
	Memory    settings.Memory `name:"query-memory" default:"50%" help:"Memory of the engine, as a size or a share of what this process may use."`
	MaxRows   int             `name:"max-rows" default:"1000000" help:"An answer with more rows is an error."`
	Timeout   time.Duration   `name:"query-timeout" default:"10m" help:"A query that takes longer is an error."`

	LocalRoot string      `kong:"-"` // folder of the embedded S3's buckets: objects are read in place; "" = through S3
	Glue      glue.Config `kong:"-"`
	S3        s3.Config   `kong:"-"` // its Lake does not count
}

// DefaultConfig is what the defaults in the tags say.
func DefaultConfig() Config {
	return Config{
		Lake: "s3://weir/lake", Database: "weir", CacheSize: 10 * settings.GiB,
		Memory: settings.Memory{Percent: 50}, MaxRows: 1_000_000, Timeout: 10 * time.Minute,
	}
}

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	var f settings.Faults
	_, err := lake.ParseLocation(c.Lake)
	f.AddErr("lake", err)
	f.Check(c.Database != "", "database", "is empty")
	f.Check(c.CacheSize > 0, "cache-size", "must be larger than nothing")
	f.Check(c.Memory.Of(settings.MemoryLimit()) >= 64*settings.MiB, "query-memory", "DuckDB needs at least 64MiB")
	f.Check(c.MaxRows > 0, "max-rows", "must be at least 1")
	f.Check(c.Timeout > 0, "query-timeout", "must be longer than nothing")
	return f
}

// Lake is an open lake. It is safe for concurrent use; each query has an engine
// of its own.
type Lake struct {
	cfg    Config
	glue   *glue.Catalog
	stores stores
	cache  *cache // nil: objects are read in place
}

// Result is an answer and how it came about.
type Result struct {
	rows.Rows
	Read, Known int      // partitions read, and registered, of the tables that the query names
	Files       int      // objects read
	Notes       []string // what of the database cannot be read here, and why
}

// Open makes the clients; it sends nothing.
func Open(ctx context.Context, cfg Config) (*Lake, error) {
	if err := available(); err != nil {
		return nil, err
	}
	catalog, err := glue.Open(ctx, cfg.Glue, nil)
	if err != nil {
		return nil, err
	}
	l := &Lake{cfg: cfg, glue: catalog, stores: newStores(cfg.S3)}
	if cfg.LocalRoot == "" {
		if l.cache, err = newCache(cfg.CacheDir, cfg.CacheSize); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Query answers one SELECT (or SHOW, DESCRIBE, SUMMARIZE, EXPLAIN of one).
func (l *Lake) Query(ctx context.Context, query string) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	tables, notes, err := l.tables(ctx)
	if err != nil {
		return nil, err
	}
	result := &Result{Notes: notes}
	if err := l.narrow(ctx, query, tables, result); err != nil {
		return nil, err
	}
	release, err := l.open(ctx, tables, result)
	if err != nil {
		return nil, err
	}
	defer release()
	answer, err := l.answer(ctx, query, tables)
	if err != nil {
		return nil, err
	}
	result.Rows = *answer
	return result, nil
}

// narrow leaves each table those partitions that the query can touch.
func (l *Lake) narrow(ctx context.Context, query string, tables []table, result *Result) (err error) {
	planner, err := openEngine(ctx, slices.Concat(common(l.cfg.Database), []string{
		"SET enable_external_access=false",
		"CREATE SCHEMA " + planSchema,
		"SET disabled_optimizers='statistics_propagation'", // or the stand-ins' emptiness would count
	})...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, planner.close()) }()
	question := explainPrefix.ReplaceAllString(query, "")
	named, err := l.references(ctx, planner, question)
	if err != nil {
		return err
	}
	for i := range tables {
		if named[strings.ToLower(tables[i].name)] {
			if err := l.partitions(ctx, &tables[i]); err != nil {
				return err
			}
		}
		result.Known += len(tables[i].partitions)
		if err := planner.exec(ctx, slices.Concat([]string{"BEGIN"}, tables[i].planSQL(i), []string{"COMMIT"})...); err != nil {
			return err
		}
	}
	plan, ok, err := planner.explain(ctx, question)
	if err != nil {
		return err
	}
	if ok {
		keep(tables, touched(plan))
	}
	return nil
}

func (l *Lake) references(ctx context.Context, planner *engine, question string) (map[string]bool, error) {
	tree, err := planner.serialize(ctx, question)
	if err != nil {
		return nil, err
	}
	named, err := references(tree)
	if errors.Is(err, errSyntax) {
		if _, _, syntax := planner.explain(ctx, question); syntax != nil {
			return nil, syntax
		}
	}
	return named, err
}

func keep(tables []table, kept map[[2]int]bool) {
	for i := range tables {
		all := tables[i].partitions
		tables[i].partitions = nil
		for j, p := range all {
			if kept[[2]int{i, j}] {
				tables[i].partitions = append(tables[i].partitions, p)
			}
		}
	}
}

// answer runs the query over the files. The engine can open these and nothing
// else, and no statement can change that.
func (l *Lake) answer(ctx context.Context, query string, tables []table) (answer *rows.Rows, err error) {
	scratch, err := os.MkdirTemp("", "weir-query-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for what does not fit into memory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	var views, paths []string
	for _, t := range tables {
		views = append(views, t.viewSQL())
		for _, p := range t.partitions {
			paths = append(paths, p.files...)
		}
	}
	e, err := openEngine(ctx, slices.Concat(common(l.cfg.Database), []string{
		fmt.Sprintf("SET memory_limit='%dB'", l.cfg.Memory.Of(settings.MemoryLimit())),
		"SET temp_directory=" + literal(filepath.Join(scratch, "spill")),
		"SET allowed_directories=[" + literal(scratch) + "]",
		"SET allowed_paths=" + list(paths),
		"SET parquet_metadata_cache=true", // a view's making reads every footer, and then the query does
		"SET enable_external_access=false",
	}, views, []string{"SET lock_configuration=true"})...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	return e.run(ctx, query, l.cfg.MaxRows)
}

// common makes an engine that agrees with Athena on time, knows the database by
// its name, and asks nobody for extensions.
func common(database string) []string {
	return []string{
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET TimeZone='UTC'",
		"CREATE SCHEMA IF NOT EXISTS " + ident(database),
		"SET schema=" + literal(ident(database)),
	}
}
