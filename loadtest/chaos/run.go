package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"weir/loadtest/chaos/record"
	"weir/loadtest/faults"
)

// Options of Run.
type Options struct {
	Weir  string // the binary under test
	Audit string // the weiraudit binary
	Dir   string // where everything of the run stands: logs, stores, the record
	Say   func(format string, args ...any)

	tamper func(lake string) error // for a test that the auditor notices; nil = not at all
}

// run is one scenario on its way.
type run struct {
	Scenario
	Options

	id      string
	record  string // folder
	world   *world
	proxies map[string]*faults.Proxy
	procs   *processes
	load    *load
	owners  *owners
	actor   *actor
	actions *record.Writer[record.Action]
	seen    *record.Writer[record.Seen]
	began   time.Time
}

// Run plays a scenario to its end and returns what came of it; an error means that it could not be played. Everything
// that it started has ended when it returns.
func Run(ctx context.Context, s Scenario, o Options) (result *Result, err error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	r := &run{Scenario: s, Options: o, id: "r" + time.Now().UTC().Format("150405"), record: filepath.Join(o.Dir, "record")}
	if r.world, err = newWorld(ctx, s.World, o.Dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.world.close()) }()
	if err := r.openProxies(); err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range r.proxies {
			err = errors.Join(err, p.Close())
		}
	}()
	return r.play(ctx)
}

func (r *run) openProxies() error {
	r.proxies = map[string]*faults.Proxy{}
	for name, url := range map[string]string{targetS3: r.world.s3URL, targetGlue: r.world.glueURL} {
		p, err := faults.New(url, r.Seed)
		if err != nil {
			return err
		}
		r.proxies[name] = p
	}
	return nil
}

func (r *run) play(ctx context.Context) (*Result, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if len(r.Cluster.Clock) > 0 {
		r.Say("building a weir whose clock can be set")
		var err error
		if r.procs.skewed, err = buildSkewed(ctx, r.Dir); err != nil {
			return nil, err
		}
	}
	admin, closeAdmin, err := newAdmin(r.world.brokers)
	if err != nil {
		return nil, err
	}
	defer closeAdmin()
	defer r.killAll()
	if err := r.procs.start(ctx); err != nil {
		return nil, err
	}
	if err := awaitShared(ctx, admin, r.Cluster); err != nil {
		return nil, err
	}
	r.Say("%d processes are ready", len(r.procs.list("")))

	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { watchObjects(watching, r.world.lake, r.seen) })
	watchers.Go(func() { r.owners.watch(watching, admin) })
	watchers.Go(func() { r.supervise(watching) })
	defer watchers.Wait()
	defer stopWatching()

	out := &Result{Scenario: r.Name, About: r.About, World: r.World, Seed: r.Seed, Started: r.began}
	if err := r.underLoad(ctx, out); err != nil {
		return nil, err
	}
	drainBegan := time.Now()
	drainErr := r.drain(ctx, func(ctx context.Context) error { return drained(ctx, admin) })
	out.Drain = SecondsOf(time.Since(drainBegan))
	stopWatching()
	watchers.Wait()
	stopErr := r.procs.stop(ctx)
	if err := errors.Join(r.actions.Close(), r.seen.Close()); err != nil {
		return nil, err
	}
	out.Ended = r.procs.endedByThemselves()
	if stopErr != nil {
		out.Ended = append(out.Ended, stopErr.Error())
	}
	if drainErr != nil {
		out.NotDrained = drainErr.Error()
	}
	if r.tamper != nil {
		if err := r.tamper(r.world.lake); err != nil {
			return nil, err
		}
	}
	if err := r.audit(ctx, out); err != nil {
		return nil, err
	}
	r.finish(out)
	return out, nil
}

// prepare makes everything that needs no process to run.
func (r *run) prepare() (err error) {
	var sources []string
	for i := range r.Load.Sources {
		sources = append(sources, fmt.Sprintf("source%d", i+1))
	}
	if r.procs, err = newProcesses(r.Weir, filepath.Join(r.Dir, "processes"), r.Cluster, r.world, r.proxies, sources); err != nil {
		return err
	}
	events, err := newEvents(r.id, r.Seed, r.Load.Pad)
	if err != nil {
		return err
	}
	r.load = &load{shape: r.Load, events: events, dir: r.record}
	if r.actions, err = record.NewActions(r.record); err != nil {
		return err
	}
	if r.seen, err = record.NewSeen(r.record); err != nil {
		return err
	}
	r.owners = newOwners()
	r.actor = &actor{
		world: r.world, procs: r.procs, proxies: r.proxies, actions: r.actions,
		rng: rand.New(rand.NewPCG(r.Seed, 3)), say: r.Say,
	}
	r.actor.listen()
	r.began = time.Now()
	return record.WriteRun(r.record, record.Run{
		ID: r.id, Scenario: r.Name, Brokers: r.world.brokers, Topic: topic, DeadLetterTopic: deadLetterTopic,
		Lake: r.world.lake, LakeURL: lakeURL, GlueURL: r.world.glueURL, Database: database,
	})
}

// underLoad sends and does, for the scenario's duration.
func (r *run) underLoad(ctx context.Context, out *Result) error {
	loading, stop := context.WithTimeout(ctx, r.Duration)
	defer stop()
	r.began = time.Now()
	out.Started = r.began
	if err := r.load.start(loading, r.procs.gateways(), r.world.brokers); err != nil {
		return err
	}
	err := r.actor.run(ctx, r.began, r.moments())
	var loadErr error
	out.Load, loadErr = r.load.wait()
	return errors.Join(err, loadErr)
}

// supervise starts again what ended by itself.
func (r *run) supervise(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.procs.mend(); err != nil {
				r.Say("%v", err)
			}
		}
	}
}

// drain waits until everything is in the table, as far as weir itself says.
func (r *run) drain(ctx context.Context, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.Must.Drain)
	defer cancel()
	var last error
	for {
		err := done(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", r.Must.Drain, last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// killAll ends what an error has left running.
func (r *run) killAll() {
	for _, m := range r.procs.list("") {
		if m.proc != nil && !m.proc.Ended() {
			r.procs.kill(m)
		}
	}
}

// audit lets the other program judge, and reads its verdict.
func (r *run) audit(ctx context.Context, out *Result) error {
	cmd := exec.CommandContext(ctx, r.Audit, "--json", r.record)
	var said strings.Builder
	cmd.Stderr = &said
	text, err := cmd.Output()
	var exit *exec.ExitError
	const found = 3
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != found) {
		return fmt.Errorf("run the auditor: %w\n%s", err, said.String())
	}
	if err := json.Unmarshal(text, &out.Verdict); err != nil {
		return fmt.Errorf("read the auditor's verdict: %w", err)
	}
	return os.WriteFile(filepath.Join(r.Dir, "verdict.json"), text, 0o644)
}
