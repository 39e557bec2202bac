// Package query answers SQL on the lake: with DuckDB in this process, or on Athena.
// What is read is what every other engine reads: tables, columns, partitions and
// places come from Glue, objects from a listing of those places, never from a pattern
// over files. Before anything is run, DuckDB's planner says which partitions and
// columns a query can touch, for both engines; that gives the price, the bound that is
// missing and the names that are not there. Nobody's SQL is rewritten. An engine only
// reads, the one here only the objects of those partitions; nothing is registered (the
// sink and the catalog do that). Owned by whoever owns the analysts' side of weir.
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

	"weir/pkg/athena"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/query/dialect"
	"weir/services/query/price"
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

// Config of a lake and of who answers for it. Where Athena, Glue and S3 are is the AWS
// SDK's own environment, unless AthenaAPI, Glue and S3 say it.
type Config struct {
	Lake      string          `name:"lake" default:"s3://weir/lake" help:"Where the lake is."`
	Database  string          `name:"database" default:"weir" help:"The Glue database."`
	CacheDir  string          `name:"cache-dir" help:"Where objects are kept that were read. Empty: the user's cache folder."`
	CacheSize settings.Bytes  `name:"cache-size" default:"10GiB" help:"Bound on cache-dir, and on what one query may read."`
	Memory    settings.Memory `name:"query-memory" default:"50%" help:"Memory of the engine, as a size or a share of what this process may use."`
	MaxRows   int             `name:"max-rows" default:"1000000" help:"An answer with more rows is an error."`
	Timeout   time.Duration   `name:"query-timeout" default:"10m" help:"A query that takes longer is cancelled."`
	Workgroup string          `name:"workgroup" default:"primary" help:"Athena's workgroup."`
	Results   string          `name:"results" placeholder:"s3://…" help:"Where Athena puts answers, if the workgroup does not say it."`
	Reuse     time.Duration   `name:"reuse" default:"0s" help:"Age up to which Athena may give an earlier answer to the same text again; 0s: never."`
	PerTB     float64         `name:"price-per-tb" default:"5" help:"Dollars that Athena asks for a terabyte read, in this region."`
	MaxCost   float64         `name:"max-cost" default:"1" help:"A query that may cost more dollars is refused, unless --yes; 0: none is."`

	Athena    bool          `kong:"-"` // Athena answers, not DuckDB
	AthenaAPI athena.Config `kong:"-"`

	LocalRoot string      `kong:"-"` // folder of the embedded S3's buckets: objects are read in place; "" = through S3
	Glue      glue.Config `kong:"-"`
	S3        s3.Config   `kong:"-"` // its Lake does not count
}

// DefaultConfig is what the defaults in the tags say.
func DefaultConfig() Config {
	return Config{
		Lake: "s3://weir/lake", Database: "weir", CacheSize: 10 * settings.GiB,
		Memory: settings.Memory{Percent: 50}, MaxRows: 1_000_000, Timeout: 10 * time.Minute,
		Workgroup: "primary", PerTB: price.DefaultPerTB, MaxCost: 1,
	}
}

// maxReuse is how old an answer may be that Athena gives again.
const maxReuse = 7 * 24 * time.Hour

func inS3(place string) bool {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(place, "s3://"), "/")
	return strings.HasPrefix(place, "s3://") && bucket != ""
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
	f.Check(c.Workgroup != "", "workgroup", "is empty")
	f.Check(c.Results == "" || inS3(c.Results), "results", "%q is no place in S3: want s3://bucket/folder/", c.Results)
	f.Check(c.Reuse >= 0 && c.Reuse <= maxReuse && c.Reuse%time.Minute == 0, "reuse", "%s: want whole minutes, at most %s", c.Reuse, maxReuse)
	f.Check(c.PerTB >= 0, "price-per-tb", "is less than nothing")
	f.Check(c.MaxCost >= 0, "max-cost", "is less than nothing")
	return f
}

// Lake is an open lake. It is safe for concurrent use; each query has an engine
// of its own.
type Lake struct {
	cfg    Config
	glue   *glue.Catalog
	stores stores
	cache  *cache         // nil: objects are read in place
	athena *athena.Client // nil: DuckDB answers
}

