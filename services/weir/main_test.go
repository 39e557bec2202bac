package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// invokeWeir runs the program as a shell would, without the process.
func invokeWeir(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(context.Background(), args, stdio{in: strings.NewReader(stdin), out: &out, err: &errs})
	return code, out.String(), errs.String()
}

// clean keeps this machine's own settings out of a test, and gives it a folder.
func clean(t *testing.T) (dir string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "WEIR_") {
			t.Setenv(name, "")
		}
	}
	dir = t.TempDir()
	t.Chdir(dir)
	return dir
}

func TestEveryFaultAndExitTwo(t *testing.T) {
	dir := clean(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte("file-aeg: 7s\ntopic-partitions: 0\nkafka-sasl: magic\n"), 0o600))
	t.Setenv("WEIR_ACK_DEADLINE", "soon")
	code, out, errs := invokeWeir(t, "", "gateway", "--config", "weir.yaml", "--listen", "nowhere", "--max-body=2GiB", "--colour", "--admin", "x")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	for _, want := range []string{
		"unknown flag --colour",
		"weir.yaml:1: file-aeg is no setting, did you mean file-age?",
		"ack-deadline: ", "(WEIR_ACK_DEADLINE)",
		`listen: "nowhere" is not host:port`,
		"max-body: 2GiB is not between",
		"topic-partitions: 0 is not at least 1",
		"kafka-sasl: ",
		"sources: ",
		`admin: "x" is not host:port`,
	} {
		require.Contains(t, errs, want)
	}
}

func TestExitCodes(t *testing.T) {
	clean(t)
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{[]string{"--help"}, exitDone, ""},
		{[]string{"sink", "--help"}, exitDone, ""},
		{[]string{"version"}, exitDone, ""},
		{nil, exitUsage, "expected one of"},
		{[]string{"sinkk"}, exitUsage, "unexpected argument sinkk"},
		{[]string{"query", "--max-rows", "0", "select 1"}, exitUsage, "max-rows"},
		{[]string{"dev", "--once"}, exitUsage, "once: goes with demo only"},
		{[]string{"dev", "--kafka-addr", "9092"}, exitUsage, "kafka-addr"},
		{[]string{"catalog", "--database", "No Such"}, exitUsage, "database"},
		{[]string{"catalog", "tables", "--output", "xml"}, exitUsage, "output"},
		{[]string{"verify", "--dir", "nothing-here"}, exitFailed, "no directory of weir dev"},
	} {
		code, _, errs := invokeWeir(t, "", c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, errs)
		require.Contains(t, errs, c.errs, "%v", c.args)
	}
}

func TestSubcommandsHaveTheServicesSettings(t *testing.T) {
	clean(t)
	_, out, _ := invokeWeir(t, "", "catalog", "--help")
	require.Contains(t, out, "--flush-topic")
	require.Contains(t, out, "partitions")
	_, out, _ = invokeWeir(t, "", "sink", "--help")
	require.Contains(t, out, "--file-age")
	require.Contains(t, out, "$WEIR_FILE_AGE")
}

func TestConfigPrint(t *testing.T) {
	dir := clean(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "w.yaml"), []byte("file-age: 7s\n"), 0o600))
	t.Setenv("WEIR_GROUP", "mine")
	code, out, errs := invokeWeir(t, "", "--config", "w.yaml", "config", "print", "--output", "json", "sink", "--topic-partitions", "3")
	require.Equal(t, exitDone, code, errs)
	var lines []map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &lines))
	got := map[string]string{}
	for _, l := range lines {
		got[l["setting"]] = l["value"] + " from " + l["origin"]
	}
	require.Equal(t, "7s from w.yaml:1", got["file-age"])
	require.Equal(t, "mine from WEIR_GROUP", got["group"])
	require.Equal(t, "3 from flag", got["topic-partitions"])
	require.Equal(t, "weir.events from default", got["topic"])
	require.Equal(t, "127.0.0.1:9092 from default", got["kafka-brokers"])

	code, out, errs = invokeWeir(t, "", "config", "print")
	require.Equal(t, exitDone, code, errs)
	require.Regexp(t, `(?m)^kafka-brokers +127\.0\.0\.1:9092 +default +gateway sink catalog verify$`, out)
}

func TestConfigCheck(t *testing.T) {
	clean(t)
	code, out, _ := invokeWeir(t, "", "config", "check", "sink")
	require.Equal(t, exitDone, code)
	require.Equal(t, "The settings are right.\n", out)
	t.Setenv("WEIR_LAKE", "nowhere")
	code, _, errs := invokeWeir(t, "", "config", "check", "sink", "--file-age", "never")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "file-age: ")
	require.Contains(t, errs, "lake: ")
}

func TestVersion(t *testing.T) {
	clean(t)
	code, out, _ := invokeWeir(t, "", "version", "--output", "csv")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "go,"+runtime.Version()+"\n")
	require.Contains(t, out, "platform,"+runtime.GOOS+"/"+runtime.GOARCH+"\n")
}
