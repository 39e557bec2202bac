package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/pkg/emr"
	"weir/pkg/settings"
	"weir/services/catalog"
	"weir/services/jobs"
	"weir/services/query/rows"
)

type jobCommands struct {
	Submit jobsSubmit `cmd:"" help:"Start a job on EMR; the same work is started once a day."`
	Run    jobsRun    `cmd:"" help:"Start a job and wait for its end; with --local by the Spark of this machine."`
	Status jobsStatus `cmd:"" help:"How far a run is; with --wait, until it has ended."`
	Logs   jobsLogs   `cmd:"" help:"What a run's driver said: its standard output, and its log as standard error."`
	List   jobsList   `cmd:"" help:"The runs, newest first."`
	Cancel jobsCancel `cmd:"" help:"End a run."`
}

// jobsEnds is the help of commands that wait.
const jobsEnds = "Ctrl-C ends the waiting and leaves the run alone; weir jobs cancel ends a run.\n\n" +
	"Exit codes: 0 it succeeded; 1 it failed, was cancelled, or goes on; 2 wrong usage; 3 it left partitions alone that hold objects of others, and did the rest"

type jobsSubmit struct {
	jobs.Config `embed:""`
	jobs.Work   `embed:""`
	jobs.How    `embed:""`
	Database    string `name:"database" default:"weir" help:"The Glue database that is told of what was written."`
	output      `embed:""`
}

// Help is what people ask next.
func (*jobsSubmit) Help() string {
	return "However often the same work is submitted for one day, there is one run of it; --attempt starts another. " +
		"The job's files are put into the lake first, as this version of weir has them."
}

func (c *jobsSubmit) Validate() []error {
	return append(append(append(c.Config.Validate(), c.Work.Validate(false)...), c.How.Validate(c.Config)...), lakeFaults()...)
}

func (c *jobsSubmit) run(ctx context.Context, std stdio) error {
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	run, err := all.Submit(ctx, c.Work, c.How)
	if err != nil {
		return err
	}
	if err := showRuns(std, c.Output, run); err != nil {
		return err
	}
	if run.State.Over() {
		fmt.Fprintf(std.err, "This work has had its run for %s; --attempt starts it once more.\n", run.Day)
		return judged(all.Judge(run))
	}
	fmt.Fprintf(std.err, "When it has succeeded:\n")
	hint(std, c.Work, c.Database)
	return nil
}

// showRuns prints runs as a table.
func showRuns(std stdio, form rows.Format, runs ...jobs.Run) error {
	found := rows.New("run", "job", "day", "state", "emr_state", "created", "ended", "reason")
	for _, r := range runs {
		found.Add(r.ID, text(r.Job), text(r.Day), text(string(r.State)), text(r.Said), instant(r.Created), instant(r.Ended), text(r.Reason))
	}
	return found.Write(std.out, form)
}

// hint prints the commands that tell the catalog of what was written.
func hint(std stdio, w jobs.Work, database string) {
	for _, line := range w.RegisterCommands(database) {
		fmt.Fprintln(std.err, " ", line)
	}
}

// judged makes exit code 3 of a job that left something alone.
func judged(err error) error {
	var failed *jobs.FailedError
	var local *jobs.LocalError
	if errors.As(err, &failed) && failed.Refused || errors.As(err, &local) && local.Refused() {
		return differs(err.Error())
	}
	return err
}

type jobsRun struct {
	Local       bool `name:"local" help:"Run it with the Spark of this machine: SPARK_HOME, or spark-submit on the PATH; it reads s3:// as s3a://."`
	jobs.Config `embed:""`
	jobs.Work   `embed:""`
	jobs.How    `embed:""`
	Database    string `name:"database" default:"weir" help:"The Glue database that is told of what was written."`
	Register    bool   `name:"register" help:"Tell the catalog of what was written, as weir catalog register does."`
	output      `embed:""`
}

// Help is what people ask next.
func (*jobsRun) Help() string { return jobsEnds }

func (c *jobsRun) Validate() []error {
	f := settings.Faults(c.Work.Validate(c.Local))
	if !c.Local {
		f = append(append(f, c.Config.Validate()...), c.How.Validate(c.Config)...)
	}
	if !c.Local || c.Register {
		f = append(f, lakeFaults()...)
	}
	if c.Register && len(f) == 0 { // most of a registration is the work, judged already
		for _, r := range c.registrations() {
			f = append(f, r.Validate()...)
		}
	}
	return f
}

func (c *jobsRun) registrations() (list []catalog.RegisterConfig) {
	for _, w := range c.Writes() {
		list = append(list, catalog.RegisterConfig{
			ReconcileConfig: catalog.ReconcileConfig{Lake: c.Lake, Database: c.Database},
			Table:           w.Table, Source: w.Sources, From: w.From, To: w.To,
		})
	}
	return list
}

