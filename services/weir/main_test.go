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
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "WEIR_") || strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
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
		{[]string{"verify", "--output", "csv"}, exitUsage, `output: "csv" does not exist: want table, json`},
		{[]string{"dev", "--demo-rate", "-1"}, exitUsage, "demo-rate: -1 is not between 1 and 100000"},
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
	require.NoError(t, os.WriteFile(filepath.Join(dir, "w.yaml"), []byte("file-age: 7s\npromote: [default, properties.seats: bigint]\n"), 0o600))
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
	require.Equal(t, "default,properties.seats: bigint from w.yaml:2", got["promote"])
	require.Equal(t, "mine from WEIR_GROUP", got["group"])
	require.Equal(t, "3 from flag", got["topic-partitions"])
	require.Equal(t, "weir.events from default", got["topic"])
	require.Equal(t, "127.0.0.1:9092 from default", got["kafka-brokers"])

	writeSources(t, dir)
	code, out, errs = invokeWeir(t, "", "config", "print")
	require.Equal(t, exitDone, code, errs)
	require.Regexp(t, `(?m)^kafka-brokers +127\.0\.0\.1:9092 +default +gateway sink catalog verify$`, out)
}

func writeSources(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sources.yaml"), []byte("sources: [{id: a, write_keys: [k]}]\n"), 0o600))
}

func TestBrokenSourcesAreListedWithTheOtherFaults(t *testing.T) {
	dir := clean(t)
	text := []byte("sources:\n- {id: /, write_keys: [k]}\n- {id: b, keys: [k]}\n- {id: c, write_keys: k}\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sources.yaml"), text, 0o600))
	for _, args := range [][]string{{"gateway", "--max-events", "0"}, {"dev", "--dir", ".", "--demo-events", "0"}} {
		code, _, errs := invokeWeir(t, "", args...)
		require.Equal(t, exitUsage, code, errs)
		for _, want := range []string{
			"\n  sources: sources.yaml:2: source 1", "\n  sources: sources.yaml:3: unknown field",
			"\n  sources: sources.yaml:3: source 2", "\n  sources: sources.yaml:4: source 3", "-events: 0 is not between",
		} {
			require.Contains(t, errs, want, "%v", args)
		}
	}
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

func TestConfigShowsEveryFaultOfAFile(t *testing.T) {
	dir := clean(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.yaml"), []byte("file-aeg: 7s\nfile-size: x\nlake: nowhere\n"), 0o600))
	want := []string{
		"bad.yaml:1: file-aeg is no setting, did you mean file-age?",
		`file-size: "x" is no size`,
		`lake: `,
	}
	for _, args := range [][]string{
		{"config", "check", "--config", "bad.yaml", "sink"},
		{"config", "check", "sink", "--config", "bad.yaml"},
		{"--config", "bad.yaml", "config", "print", "sink"},
		{"config", "check", "--config", "bad.yaml"},
		{"config", "print", "--config", "bad.yaml"},
	} {
		code, out, errs := invokeWeir(t, "", args...)
		require.Equal(t, exitUsage, code, "%v", args)
		for _, fault := range want {
			require.Equal(t, 1, strings.Count(errs, "\n  "+fault), "%v: each fault once:\n%s", args, errs)
		}
		if args[len(args)-1] == "sink" {
			require.Equal(t, len(want)+1, strings.Count(errs, "\n"), errs)
		}
		if args[1] == "print" || args[3] == "print" {
			require.Regexp(t, `(?m)^file-size +256MiB +default`, out, "what can be read is shown")
		}
	}
	code, _, errs := invokeWeir(t, "", "config", "check", "--config", "missing.yaml", "sink")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "config: open missing.yaml")
	code, _, errs = invokeWeir(t, "", "config", "print", "sinkk")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "unexpected argument sinkk")
}

// A host that runs the sink alone has no sources.yaml.
func TestConfigCheckSaysWhichCommandIsWrong(t *testing.T) {
	clean(t)
	t.Setenv("WEIR_GROUP", "no good name")
	code, out, errs := invokeWeir(t, "", "config", "check")
	require.Equal(t, exitUsage, code)
	require.Contains(t, out, "gateway  1 wrong\n")
	require.Contains(t, out, "sink     1 wrong\n")
	require.Contains(t, out, "catalog  right\n")
	require.Contains(t, out, "weir config check sink\n")
	require.Regexp(t, `(?m)^  sources: open sources.yaml: .* \(gateway\)$`, errs)
	require.Regexp(t, `(?m)^  group: "no good name" .* \(sink.*\)$`, errs)
}

func TestAMissingRegionIsOneOfTheFaults(t *testing.T) {
	clean(t)
	t.Setenv("AWS_REGION", "")
	const fault = "\n  AWS_REGION: is not set"
	for _, c := range []struct{ args, other string }{
		{"sink --file-age 1ms", "file-age"},
		{"sink recover --after -1s", "after"},
		{"catalog --database No.Such", "database"},
		{"query --local --max-rows 0 question", "max-rows"},
		{"verify --lake nowhere", "lake"},
		{"catalog tables --output xml", "output"},
		{"catalog partitions eventlogs --output xml", "output"},
		{"config check sink --file-age 1ms", "file-age"},
	} {
		code, _, errs := invokeWeir(t, "", strings.Fields(c.args)...)
		require.Equal(t, exitUsage, code, "%s: %s", c.args, errs)
		require.Equal(t, 1, strings.Count(errs, fault), "%s: %s", c.args, errs)
		require.Contains(t, errs, "\n  "+c.other+": ", c.args)
	}
	for _, args := range [][]string{ // they are told by the folder, or need no lake
		{"query", "--dir", "nothing-here", "select 1"},
		{"verify", "--dir", "nothing-here"},
		{"catalog", "tables", "--dir", "nothing-here"},
		{"gateway"},
	} {
		_, _, errs := invokeWeir(t, "", args...)
		require.NotContains(t, errs, "AWS_REGION", "%v", args)
	}
	require.NoError(t, os.Mkdir(devHere, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(devHere, "addresses.json"), []byte("{}"), 0o600))
	_, _, errs := invokeWeir(t, "", "catalog", "ddl")
	require.Contains(t, errs, fault)
	require.Contains(t, errs, "; the weir dev that runs here is asked with --dir .weir\n")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_PROFILE", "nobody")
	code, _, errs := invokeWeir(t, "", "sink", "--file-age", "1ms")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "nobody")
	require.Contains(t, errs, "file-age: ")
}

func TestVersion(t *testing.T) {
	clean(t)
	code, out, _ := invokeWeir(t, "", "version", "--output", "csv")
	require.Equal(t, exitDone, code)
	require.Contains(t, out, "go,"+runtime.Version()+"\n")
	require.Contains(t, out, "platform,"+runtime.GOOS+"/"+runtime.GOARCH+"\n")
}
