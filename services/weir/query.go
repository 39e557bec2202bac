package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"weir/pkg/settings"
	"weir/services/dev"
	"weir/services/query"
	"weir/services/weir/internal/invoke"
)

// maxQuery bounds a query that is read from the standard input.
const maxQuery = 1 << 20

type queryCommand struct {
	SQL   string `arg:"" optional:"" name:"sql" help:"The query. Without it the standard input is read."`
	Local bool   `name:"local" help:"Answer from the lake that the AWS settings name, with DuckDB in this process. Without it: from the lake of weir dev in dir."`
	Dir   string `name:"dir" default:".weir" help:"Folder of the weir dev to ask."`

	query.Config `embed:""`
	output       `embed:""`
}

func (c *queryCommand) Validate() []error {
	f := settings.Faults(c.Config.Validate())
	f.AddErr("query", query.Available())
	if c.Local {
		f = append(f, lakeFaults()...)
	}
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
	started := time.Now()
	result, err := lake.Query(ctx, question)
	if err != nil {
		return err
	}
	took := time.Since(started)
	if err := result.Write(std.out, c.Output); err != nil {
		return err
	}
	for _, note := range result.Notes {
		fmt.Fprintln(std.err, "note:", note)
	}
	fmt.Fprintf(std.err, "%d rows in %.2f s; %d of %d partitions read, %d objects\n",
		len(result.Values), took.Seconds(), result.Read, result.Known, result.Files)
	fresh, err := lake.Freshness(ctx)
	if err != nil {
		fmt.Fprintln(std.err, "visible through: unknown:", err)
		return nil // the answer stands without it
	}
	fmt.Fprintln(std.err, fresh)
	return nil
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
	if c.Local {
		return c.Config, nil
	}
	there, err := dev.QueryConfig(c.Dir)
	if errors.Is(err, dev.ErrNoDirectory) {
		return query.Config{}, fmt.Errorf("%w: %w: name one with --dir, or ask the lake that the AWS settings name with --local", invoke.ErrUsage, err)
	}
	cfg := c.Config
	cfg.LocalRoot, cfg.Glue, cfg.S3 = there.LocalRoot, there.Glue, there.S3
	return cfg, err
}
