// Package parts fetches and starts the real servers that weir is tested against: Apache Kafka, Trino, Spark, Hive,
// moto's Glue and a versitygw process. Everything comes through the ordinary clients of Maven, pip and Go,
// into one cache folder, once; nothing is installed on the machine. Each server runs on loopback, in a folder
// of its own, and ends with Stop. It does not know weir: tests and load tests wire the addresses.
package parts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CacheDir is where fetched servers are kept: WEIR_PARTS, else the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("WEIR_PARTS"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder for real servers: %w", err)
	}
	return filepath.Join(base, "weir", "parts"), nil
}

// Required reports whether E2E_REQUIRE (a comma list) names the part, so that its absence is a failure.
func Required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("E2E_REQUIRE"), ","), name)
}

// Need turns the error of a part that cannot be had into a skip that names it, or into a failure where
// E2E_REQUIRE asks for the part.
func Need(t testing.TB, name string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case Required(name):
		t.Fatalf("%s is required (E2E_REQUIRE) and cannot be had: %v", name, err)
	default:
		t.Skipf("skipped: part %s cannot be had: %v", name, err)
	}
}

// once fetches a part into dir unless a finished earlier fetch stands there. The work happens in a folder
// beside it that is renamed at the end, so that an interrupted fetch leaves nothing half-made.
func once(ctx context.Context, name string, fetch func(ctx context.Context, dir string) error) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := mkTemp(cache, name)
	if err != nil {
		return "", fmt.Errorf("make a folder for %s: %w", name, err)
	}
	defer os.RemoveAll(tmp)
	if err := fetch(ctx, tmp); err != nil {
		return "", fmt.Errorf("fetch %s: %w", name, err)
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	return dir, nil
}

func mkTemp(cache, name string) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(cache, name+".part-*")
}

// run executes one command to its end; its output is part of the error.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out))
	}
	return nil
}

// toEnd runs a job that may exit with any code, and returns what it printed, what it said besides, and the code; an error is
// one that kept it from ending by itself. What it started ends with it.
func toEnd(ctx context.Context, dir string, env, argv []string) (printed string, said []byte, code int, err error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), env...), "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0) {
		return "", nil, 0, fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, tail(faults.Bytes()))
	}
	return string(out), faults.Bytes(), cmd.ProcessState.ExitCode(), nil
}

func tail(out []byte) []byte {
	const most = 4 << 10
	if len(out) > most {
		return out[len(out)-most:]
	}
	return out
}

// FreePort finds a loopback port that nobody uses at this moment. It is below those that the kernel gives to
// connections: a server that is started again must find it free.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := 12_000 + rand.IntN(20_000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// Process is one running server. Its output goes to LogPath.
type Process struct {
	Name    string
	LogPath string

	cmd  *exec.Cmd
	done chan struct{} // closed once the process was reaped
	err  error         // how it ended; read after done
}

// StartProcess runs a server in its own process group, so that Stop ends what it started too.
func StartProcess(name, dir string, env []string, command string, args ...string) (*Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s's folder: %w", name, err)
	}
	p := &Process{Name: name, LogPath: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	logFile, err := os.OpenFile(p.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open %s's log: %w", name, err)
	}
	defer logFile.Close()
	p.cmd = exec.Command(command, args...)
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts and reaps the process on one thread of its own: Pdeathsig, which ends the server when a test
// binary dies, counts from the death of the thread that started it.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop asks the process to end, kills it after 20 s, and waits until it is gone.
func (p *Process) Stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.Kill()
	}
}

func (p *Process) signal(sig syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
	<-p.done
}

// Ended says whether the process is gone.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Tail returns the end of the server's output, for a failing test's message.
func (p *Process) Tail() string {
	out, err := os.ReadFile(p.LogPath)
	if err != nil {
		return err.Error()
	}
	return string(tail(out))
}

// Await polls ready until it is nil, the process ends or the time is up.
func (p *Process) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // not the answer that only says that the time is up
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %v\n%s", p.Name, p.err, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready after %s: %w\n%s", p.Name, limit, last, p.Tail())
		case <-tick.C:
		}
	}
}

// up waits for a server that was just started; one that does not come up is killed.
func (p *Process) up(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	err := p.Await(ctx, limit, ready)
	if err != nil {
		p.Kill()
	}
	return err
}

func getOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
