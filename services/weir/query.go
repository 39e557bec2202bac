package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"weir/pkg/settings"
	"weir/services/dev"
	"weir/services/query"
	"weir/services/query/rows"
	"weir/services/weir/internal/invoke"
)

// maxQuery bounds a query that is read from the standard input.
const maxQuery = 1 << 20

type queryCommand struct {
	SQL      string   `arg:"" optional:"" name:"sql" help:"The query. Without it the standard input is read."`
	Local    bool     `name:"local" help:"Answer from the lake that the AWS settings name, with DuckDB in this process."`
	Dir      string   `name:"dir" help:"Folder of the weir dev to ask, with DuckDB in this process. Empty: .weir, where there is one and not --local."`
	Param    []string `name:"param" sep:"none" help:"Value for a ? of the query, once for each, in their order: a number, true, false and null as such, everything else as text; what looks like a number and is text in quotes: \"'7'\"."`
	Output   string   `name:"output" enum:"table,csv,json,parquet" default:"table" help:"How the answer is printed: table, csv or json; or written: parquet. In json NaN, Infinity and -Infinity are texts, as in Athena's."`
	To       string   `name:"to" help:"Where parquet goes: a new file here, or, with Athena, an empty folder in S3."`
	Estimate bool     `name:"estimate" help:"Say what the query would read and cost on Athena, and do not run it."`
	Yes      bool     `name:"yes" help:"Run it even if it may cost more than max-cost."`

	query.Config `embed:""`
}

// Help is what people ask next.
func (*queryCommand) Help() string {
	return "Who answers: DuckDB on the folder of weir dev, if there is one; with --local DuckDB on the lake that the AWS settings name; else Athena. " +
		"All are given the same SQL, and all get the same checks before anything is read. What differs is listed in services/query/dialect/README.md."
}

// engine is who answers.
type engine uint8

const (
	onAthena engine = iota
	onLake          // DuckDB, on the lake that the AWS settings name
	onDev           // DuckDB, on the folder of a weir dev
)

func (c *queryCommand) engine() engine {
	switch {
	case c.Local:
		return onLake
	case c.Dir != "":
		return onDev
	}
	if _, err := dev.QueryConfig(devHere); !errors.Is(err, dev.ErrNoDirectory) {
		return onDev
	}
	return onAthena
}

func (c *queryCommand) Validate() []error {
	f := settings.Faults(c.Config.Validate())
	e := c.engine()
	if e != onAthena {
		f.AddErr("query", query.Available())
	}
	if e != onDev {
		f = append(f, lakeFaults()...)
	}
	f.Check((c.Output == "parquet") == (c.To != "") || c.Estimate, "to", "goes with --output parquet, which needs it")
	inS3 := strings.HasPrefix(c.To, "s3://")
	f.Check(c.To == "" || inS3 == (e == onAthena), "to", "%q: Athena writes into a folder in S3 (s3://…/), DuckDB a file on this machine", c.To)
	return f
}

func (c *queryCommand) run(ctx context.Context, std stdio) error {
	question, err := c.question(std.in)
	if err != nil {
		return err
	}
	cfg, err := c.where()
	if err != nil {
		return err
	}
	lake, err := query.Open(ctx, cfg)
	if err != nil {
		return err
	}
	plan, err := lake.Plan(ctx, query.Question{SQL: question, Params: c.Param, To: c.To})
	if err != nil {
		return err
	}
	for _, note := range plan.Notes {
		fmt.Fprintln(std.err, "note:", note)
	}
	if c.Estimate {
		return c.estimate(ctx, std, lake, plan)
	}
	if !c.Yes {
		if err := lake.Affordable(ctx, plan); err != nil {
			return err
		}
	}
	return c.answer(ctx, std, lake, plan)
}

