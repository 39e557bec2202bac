// Weirchaos plays a scenario: weir's services as processes under load, while they and what they stand on are killed,
// paused, restarted and given faults. It leaves a result and ends with 0 where everything held, 3 where something did
// not, 1 where the scenario could not be played, 2 on wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"weir/loadtest/chaos"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3
)

var errBroken = errors.New("a promise was broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var f options
	flag.StringVar(&f.world, "world", "", "embedded, kafka or kafka3; empty: as the scenario says")
	flag.Uint64Var(&f.seed, "seed", 0, "draws targets and moments; 0: as the scenario says")
	flag.DurationVar(&f.duration, "duration", 0, "of the load; 0: as the scenario says")
	flag.StringVar(&f.weir, "weir", "bin/weir", "the binary under test")
	flag.StringVar(&f.audit, "audit", "bin/weiraudit", "the auditor's binary")
	flag.StringVar(&f.dir, "dir", "", "where everything of the run stands; empty: a temporary folder that is kept where a promise was broken")
	flag.StringVar(&f.results, "results", "loadtest/results", "where the result is left; empty: nowhere")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: weirchaos [flags] scenario.yaml")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	switch err := f.play(ctx, flag.Arg(0)); {
	case errors.Is(err, errBroken):
		os.Exit(exitBroken)
	case err != nil:
		fmt.Fprintln(os.Stderr, "weirchaos:", err)
		os.Exit(exitFailed)
	}
}

type options struct {
	world, weir, audit, dir, results string
	seed                             uint64
	duration                         time.Duration
}

func (f options) play(ctx context.Context, path string) error {
	scenario, err := chaos.ReadScenario(path)
	if err != nil {
		return err
	}
	if err := scenario.Override(f.world, f.seed, f.duration); err != nil {
		return err
	}
	weir, err1 := filepath.Abs(f.weir)
	audit, err2 := filepath.Abs(f.audit)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	temporary := f.dir == ""
	if temporary {
		if f.dir, err = os.MkdirTemp("", "weirchaos-*"); err != nil {
			return err
		}
	}
	began := time.Now()
	result, err := chaos.Run(ctx, scenario, chaos.Options{Weir: weir, Audit: audit, Dir: f.dir, Say: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6.1fs "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}})
	if err != nil {
		return fmt.Errorf("%w\n(everything of the run stands in %s)", err, f.dir)
	}
	fmt.Print(result.Page())
	if f.results != "" {
		page, err := result.Write(f.results)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "written to", page)
	}
	if !result.Passed {
		fmt.Fprintln(os.Stderr, "everything of the run stands in", f.dir)
		return errBroken
	}
	if temporary {
		return os.RemoveAll(f.dir)
	}
	return nil
}
