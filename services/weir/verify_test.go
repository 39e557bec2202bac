package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where verify looks: what is named counts, and where nothing is, weir dev's folder
// as weir query has it.
func TestWhereVerifyLooks(t *testing.T) {
	const none = ": no directory of weir dev"
	for _, c := range []struct {
		args []string
		env  map[string]string
		code int
		errs string
	}{
		{args: []string{"verify"}, code: exitUsage, errs: ".weir" + none},
		{args: []string{"verify"}, env: map[string]string{"AWS_REGION": ""}, code: exitUsage, errs: ".weir" + none},
		{args: []string{"verify", "--dir", "elsewhere"}, code: exitUsage, errs: "elsewhere" + none},
		{args: []string{"verify", "--dir", "elsewhere", "--kafka-brokers", "127.0.0.1:1"}, code: exitUsage, errs: "elsewhere" + none},
		{args: []string{"verify", "--dir", "stopped"}, code: exitFailed, errs: "weir dev --dir stopped"},
		{args: []string{"verify", "--kafka-brokers", "127.0.0.1:1"}, code: exitFailed, errs: "127.0.0.1:1"},
		{args: []string{"verify"}, env: map[string]string{"WEIR_KAFKA_BROKERS": "127.0.0.1:1"}, code: exitFailed, errs: "127.0.0.1:1"},
		{args: []string{"verify", "--config", "weir.yaml"}, code: exitFailed, errs: "127.0.0.1:1"},
		{ // named, though it is what the default is: the faults of the SDK's settings show that it is taken up
			args: []string{"verify", "--lake", "s3://weir/lake"}, env: map[string]string{"AWS_REGION": ""}, code: exitUsage, errs: "AWS_REGION: is not set",
		},
		{
			args: []string{"verify", "--kafka-brokers", "127.0.0.1:9092"}, env: map[string]string{"AWS_REGION": ""}, code: exitUsage, errs: "AWS_REGION: is not set",
		},
	} {
		t.Run("", func(t *testing.T) {
			dir := clean(t)
			require.NoError(t, os.Mkdir(filepath.Join(dir, "stopped"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "stopped", "sources.yaml"), []byte("sources: []\n"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte("kafka-brokers: 127.0.0.1:1\n"), 0o600))
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			code, _, errs := invokeWeir(t, "", c.args...)
			require.Equal(t, c.code, code, "%v: %s", c.args, errs)
			require.Contains(t, errs, c.errs, "%v", c.args)
		})
	}
}

func TestVerifyPrintsNoCSV(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  string
	}{{args: []string{"verify", "--output", "csv"}}, {args: []string{"verify"}, env: "csv"}} {
		clean(t)
		t.Setenv("WEIR_OUTPUT", c.env)
		code, out, errs := invokeWeir(t, "", c.args...)
		require.Equal(t, exitUsage, code)
		require.Empty(t, out)
		require.Contains(t, errs, `output: "csv" does not exist: want table, json`)
	}
}

// The numbers are a contract of scripts, and the help says them.
func TestVerifyHelpHasItsExitCodes(t *testing.T) {
	clean(t)
	code, out, _ := invokeWeir(t, "", "verify", "--help")
	require.Equal(t, exitDone, code)
	for _, want := range []string{
		"0 nothing is missing or doubled", "1 it could not look", "2 wrong usage", "3 ", "--dir",
	} {
		require.Contains(t, out, want)
	}
}