// run registers also what a job has written that left partitions of others alone.
func (c *jobsRun) run(ctx context.Context, std stdio) error {
	end := c.perform(ctx, std)
	if end != nil && !errors.Is(end, errFound) {
		return end
	}
	if !c.Register {
		fmt.Fprintln(std.err, "The catalog is told of what was written by:")
		hint(std, c.Work, c.Database)
		return end
	}
	for _, r := range c.registrations() {
		command := registerCommand{RegisterConfig: r, output: c.output}
		if err := command.run(ctx, std); err != nil {
			return errors.Join(end, fmt.Errorf("tell the catalog of %s: %w", r.Table, err))
		}
	}
	return end
}

func (c *jobsRun) perform(ctx context.Context, std stdio) error {
	if c.Local {
		return judged(jobs.RunLocal(ctx, c.Work, std.out, std.err))
	}
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	run, err := all.Submit(ctx, c.Work, c.How)
	if err != nil {
		return err
	}
	return follow(ctx, std, all, run.ID, c.Output)
}

// follow waits for a run's end and prints it.
func follow(ctx context.Context, std stdio, all *jobs.Runs, id string, form rows.Format) error {
	show := watch(std)
	began := time.Now()
	run, err := all.Wait(ctx, id, func(r jobs.Run) {
		show.Progress("run %s: %s (%s), %s", r.ID, r.State, r.Said, time.Since(began).Round(time.Second))
	})
	show.Done()
	if err != nil {
		return err
	}
	if err := showRuns(std, form, run); err != nil {
		return err
	}
	return judged(all.Judge(run))
}

// oneRun is a run that is named.
type oneRun struct {
	Run         string `arg:"" name:"run" help:"Its id."`
	jobs.Config `embed:""`
}

func (c *oneRun) Validate() []error {
	f := settings.Faults(c.Config.Validate())
	f.Check(jobs.ValidRun(c.Run), "run", "%q is no id of a run", c.Run)
	if _, err := jobs.Open(context.Background(), c.Config); err != nil && len(f) == 0 {
		f = append(f, err)
	}
	return f
}

type jobsStatus struct {
	oneRun `embed:""`
	Wait   bool `name:"wait" help:"Wait until the run has ended."`
	output `embed:""`
}

// Help is what people ask next.
func (*jobsStatus) Help() string { return jobsEnds }

func (c *jobsStatus) run(ctx context.Context, std stdio) error {
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	if c.Wait {
		return follow(ctx, std, all, c.Run, c.Output)
	}
	run, err := all.Status(ctx, c.Run)
	if err != nil {
		return err
	}
	if err := showRuns(std, c.Output, run); err != nil {
		return err
	}
	return judged(all.Judge(run))
}

type jobsLogs struct {
	oneRun `embed:""`
}

func (c *jobsLogs) run(ctx context.Context, std stdio) error {
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	err = all.Logs(ctx, c.Run, std.out, std.err)
	if !errors.Is(err, jobs.ErrNoLogsYet) {
		return err
	}
	if run, look := all.Status(ctx, c.Run); look == nil {
		return fmt.Errorf("%w; the run is %s (%s)", err, run.State, run.Said)
	}
	return err
}

type jobsList struct {
	jobs.Config `embed:""`
	Limit       int  `name:"limit" default:"50" help:"At most so many."`
	All         bool `name:"all" help:"Also runs that weir did not start."`
	output      `embed:""`
}

func (c *jobsList) Validate() []error {
	f := settings.Faults(c.Config.Validate())
	f.Check(c.Limit >= 1 && c.Limit <= 10_000, "limit", "%d is not between 1 and 10000", c.Limit)
	if _, err := jobs.Open(context.Background(), c.Config); err != nil && len(f) == 0 {
		f = append(f, err)
	}
	return f
}

func (c *jobsList) run(ctx context.Context, std stdio) error {
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	found, err := all.List(ctx, c.Limit, c.All)
	if err != nil {
		return err
	}
	return showRuns(std, c.Output, found...)
}

type jobsCancel struct {
	oneRun `embed:""`
}

// run says so where there was nothing left to end.
func (c *jobsCancel) run(ctx context.Context, std stdio) error {
	all, err := jobs.Open(ctx, c.Config)
	if err != nil {
		return err
	}
	err = all.Cancel(ctx, c.Run)
	if errors.Is(err, emr.ErrInvalid) {
		if run, look := all.Status(ctx, c.Run); look == nil && run.State.Over() {
			fmt.Fprintf(std.err, "run %s is over already: %s\n", run.ID, run.State)
			return nil
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "run %s is told to end; weir jobs status --wait %s shows when it has\n", c.Run, c.Run)
	return nil
}
