package jobs

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	jobfiles "weir/deploy/emr"
)

// spark is a spark-submit that does what a script says.
func spark(t *testing.T, script string) {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "spark-submit"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("SPARK_HOME", home)
}

func TestALocalRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	spark(t, `for a in "$@"; do echo "$a"; done; echo noise >&2; ls "$(dirname "$5")"; head -1 "$5"`)
	var out, errs bytes.Buffer
	require.NoError(t, RunLocal(t.Context(), Work{Job: "json_to_parquet", Lake: "s3://b/lake", Layout: "weir", Codec: "zstd", SparkConf: []string{"spark.a=1"}}, &out, &errs))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	dir := filepath.Dir(lines[4])
	require.Equal(t, []string{
		"--py-files", dir + "/weirevent.py," + dir + "/weirlake.py", "--conf", "spark.a=1", dir + "/json_to_parquet.py",
		"--raw", "s3a://b/lake/raw", "--layout", "weir", "--lake", "s3a://b/lake", "--codec", "zstd",
	}, lines[:13])
	require.Subset(t, lines, []string{"json_to_parquet.py", "weirevent.py", "weirlake.py"})
	require.Contains(t, lines[len(lines)-1], "Raw JSON history into Parquet")
	require.Equal(t, "noise\n", errs.String())
	require.NoDirExists(t, dir)

	out.Reset()
	spark(t, `for a in "$@"; do echo "$a"; done`)
	require.NoError(t, RunLocal(t.Context(), Work{Job: "rollup_by_type", Lake: "/data/lake", Layout: "weir", Codec: "zstd"}, &out, &errs))
	require.Contains(t, out.String(), "--lake\nfile:///data/lake\n")
}

func TestLocalEnds(t *testing.T) {
	rollup := Work{Job: "rollup_by_type", Lake: "s3://b/lake", Layout: "weir", Codec: "zstd"}
	var local *LocalError
	for script, code := range map[string]int{"exit 3": 3, "exit 1": 1, "kill -9 $$": 137} {
		spark(t, script)
		require.ErrorAs(t, RunLocal(t.Context(), rollup, &bytes.Buffer{}, &bytes.Buffer{}), &local)
		require.Equal(t, code, local.Code)
		require.Equal(t, code == 3, local.Refused())
	}

	t.Setenv("SPARK_HOME", t.TempDir())
	require.ErrorIs(t, RunLocal(t.Context(), rollup, nil, nil), ErrNoSpark)
	t.Setenv("SPARK_HOME", "")
	t.Setenv("PATH", t.TempDir())
	require.ErrorIs(t, RunLocal(t.Context(), rollup, nil, nil), ErrNoSpark)
}

// A signal for weir is one for Spark, which has time to end well.
func TestALocalRunIsToldToEnd(t *testing.T) {
	spark(t, `ulimit -t 20; trap 'echo told; exit 143' TERM; echo ready; while :; do :; done`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := &waiter{want: "ready\n", then: cancel}
	err := RunLocal(ctx, Work{Job: "rollup_by_type", Lake: "s3://b/lake", Layout: "weir", Codec: "zstd"}, said, &bytes.Buffer{})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "ready\ntold\n", said.text.String())
}

// waiter calls then once it has read what it wants.
type waiter struct {
	text bytes.Buffer
	want string
	then func()
}

func (w *waiter) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if w.text.String() == w.want {
		w.then()
	}
	return n, err
}

// What a job is given beside its script is what the script imports, directly or not.
func TestModulesAreWhatScriptsImport(t *testing.T) {
	imports := regexp.MustCompile(`(?m)^(?:from|import) (weir\w+)`)
	for _, name := range Jobs() {
		job := Work{Job: name, Lake: "s3://b", Layout: "weir"}.spec()
		var needed []string
		for todo := []string{job.Script()}; len(todo) > 0; todo = todo[1:] {
			body, err := jobfiles.Files().ReadFile(todo[0])
			require.NoError(t, err)
			for _, m := range imports.FindAllStringSubmatch(string(body), -1) {
				if module := m[1] + ".py"; !slices.Contains(needed, module) {
					needed, todo = append(needed, module), append(todo, module)
				}
			}
		}
		require.ElementsMatch(t, needed, job.Modules(), name)
	}
}
