// Command weir is everything in one binary: each subcommand reads its settings,
// starts its service and waits for a signal.
//
//	flags, WEIR_…, --config ── invoke ── a command ── services/{gateway,sink,catalog,…}
//
// Its invariant is the exit code: 0 done, 1 failed, 2 wrong usage or settings with
// every fault listed and nothing started, 3 verify found loss or duplicates. It
// decides nothing of what a service does. Owned by whoever owns weir's outside.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"weir/services/weir/internal/invoke"
)

// version is the release, set when it is built.
var version string

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3
)

// errFound: verify did its work, and what it looked at is not right.
var errFound = errors.New("loss or duplicates found")

// stdio is where a command talks.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	terminal bool   // out is watched by somebody
	file     string // the settings file, for commands that look at settings
	settings []invoke.Setting
}

// command is what the grammar's structs can do.
type command interface {
	run(ctx context.Context, std stdio) error
}

func main() {
	ctx, stop := untilSignal()
	defer stop()
	os.Exit(run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: isTerminal(os.Stdout)}))
}

func run(ctx context.Context, args []string, std stdio) int {
	inv, err := invoke.Parse(&grammar{}, description, input(args, std.out))
	if err != nil {
		return report(std.err, "weir", err)
	}
	if inv.Command == "" {
		return exitDone // it was help
	}
	std.file, std.settings = inv.File, inv.Settings
	return report(std.err, "weir "+inv.Command, inv.Target.(command).run(ctx, std))
}

func input(args []string, out io.Writer) invoke.Input {
	return invoke.Input{Args: args, Env: os.LookupEnv, ReadFile: os.ReadFile, Stdout: out}
}

// report says what went wrong, once, and turns it into an exit code.
func report(w io.Writer, who string, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(w, "%s: %s\n", who, err)
	switch {
	case errors.Is(err, invoke.ErrUsage):
		return exitUsage
	case errors.Is(err, errFound):
		return exitFound
	}
	return exitFailed
}

// untilSignal gives a context that the first SIGTERM or SIGINT ends: services
// drain then. The second one ends the process at once.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
