package main

import (
	"context"

	"weir/services/catalog"
	"weir/services/query/rows"
)

// catalogs: the service is what runs when no other word follows.
type catalogs struct {
	Run        catalogCommand    `cmd:"" default:"withargs" help:"The service; run may be left out."`
	Tables     tablesCommand     `cmd:"" help:"The tables and columns that Glue holds."`
	Partitions partitionsCommand `cmd:"" help:"The lake partitions of a table that Glue holds."`
}

type tablesCommand struct {
	Database string `name:"database" default:"weir" help:"The Glue database."`
	devDir   `embed:""`
	output   `embed:""`
}

func (c *tablesCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	tables, err := catalog.Tables(ctx, catalog.Config{Database: c.Database})
	if err != nil {
		return err
	}
	found := rows.New("table", "column", "type", "partition_key", "location")
	for _, t := range tables {
		for _, col := range t.Columns {
			found.Add(t.Name, col.Name, col.Type, col.Partition, t.Location)
		}
	}
	return found.Write(std.out, c.Output)
}

type partitionsCommand struct {
	Table    string `arg:"" help:"The table, such as eventlogs."`
	Database string `name:"database" default:"weir" help:"The Glue database."`
	devDir   `embed:""`
	output   `embed:""`
}

func (c *partitionsCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	partitions, err := catalog.Partitions(ctx, catalog.Config{Database: c.Database}, c.Table)
	if err != nil {
		return err
	}
	found := rows.New("sourceid", "dt", "location")
	for _, p := range partitions {
		found.Add(p.SourceID, p.Day, p.Location)
	}
	return found.Write(std.out, c.Output)
}
