// Package dev runs all of weir in one process, on the embedded parts.
//
//	curl, SDKs ── gateway ── Kafka ── sink ── S3 ── catalog ── Glue ── query
//	              :8080      :9092            :7070            :7071
//
// Its invariant is the services' own: whatever ends the process, the next start
// on the same directory goes on with every event once. It changes nothing of what
// the services do, it only starts them in the order of the data and stops them in
// it; the embedded parts are no servers for production. Owned by whoever owns the
// first five minutes with weir.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"weir/pkg/glue"
	"weir/pkg/s3"
	"weir/pkg/telemetry"
	"weir/services/dev/screen"
	"weir/services/query"
)

// Run starts everything, shows where it is, plays the demo if it is asked for,
// and goes on until ctx ends. terminal says that somebody watches out.
func Run(ctx context.Context, cfg Config, tel *telemetry.Telemetry, out io.Writer, terminal bool) (err error) {
	unlock, err := lockDir(cfg.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	d := &process{cfg: cfg.onLoopback(), tel: tel, out: screen.New(out, terminal), failed: make(chan error, 3)}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped from outside, which is no fault
		}
		return err
	}
	if err := d.addresses.write(cfg.Dir); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(cfg.Dir, addressesFile)) }()
	d.greet()
	if cfg.Demo {
		if err := d.demo(ctx); err != nil || cfg.Once {
			return err
		}
		d.out.Line("\nRunning until Ctrl-C. The lake stays in %s.", cfg.Dir)
	}
	select {
	case <-ctx.Done():
		d.out.Line("\nStopping: files are flushed first.")
		return nil
	case err := <-d.failed:
		return err
	}
}

// lockDir takes the directory for this process; the kernel gives it back however
// the process ends.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of weir dev (setting dir): %w", err)
	}
	path := filepath.Join(dir, "dev.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of weir dev (setting dir): %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		return nil, errors.Join(fmt.Errorf("weir dev runs on %s already (process %s): stop it, or take another folder with --dir",
			dir, strings.TrimSpace(string(holder))), f.Close())
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// greet shows the addresses and how to send a first event.
func (d *process) greet() {
	a := d.addresses
	d.out.Line("weir runs in this process, its state is in %s\n", d.cfg.Dir)
	for _, row := range [][2]string{
		{"gateway", "http://" + a.Gateway},
		{"kafka", a.Kafka + "  (topic weir.events, key = source id)"},
		{"s3", "http://" + a.S3 + "  (bucket weir, keys " + AccessKey + " / " + SecretKey + ")"},
		{"glue", "http://" + a.Glue + "  (database weir)"},
		{"admin", "http://" + a.Admin + "/metrics  /readyz  /debug/pprof"},
	} {
		d.out.Line("  %-9s %s", row[0], row[1])
	}
	d.out.Line("  %-9s %s  (source %s, in %s)", "write key", d.sender.WriteKey, d.sender.ID, filepath.Join(d.cfg.Dir, sourcesFile))
	d.out.Line("\nSend an event, and find it with SQL %s later:\n\n%s\n\n%s\n", d.cfg.FileAge+time.Second, curlLine(a.Gateway, d.sender), d.queryLine())
}

// curlLine sends one event when it is pasted into a shell.
func curlLine(gateway string, s sender) string {
	return "  curl -u " + s.WriteKey + `: -H 'Content-Type: application/json' -d '{"event":"Signed Up","userId":"u1","properties":{"plan":"pro"}}' http://` +
		gateway + "/v1/track"
}

func (d *process) queryLine() string {
	dir := ""
	if d.cfg.Dir != ".weir" {
		dir = " --dir " + d.cfg.Dir
	}
	program := os.Args[0]
	return "  " + program + " query" + dir + ` "select type, event, userid, timestamp from eventlogs order by timestamp desc limit 5"`
}

// demo plays until its answer, or until a service fails.
func (d *process) demo(ctx context.Context) error {
	cfg, err := queryConfig(d.cfg.Dir, d.addresses)
	if err != nil {
		return err
	}
	lake, err := query.Open(ctx, cfg)
	if err != nil {
		return err
	}
	run := &demo{
		cfg: d.cfg, gateway: d.addresses.Gateway, sender: d.sender, lake: lake, out: d.out,
		run:    time.Now().UTC().Format("20060102T150405.000"),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}},
	}
	defer run.client.CloseIdleConnections()
	playing, cancel := context.WithCancel(ctx)
	defer cancel()
	played := make(chan error, 1)
	go func() { played <- run.play(playing) }()
	select {
	case err := <-played:
		if err != nil && ctx.Err() != nil && !d.cfg.Once {
			return nil // stopped from outside, which is no fault
		}
		return err
	case err := <-d.failed:
		cancel()
		if ended := <-played; !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, ended)
		}
		return err
	}
}

// QueryConfig is how the lake of a running weir dev is queried.
func QueryConfig(dir string) (query.Config, error) {
	a, err := ReadAddresses(dir)
	if err != nil {
		return query.Config{}, err
	}
	return queryConfig(dir, a)
}

func queryConfig(dir string, a Addresses) (query.Config, error) {
	root, err := BucketRoot(dir)
	if err != nil {
		return query.Config{}, err
	}
	cfg := query.DefaultConfig()
	cfg.LocalRoot = root
	cfg.Glue = glue.Config{Endpoint: "http://" + a.Glue, Region: Region, AccessKey: AccessKey, SecretKey: SecretKey}
	cfg.S3 = s3.Config{Endpoint: "http://" + a.S3, Region: Region, AccessKey: AccessKey, SecretKey: SecretKey}
	return cfg, nil
}