// Question is a query with what it is to be given and where its answer goes.
type Question struct {
	SQL    string
	Params []string // for its question marks: numbers, true, false and null as such, everything else as texts
	To     string   // Parquet files are written: to this new file, by Athena to this folder in S3; "" = the answer is rows
}

// Result is an answer and how it came about.
type Result struct {
	rows.Rows       // what Query collects
	Count       int // rows; 0 of an answer that Athena has written
	Read, Known int // partitions read, and registered, of the tables that the query names
	Files       int // objects read; 0 where Athena reads
	Notes       []string

	ID      string // Athena's, of the query; "" = DuckDB has answered
	Scanned int64  // bytes that Athena bills, before they are rounded
	Reused  bool   // the answer is that of an earlier query
}

// Open makes the clients; it sends nothing.
func Open(ctx context.Context, cfg Config) (*Lake, error) {
	catalog, err := glue.Open(ctx, cfg.Glue, nil)
	if err != nil {
		return nil, err
	}
	l := &Lake{cfg: cfg, glue: catalog, stores: newStores(cfg.S3)}
	if cfg.Athena {
		l.athena, err = athena.Open(ctx, cfg.AthenaAPI)
		return l, err
	}
	if err := available(); err != nil {
		return nil, err
	}
	if cfg.LocalRoot == "" {
		if l.cache, err = newCache(cfg.CacheDir, cfg.CacheSize); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Query answers one SELECT (or SHOW, DESCRIBE, SUMMARIZE, EXPLAIN of one) and keeps
// the answer.
func (l *Lake) Query(ctx context.Context, query string) (*Result, error) {
	plan, err := l.Plan(ctx, Question{SQL: query})
	if err != nil {
		return nil, err
	}
	var kept rows.Rows
	result, err := l.Answer(ctx, plan, &kept)
	if err != nil {
		return nil, err
	}
	result.Rows = kept
	return result, nil
}

// Answer runs a query that was planned. Rows go to sink as they come; where the answer
// is written as Parquet there are none. After an error the result holds what is known.
func (l *Lake) Answer(ctx context.Context, p *Plan, sink rows.Sink) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	result := &Result{Notes: p.Notes}
	result.Read, result.Known = p.partitions()
	if l.athena != nil {
		return result, l.ask(ctx, p, sink, result)
	}
	release, err := l.open(ctx, p.tables, result)
	if err != nil {
		return result, err
	}
	defer release()
	return result, l.answer(ctx, p, sink, result)
}

// answer runs the query over the files. The engine can open these and nothing
// else, and no statement can change that.
func (l *Lake) answer(ctx context.Context, p *Plan, sink rows.Sink, result *Result) (err error) {
	scratch, err := os.MkdirTemp("", "weir-query-")
	if err != nil {
		return fmt.Errorf("make a folder for what does not fit into memory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	var views, paths []string
	for _, t := range p.tables {
		views = append(views, t.viewSQL())
		for _, p := range t.partitions {
			paths = append(paths, p.files...)
		}
	}
	views = append(views, p.viewsSQL()...)
	part, err := newFile(p.question.To)
	if err != nil {
		return err
	}
	defer func() { err = part.end(err) }()
	if part.path != "" {
		paths = append(paths, part.path)
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
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if part.path != "" {
		result.Count, err = e.copyTo(ctx, p.sql, part.path)
	} else {
		result.Count, err = e.run(ctx, p.sql, l.cfg.MaxRows, sink)
	}
	return p.nearby(err)
}

// catalog is what Athena calls Glue's.
const catalog = "awsdatacatalog"

// common makes an engine that agrees with Athena on time, on functions and on the
// database's name, and asks nobody for extensions.
func common(database string) []string {
	return slices.Concat([]string{
		"SET autoinstall_known_extensions=false",
		"SET autoload_known_extensions=false",
		"SET TimeZone='UTC'",
		"ATTACH ':memory:' AS " + catalog,
		"CREATE SCHEMA IF NOT EXISTS " + catalog + "." + ident(database),
		"USE " + catalog + "." + ident(database),
	}, dialect.Settings(), dialect.Macros())
}
