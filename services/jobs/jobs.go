// Package jobs runs the Spark jobs of deploy/emr: in an application of EMR Serverless, on
// a cluster of EMR on EC2, or with the Spark of this machine. What runs are the files
// that this binary carries. Its invariant: however often the same work is submitted for
// one day, there is one run of it, or the error says that there may be another; waiting
// for a run never ends it. What to do next is decided by internal/course, what a job is
// told and what it writes by internal/spec; the catalog learns of it by its own command.
// Owned by whoever owns the analysts' side of weir.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	jobfiles "weir/deploy/emr"
	"weir/pkg/emr"
	"weir/services/jobs/internal/course"
	"weir/services/jobs/internal/spec"
)

// engine runs jobs: an application or a cluster.
type engine interface {
	Start(ctx context.Context, j emr.Job) (id string, err error)
	Look(ctx context.Context, id string) (emr.Run, error)
	List(ctx context.Context, next string) (emr.Page, error)
	Cancel(ctx context.Context, id string) error
}

// Runs are those of one application or cluster. It is safe for concurrent use.
type Runs struct {
	cfg    Config
	engine engine
	logs   func(ctx context.Context, id string) (string, error)
	files  fs.FS // the jobs' files
}

// Open makes the clients; it sends nothing.
func Open(ctx context.Context, cfg Config) (*Runs, error) {
	r := &Runs{cfg: cfg, files: jobfiles.Files()}
	if cfg.Cluster != "" {
		c, err := emr.OpenCluster(ctx, cfg.EMR, cfg.Cluster)
		if err != nil {
			return nil, err
		}
		r.engine, r.logs = c, c.Logs
		return r, nil
	}
	a, err := emr.OpenApplication(ctx, cfg.EMR, cfg.Application)
	if err != nil {
		return nil, err
	}
	r.engine, r.logs = a, a.Logs
	return r, nil
}

// Run is a run as EMR sees it, with what its name tells.
type Run struct {
	emr.Run
	Job, Day string // "" of one that weir did not start
}

func named(r emr.Run) Run {
	n, _ := spec.ParseRunName(r.Name)
	return Run{Run: r, Job: n.Job, Day: n.Day}
}

// Status asks how far a run is.
func (r *Runs) Status(ctx context.Context, id string) (Run, error) {
	seen, err := r.engine.Look(ctx, id)
	return named(seen), err
}

// Wait asks until the run has ended, and tells of each state that it sees. Whoever gives
// up waiting leaves the run alone.
func (r *Runs) Wait(ctx context.Context, id string, tell func(Run)) (Run, error) {
	var seen Run
	var last error
	w, e := course.Follow()
	for e.Op != course.None {
		in := course.Input{}
		switch e.Op {
		case course.Wait:
			in.Outcome = pause(ctx, e.Wait)
		case course.Look:
			now, err := r.engine.Look(ctx, id)
			in.Outcome, last = outcome(ctx, err), err
			if err == nil {
				seen, in.Over = named(now), now.State.Over()
				tell(seen)
			}
		}
		e = w.Step(in)
	}
	switch {
	case w.Over():
		return seen, nil
	case ctx.Err() != nil:
		return seen, fmt.Errorf("waiting ended, run %s goes on: wait again with weir jobs status %s --wait %s, or end it with weir jobs cancel", id, r.cfg.flag(), id)
	}
	return seen, fmt.Errorf("waiting ended, run %s goes on: ask again with weir jobs status %s --wait %s: %w", id, r.cfg.flag(), id, last)
}

// maxPages bounds how much of a list is looked through: EMR keeps 10,000 steps of a
// cluster, 50 to a page.
const maxPages = 250

// List gives up to limit runs, newest first; without all only those that weir started. Of
// an application with more runs they are those that EMR lists first.
func (r *Runs) List(ctx context.Context, limit int, all bool) (list []Run, err error) {
	defer func() { slices.SortStableFunc(list, func(a, b Run) int { return b.Created.Compare(a.Created) }) }()
	next := ""
	for range maxPages {
		p, err := r.engine.List(ctx, next)
		if err != nil {
			return list, err
		}
		for _, seen := range p.Runs {
			if run := named(seen); all || run.Job != "" {
				list = append(list, run)
			}
			if len(list) == limit {
				return list, nil
			}
		}
		if next = p.Next; next == "" {
			return list, nil
		}
	}
	return list, nil
}

// Cancel ends a run.
func (r *Runs) Cancel(ctx context.Context, id string) error { return r.engine.Cancel(ctx, id) }

// FailedError is a run that ended otherwise than well.
type FailedError struct {
	Run     Run
	Refused bool   // it left partitions of others alone, and did the rest
	Advice  string // whether it helps to run it again, and what to do
}

func (e *FailedError) Error() string {
	text := fmt.Sprintf("run %s of %s %s", e.Run.ID, e.Run.Job, e.Run.State)
	if e.Run.Reason != "" {
		text += ": " + e.Run.Reason
	}
	return text + "\n" + e.Advice
}

// Judge makes an error of a run that has ended otherwise than well; nil of any other.
func (r *Runs) Judge(run Run) error {
	logs := fmt.Sprintf("Its log: weir jobs logs %s %s. The same work once more today: the next --attempt.", r.cfg.flag(), run.ID)
	switch run.State {
	case emr.Failed:
		fate := spec.Judge(run.Reason)
		return &FailedError{Run: run, Refused: fate.Code == spec.Refused, Advice: fate.Advice + " " + logs}
	case emr.Cancelled:
		return &FailedError{Run: run, Advice: "Running it again does what is missing. " + logs}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) course.Outcome {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return course.Unwanted
	case <-t.C:
		return course.OK
	}
}

// outcome classes an error of a call.
func outcome(ctx context.Context, err error) course.Outcome {
	switch {
	case err == nil:
		return course.OK
	case ctx.Err() != nil:
		return course.Unwanted
	case errors.Is(err, emr.ErrThrottled):
		return course.Busy
	case errors.Is(err, emr.ErrUnavailable):
		return course.Lost
	}
	return course.Refused
}
