package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"weir/pkg/emr"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/jobs/internal/course"
	"weir/services/jobs/internal/spec"
)

// filesWithin bounds the putting of a job's files, a few kilobytes; pkg/s3 would try for
// ever.
const filesWithin = 2 * time.Minute

// Submit starts a run of the work, or finds the one of the same work, day and attempt.
// An error says whether a run may have begun all the same; submitting again is safe in
// any case.
func (r *Runs) Submit(ctx context.Context, w Work, h How) (Run, error) {
	work, day := w.spec(), h.day(time.Now())
	where, err := r.put(ctx, work)
	if err != nil {
		return Run{}, err
	}
	token := work.Token(r.cfg.target(), day, h.Attempt)
	s := &submission{engine: r.engine, job: emr.Job{
		Name: work.RunName(day, token), Token: token, Script: where(work.Script()), Conf: w.SparkConf,
		Args: work.Args(func(place string) string { return place }), Role: h.Role, Logs: h.Logs, Timeout: h.Timeout,
	}}
	for _, m := range work.Modules() {
		s.job.Modules = append(s.job.Modules, where(m))
	}
	b, e := course.Begin(r.cfg.Cluster == "")
	for e.Op != course.None {
		e = b.Step(s.perform(ctx, e))
	}
	id, err := s.judge(&b, r.cfg)
	if err != nil {
		return Run{}, err
	}
	seen, err := r.engine.Look(ctx, id)
	if err != nil { // it stands; what is not known is how far it is
		return named(emr.Run{ID: id, Name: s.job.Name, State: emr.Waiting}), nil
	}
	return named(seen), nil
}

// put makes the job's files stand in the lake, and gives their addresses. Their key
// names what all files of this version hold, so that none is ever replaced.
func (r *Runs) put(ctx context.Context, work spec.Job) (where func(name string) string, err error) {
	at, err := lake.ParseLocation(work.Lake)
	if err != nil {
		return nil, err
	}
	cfg := r.cfg.S3
	cfg.Lake = at
	store, err := s3.Open(ctx, cfg, nil)
	if err != nil {
		return nil, err
	}
	version, err := fingerprint(r.files)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeoutCause(ctx, filesWithin, fmt.Errorf("S3 did not take them within %s; try again", filesWithin))
	defer cancel()
	for _, name := range append(work.Modules(), work.Script()) {
		body, err := fs.ReadFile(r.files, name)
		if err != nil {
			return nil, err
		}
		if err := putFile(within, store, lake.JobFileKey(version, name), body); err != nil {
			if within.Err() != nil && ctx.Err() == nil {
				err = context.Cause(within)
			}
			return nil, fmt.Errorf("put the job's files into %s: %w", at, err)
		}
	}
	return func(name string) string { return at.URL(lake.JobFileKey(version, name)) }, nil
}

func putFile(ctx context.Context, store *s3.Store, key string, body []byte) error {
	err := store.PutIfAbsent(ctx, key, body)
	if !errors.Is(err, s3.ErrExists) {
		return err
	}
	there, _, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(there, body) {
		return fmt.Errorf("%s was changed by somebody: delete it, then submit again", key)
	}
	return nil
}

// fingerprint is that of all files together.
func fingerprint(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(body), body)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}

// submission performs the effects of one beginning; one goroutine owns it.
type submission struct {
	engine engine
	job    emr.Job
	err    error // of the last call that did not do
}

func (s *submission) perform(ctx context.Context, e course.Effect) course.Input {
	in := course.Input{}
	var err error
	switch e.Op {
	case course.Wait:
		return course.Input{Outcome: pause(ctx, e.Wait)}
	case course.Find:
		in.Run, in.Younger, err = s.find(ctx)
	case course.Start:
		in.Run, err = s.engine.Start(ctx, s.job)
	case course.Cancel:
		err = s.engine.Cancel(ctx, e.Run)
	}
	if in.Outcome = outcome(ctx, err); err != nil {
		s.err = err
	}
	return in
}

// find looks for the runs with the job's name: the oldest in the order of the list, and
// the younger ones that have not ended.
func (s *submission) find(ctx context.Context) (oldest string, younger []string, err error) {
	var found []emr.Run
	next := ""
	for range maxPages {
		p, err := s.engine.List(ctx, next)
		if err != nil {
			return "", nil, err
		}
		for _, run := range p.Runs {
			if run.Name == s.job.Name {
				found = append(found, run)
			}
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if next != "" { // the oldest may be among those that were not looked at
		return "", nil, fmt.Errorf("look for a run of the same work: the list has more than %d pages", maxPages)
	}
	for i, run := range found {
		if i == len(found)-1 {
			oldest = run.ID
		} else if !run.State.Over() {
			younger = append(younger, run.ID)
		}
	}
	return oldest, younger, nil
}

// judge gives the run that stands, or says what it came to.
func (s *submission) judge(b *course.Beginning, c Config) (string, error) {
	end, run, extra, maybe := b.End()
	switch end {
	case course.Began, course.Stood:
		return run, nil
	case course.Twice:
		return "", fmt.Errorf("run %s of the same work stands already, and run %s, which began beside it, could not be cancelled: %w; end it with weir jobs cancel %s %s",
			run, extra, s.err, c.flag(), extra)
	case course.Unchecked:
		return "", fmt.Errorf("run %s began, and whether another of the same work did could not be looked at: %w; submit again to find out: nothing is started twice", run, s.err)
	}
	err := s.err
	if err == nil {
		err = errors.New("nobody waited for its answer")
	}
	if errors.Is(err, emr.ErrConflict) {
		err = fmt.Errorf("%w: this work has a run for the day already, which was started with another role, other logs, settings of Spark or version of weir: "+
			"weir jobs list %s shows it, --attempt 2 starts the work once more", err, c.flag())
	}
	if maybe {
		return "", fmt.Errorf("%w; a run may have begun all the same: submit again, that finds it", err)
	}
	return "", err
}
