package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
)

// child is what a row's process knows.
type child struct {
	row    row
	broker string
	dir    string // scratch
	meter  *meter
}

// meter reads the process's own counters between Start and the end of the row.
type meter struct {
	usage  syscall.Rusage
	memory runtime.MemStats
}

// start begins the count: what came before is set-up.
func (m *meter) start() error {
	runtime.ReadMemStats(&m.memory)
	return syscall.Getrusage(syscall.RUSAGE_SELF, &m.usage)
}

func (m *meter) result(name string, events int, bytes int64) (Result, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return Result{}, err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	micros := float64(cpuMicros(&usage)-cpuMicros(&m.usage)) / float64(events)
	return Result{
		Name: name, Micros: micros, PerSecond: 1e6 / micros, Bytes: float64(bytes) / float64(events),
		Allocations: float64(memory.Mallocs-m.memory.Mallocs) / float64(events),
		PeakRSS:     peakMiB(),
	}, nil
}

// peakMiB is this program's own highest resident size. The kernel's ru_maxrss would not do: it begins with that of the
// process which forked this one.
func peakMiB() float64 { return statusMiB("self", "VmHWM:") }

// statusMiB reads a size from the kernel's page of a process; 0 where there is none.
func statusMiB(pid, field string) float64 {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), field)
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib / 1024
}

func cpuMicros(u *syscall.Rusage) int64 {
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}

// beChild runs one row and prints its figures.
func beChild(ctx context.Context, name string) error {
	i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
	if i < 0 {
		return fmt.Errorf("no row %q", name)
	}
	c := child{row: rows[i], broker: os.Getenv("WEIRBENCH_BROKER"), dir: os.Getenv("WEIRBENCH_DIR"), meter: new(meter)}
	if err := c.meter.start(); err != nil {
		return err
	}
	stop, err := profile(os.Getenv("WEIRBENCH_PROFILES"), name)
	if err != nil {
		return err
	}
	bytes, err := c.row.run(ctx, c)
	stop()
	if err != nil {
		return err
	}
	result, err := c.meter.result(name, c.row.events, bytes)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// profile writes a CPU profile of the row into dir, if there is one.
func profile(dir, name string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".pprof"))
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write a profile: %w", err), f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}