func (c *queryCommand) answer(ctx context.Context, std stdio, lake *query.Lake, plan *query.Plan) error {
	out, err := rows.NewWriter(std.out, c.printed())
	if err != nil {
		return err
	}
	started := time.Now()
	result, err := lake.Answer(ctx, plan, out)
	if err != nil {
		return err
	}
	took := time.Since(started)
	if c.To == "" {
		if err := out.Close(); err != nil {
			return err
		}
	}
	fmt.Fprintln(std.err, c.summary(ctx, lake, plan, result, took))
	if len(plan.Tables()) == 0 {
		return nil
	}
	fresh, err := lake.Freshness(ctx, plan.Tables()...)
	if err != nil {
		fmt.Fprintln(std.err, "visible through: unknown:", err)
		return nil // the answer stands without it
	}
	for _, f := range fresh {
		fmt.Fprintln(std.err, f)
	}
	return nil
}

// summary is one line on how the answer came about and what it costs, or would.
func (c *queryCommand) summary(ctx context.Context, lake *query.Lake, plan *query.Plan, r *query.Result, took time.Duration) string {
	answer := fmt.Sprintf("%d rows in %.2f s", r.Count, took.Seconds())
	if c.To != "" {
		answer = fmt.Sprintf("%s written in %.2f s", c.To, took.Seconds())
	}
	read := fmt.Sprintf("%d of %d partitions read", r.Read, r.Known)
	if r.ID != "" {
		return fmt.Sprintf("%s; %s; %s", answer, read, lake.Cost(r))
	}
	line := fmt.Sprintf("%s; %s, %d objects", answer, read, r.Files)
	if e, err := lake.Estimate(ctx, plan); err == nil && !plan.Free() {
		line += "; on Athena " + e.String()
	}
	return line
}

func (c *queryCommand) estimate(ctx context.Context, std stdio, lake *query.Lake, plan *query.Plan) error {
	e, err := lake.Estimate(ctx, plan)
	if err != nil {
		return err
	}
	found := rows.New("table", "partitions", "registered", "objects", "bytes", "columns", "dollars", "basis")
	for _, t := range e.Tables {
		found.Add(t.Table, t.Partitions, t.Known, t.Objects, t.Bytes, columnsText(t.Columns), nil, string(t.Basis))
	}
	found.Add("total", nil, nil, e.Objects, e.Bytes, nil, json.Number(strconv.FormatFloat(e.Dollars, 'f', 6, 64)), string(e.Basis))
	return found.Write(std.out, c.printed())
}

func columnsText(columns []string) any {
	if columns == nil {
		return "all"
	}
	return strings.Join(columns, " ")
}

// printed is the form of what is printed, also where the answer itself is not.
func (c *queryCommand) printed() rows.Format {
	if c.Output == "parquet" {
		return rows.Table
	}
	return rows.Format(c.Output)
}

func (c *queryCommand) question(in io.Reader) (string, error) {
	if c.SQL != "" {
		return c.SQL, nil
	}
	text, err := io.ReadAll(io.LimitReader(in, maxQuery))
	if err != nil {
		return "", fmt.Errorf("read the query: %w", err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return "", fmt.Errorf("%w: there is no query, neither as an argument nor on the standard input", invoke.ErrUsage)
	}
	return string(text), nil
}

// where is the lake that is asked.
func (c *queryCommand) where() (query.Config, error) {
	cfg := c.Config
	switch c.engine() {
	case onLake:
		return cfg, nil
	case onAthena:
		cfg.Athena = true
		return cfg, nil
	}
	dir := c.Dir
	if dir == "" {
		dir = devHere
	}
	there, err := dev.QueryConfig(dir)
	if errors.Is(err, dev.ErrNoDirectory) {
		return query.Config{}, fmt.Errorf("%w: %w: name another with --dir, or ask the lake that the AWS settings name with --local", invoke.ErrUsage, err)
	}
	cfg.LocalRoot, cfg.Glue, cfg.S3 = there.LocalRoot, there.Glue, there.S3
	return cfg, err
}
