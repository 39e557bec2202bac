// Weirformats measures what weir's Parquet is worth beside the JSON that it is made of: four questions, asked of the same
// events in each form by DuckDB and, where its parts can be had, by Trino. It writes a page and a picture into -out and prints
// the page. It needs Linux, which counts what is read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"weir/loadtest/formats"
)

type options struct {
	events, rounds int
	out, note      string
}

func main() {
	var o options
	flag.IntVar(&o.events, "events", 1_000_000, "how many events; each takes some 1.5 KB of temporary space")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each question is asked; the median counts")
	flag.StringVar(&o.out, "out", "bin/formats", "the folder of the page and the picture, which are named for the day and the revision")
	flag.StringVar(&o.note, "note", "", "what else the page is to say of the machine")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "weirformats:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context) (err error) {
	if o.events < 1 || o.rounds < 1 {
		return errors.New("-events and -rounds must be at least 1")
	}
	dir, err := os.MkdirTemp("", "weirformats-")
	if err != nil {
		return fmt.Errorf("make a folder for the lake: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	say(fmt.Sprintf("writing %d events in each form", o.events))
	l, err := formats.Lay(formats.LakeDir(dir), o.events, true)
	if err != nil {
		return err
	}
	r := formats.Run{Day: time.Now().UTC().Format(time.DateOnly), Revision: revision(ctx), Machine: o.machine(), Rounds: o.rounds, Lake: l}
	duckdb, err := formats.OpenDuckDB(l)
	if err != nil {
		return err
	}
	if err := o.measure(ctx, &r, duckdb); err != nil {
		return err
	}
	if absent := formats.TrinoThere(ctx); absent != nil {
		r.Absent = absent.Error()
	} else if err := o.trino(ctx, dir, &r); err != nil {
		return err
	}
	return o.write(r)
}

func (o options) trino(ctx context.Context, dir string, r *formats.Run) error {
	trino, err := formats.OpenTrino(ctx, dir, r.Lake)
	if err != nil {
		return err
	}
	defer trino.Close()
	return o.measure(ctx, r, trino)
}

func (o options) measure(ctx context.Context, r *formats.Run, e formats.Engine) error {
	figures, err := formats.Measure(ctx, r.Lake, e, o.rounds, say)
	r.Engines = append(r.Engines, formats.Measured{Engine: e.Name(), Figures: figures})
	return err
}

func (o options) write(r formats.Run) error {
	name := r.Day + "-" + r.Revision + "-formats"
	page := r.Markdown(name + ".svg")
	fmt.Print(page)
	err := errors.Join(
		os.MkdirAll(o.out, 0o755),
		os.WriteFile(filepath.Join(o.out, name+".md"), []byte(page), 0o644),
		os.WriteFile(filepath.Join(o.out, name+".svg"), []byte(r.Picture()), 0o644))
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	say("wrote " + filepath.Join(o.out, name+".md") + " and .svg")
	return nil
}

func (o options) machine() string {
	text := fmt.Sprintf("%s, %d CPUs", runtime.Version(), runtime.NumCPU())
	if o.note != "" {
		text += " " + o.note
	}
	return text
}

func revision(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=7", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func say(what string) { fmt.Fprintln(os.Stderr, what) }
