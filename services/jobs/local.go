package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	jobfiles "weir/deploy/emr"
	"weir/services/jobs/internal/spec"
)

// ErrNoSpark: there is no Spark on this machine.
var ErrNoSpark = errors.New("there is no spark-submit here: set SPARK_HOME to a Spark 3.5, or put its bin folder on the PATH")

// endWithin is how long a Spark that was told to end may take.
const endWithin = 30 * time.Second

// LocalError is a job that ended with another code than 0.
type LocalError struct {
	Job  string
	Code int // of spark-submit; 128 and more: a signal
}

func (e *LocalError) Error() string {
	if e.Refused() {
		return fmt.Sprintf("%s left partitions alone that hold objects of others, and did the rest", e.Job)
	}
	return fmt.Sprintf("%s ended with exit code %d; run again it does what is missing", e.Job, e.Code)
}

// Refused: it left partitions of others alone, and did the rest.
func (e *LocalError) Refused() bool { return e.Code == spec.Refused }

// RunLocal runs the work with the Spark of this machine, whose settings are its own
// (SPARK_HOME, SPARK_CONF_DIR), and hands on what it says. When ctx ends, Spark is told
// to end. The job's files are in a temporary folder meanwhile.
func RunLocal(ctx context.Context, w Work, out, errs io.Writer) error {
	spark, err := sparkSubmit()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-job-")
	if err != nil {
		return fmt.Errorf("make a folder for the job's files: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.CopyFS(dir, jobfiles.Files()); err != nil {
		return fmt.Errorf("write the job's files: %w", err)
	}
	cmd := exec.CommandContext(ctx, spark, localArgs(dir, w)...)
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWithin
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s was ended: %w", w.Job, context.Cause(ctx))
	case !errors.As(err, &exit):
		return fmt.Errorf("run %s: %w", spark, err)
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return &LocalError{Job: w.Job, Code: code}
}

func sparkSubmit() (string, error) {
	if home := os.Getenv("SPARK_HOME"); home != "" {
		path := filepath.Join(home, "bin", "spark-submit")
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w (SPARK_HOME: %w)", ErrNoSpark, err)
		}
		return path, nil
	}
	path, err := exec.LookPath("spark-submit")
	if err != nil {
		return "", ErrNoSpark
	}
	return path, nil
}

func localArgs(dir string, w Work) []string {
	work := w.spec()
	modules := work.Modules()
	for i, m := range modules {
		modules[i] = filepath.Join(dir, m)
	}
	args := []string{"--py-files", strings.Join(modules, ",")}
	for _, conf := range w.SparkConf {
		args = append(args, "--conf", conf)
	}
	return append(append(args, filepath.Join(dir, work.Script())), work.Args(localPlace)...)
}

// localPlace is an address as a Spark that is not EMR's knows it.
func localPlace(place string) string {
	if rest, ok := strings.CutPrefix(place, "s3://"); ok {
		return "s3a://" + rest
	}
	return "file://" + place
}
