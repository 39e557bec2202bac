package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"weir/services/catalog"
	"weir/services/dev/screen"
	"weir/services/query/rows"
)

// catalogs: the service is what runs when no other word follows.
type catalogs struct {
	Run        catalogCommand    `cmd:"" default:"withargs" help:"The service; run may be left out."`
	Tables     tablesCommand     `cmd:"" help:"The tables, views and columns that Glue holds."`
	Schema     schemaCommand     `cmd:"" help:"The columns of a table or view, where each comes from, and of a view what its values were."`
	Partitions partitionsCommand `cmd:"" help:"The lake partitions of a table that Glue holds."`
	History    historyCommand    `cmd:"" help:"What was published, by table and day: files, rows, bytes, times. The rows behind it are the table weir_files."`
	DDL        ddlCommand        `cmd:"" name:"ddl" help:"The statements with which tables and views over the lake are made by hand in Athena."`
	Register   registerCommand   `cmd:"" help:"Tell Glue of the partitions that a job of deploy/emr wrote; exit 3 where it holds one elsewhere."`
	Reconcile  reconcileCommand  `cmd:"" help:"Compare Glue with the lake's manifests and objects; exit 3 where they differ."`
	Repair     repairCommand     `cmd:"" help:"Let pass what stopped at the catalog's gate, and put back what Glue lacks, as far as the lake proves it, or a registry of columns that is lost, as far as Glue does; exit 3 where it does not."`
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
	found := rows.New("table", "column", "type", "partition_key", "location", "kind")
	for _, t := range tables {
		kind := "table"
		if t.View {
			kind = "view"
		}
		for _, col := range t.Columns {
			found.Add(t.Name, col.Name, col.Type, col.Partition, t.Location, kind)
		}
	}
	return found.Write(std.out, c.Output)
}

type schemaCommand struct {
	Table              string `arg:"" help:"The table or view, such as order_completed."`
	catalog.LookConfig `embed:""`
	devDir             `embed:""`
	output             `embed:""`
}

func (c *schemaCommand) Validate() []error { return append(c.LookConfig.Validate(), c.glueFaults()...) }

func (c *schemaCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	columns, err := catalog.Schema(ctx, c.LookConfig, c.Table)
	if err != nil {
		return err
	}
	found := rows.New("column", "type", "partition_key", "from", "comment", "values", "kinds")
	for _, col := range columns {
		var values any
		if col.Values >= 0 {
			values = col.Values
		}
		found.Add(col.Name, col.Type, col.Partition, text(col.From), text(col.Comment), values, text(col.Kinds))
	}
	return found.Write(std.out, c.Output)
}

type ddlCommand struct {
	Names              []string `arg:"" optional:"" help:"Tables and views. None: all."`
	catalog.LookConfig `embed:""`
	devDir             `embed:""`
}

func (c *ddlCommand) Validate() []error { return append(c.LookConfig.Validate(), c.glueFaults()...) }

func (c *ddlCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	statements, err := catalog.DDL(ctx, c.LookConfig, c.Names...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(std.out, statements)
	return err
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
		found.Add(text(p.SourceID), p.Day, p.Location)
	}
	return found.Write(std.out, c.Output)
}

type historyCommand struct {
	Table                 string `arg:"" optional:"" help:"The table, such as eventlogs. Without it: all."`
	catalog.HistoryConfig `embed:""`
	devDir                `embed:""`
	output                `embed:""`
}

func (c *historyCommand) Validate() []error {
	return append(c.HistoryConfig.Validate(), c.glueFaults()...)
}

func (c *historyCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	sums, err := catalog.History(ctx, c.HistoryConfig, c.Table)
	if err != nil {
		return err
	}
	found := rows.New("dt", "table", "sourceid", "files", "rows", "bytes", "first_receivedat", "last_receivedat", "first_flush", "last_flush")
	for _, s := range sums {
		found.Add(s.Partition.Day.String(), s.Partition.Table, text(s.Partition.SourceID), s.Files, s.Rows, s.Bytes,
			instant(s.MinTime), instant(s.MaxTime), instant(s.FirstFlush), instant(s.LastFlush))
	}
	return found.Write(std.out, c.Output)
}

// instant is a time as SQL writes it, UTC.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05.000")
}

// differs is what a command found that is not right: it exits as verify does.
type differs string

func (d differs) Error() string        { return string(d) }
func (d differs) Is(target error) bool { return target == errFound }

type reconcileCommand struct {
	catalog.ReconcileConfig `embed:""`

	devDir `embed:""`
	output `embed:""`
}

func (c *reconcileCommand) Validate() []error {
	return append(c.ReconcileConfig.Validate(), c.glueFaults()...)
}

func (c *reconcileCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	show := watch(std)
	c.Progress = func(text string) { show.Progress("%s", text) }
	report, err := catalog.Reconcile(ctx, c.ReconcileConfig)
	show.Done()
	if err != nil {
		return err
	}
	found := rows.New("difference", "table", "sourceid", "dt", "key", "why")
	for _, d := range report.Differences {
		found.Add(string(d.Kind), text(d.Table), text(d.Lake.SourceID), day(d), text(d.Key), d.Why)
	}
	if err := found.Write(std.out, c.Output); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%d objects, %d accepted flushes", report.Objects, report.Flushes)
	if report.Unjudged > 0 {
		fmt.Fprintf(std.err, ", %d objects older than the manifests that are left", report.Unjudged)
	}
	fmt.Fprintln(std.err)
	if report.OK() {
		return nil
	}
	total := 0
	for _, n := range report.Counts {
		total += n
	}
	return differs(fmt.Sprintf("%d differences, %d of them listed; weir catalog repair puts back what Glue lacks", total, len(report.Differences)))
}

func day(d catalog.Difference) any {
	if d.Lake.Table == "" {
		return nil
	}
	return d.Lake.Day.String()
}

// text is a value that may be absent.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func watch(std stdio) *screen.Screen {
	return screen.New(std.err, std.err == os.Stderr && isTerminal(os.Stderr))
}

type repairCommand struct {
	catalog.RepairConfig `embed:""`

	devDir `embed:""`
	output `embed:""`
}

func (c *repairCommand) Validate() []error {
	return append(c.RepairConfig.Validate(), c.glueFaults()...)
}

func (c *repairCommand) run(ctx context.Context, std stdio) error {
	addresses, err := c.point()
	if err != nil {
		return err
	}
	if addresses != nil {
		c.Kafka.Brokers = []string{addresses.Kafka}
	}
	show := watch(std)
	c.Progress = func(text string) { show.Progress("%s", text) }
	all, failed := catalog.Repair(ctx, c.RepairConfig)
	show.Done()
	found, refused := rows.New("what", "result", "was", "why"), 0
	for _, r := range all {
		found.Add(r.What, string(r.Result), r.Was, r.Why)
		if r.Result == catalog.Refused {
			refused++
		}
	}
	if failed == nil || len(all) > 0 {
		failed = errors.Join(found.Write(std.out, c.Output), failed)
	}
	if failed == nil && refused > 0 {
		return differs(fmt.Sprintf("%d of %d could not be repaired: they are as they were", refused, len(all)))
	}
	return failed
}
