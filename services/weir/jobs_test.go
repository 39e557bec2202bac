package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/emr/emrtest"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// jobsWorld is an EMR that plays a script, an S3 and a Glue.
func jobsWorld(t *testing.T, s emrtest.Script) (*emrtest.Server, *s3.Store) {
	clean(t)
	store, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	held, err := embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = held.Close() })
	double := emrtest.New(s)
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": "http://" + store.Addr(), "AWS_ENDPOINT_URL_GLUE": "http://" + held.Addr(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_EMR": server.URL, "AWS_ENDPOINT_URL_EMR_SERVERLESS": server.URL,
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"WEIR_JOB_ROLE": "arn:aws:iam::1:role/jobs",
	} {
		t.Setenv(name, value)
	}
	bucket, err := s3.Open(t.Context(), s3.Config{Lake: lake.Location{Bucket: "weir"}}, nil)
	require.NoError(t, err)
	return double, bucket
}

const week = "lake/messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23/rollup-0123456789abcdef-1of1.parquet"

func TestJobs(t *testing.T) {
	double, bucket := jobsWorld(t, emrtest.Script{States: []string{"SUBMITTED", "SUCCESS"}})
	require.NoError(t, bucket.Put(t.Context(), week, []byte("x")))
	t.Setenv("WEIR_APPLICATION", "00f1")
	submit := []string{"jobs", "submit", "rollup_by_type", "--day", "2026-11-29", "--from", "2026-11-25", "--job-logs", "s3://weir/logs", "--output", "csv"}
	code, out, errs := invokeWeir(t, "", submit...)
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "\nr-1,rollup_by_type,2026-11-29,waiting,SUBMITTED,")
	require.Contains(t, errs, "weir catalog register --lake s3://weir/lake --database weir --table messages_by_type_weekly --from 2026-11-23\n")
	code, out, errs = invokeWeir(t, "", submit...)
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "\nr-1,rollup_by_type,2026-11-29,succeeded,SUCCESS,")
	require.Contains(t, errs, "This work has had its run for 2026-11-29; --attempt starts it once more.")
	require.Len(t, double.Runs(), 1)

	code, out, errs = invokeWeir(t, "", "jobs", "run", "rollup_by_type", "--day", "2026-11-29", "--from", "2026-11-25", "--job-logs", "s3://weir/logs", "--register", "--output", "csv")
	require.Equal(t, exitDone, code, errs)
	require.Len(t, double.Runs(), 1)
	require.Contains(t, out, "a,2026-11-23,registered,s3://weir/lake/messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23/,\n")

	code, out, errs = invokeWeir(t, "", "jobs", "list", "--output", "csv")
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, 1, strings.Count(out, "\nr-"))
	code, _, errs = invokeWeir(t, "", "jobs", "logs", "r-1")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no log of it is there yet")
	require.Contains(t, errs, "the run is succeeded (SUCCESS)")
	code, _, errs = invokeWeir(t, "", "jobs", "cancel", "r-1")
	require.Equal(t, exitDone, code)
	require.Contains(t, errs, "run r-1 is over already: succeeded")
	code, _, errs = invokeWeir(t, "", "jobs", "status", "r-2")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "look at run r-2 of application 00f1: not found")
}

func TestAJobThatFails(t *testing.T) {
	for reason, want := range map[string]int{"ExitCode: 3.": exitFound, "ExitCode: 1.": exitFailed} {
		t.Run(reason, func(t *testing.T) {
			jobsWorld(t, emrtest.Script{States: []string{"SUBMITTED", "FAILED"}, Reason: reason})
			code, out, errs := invokeWeir(t, "", "jobs", "run", "json_to_parquet", "--cluster", "j-1", "--output", "csv")
			require.Equal(t, want, code, errs)
			require.Contains(t, out, ",failed,FAILED,")
			require.Contains(t, errs, "run r-1 of json_to_parquet failed: "+reason)
			require.Contains(t, errs, "weir jobs logs --cluster j-1 r-1")
			code, _, errs = invokeWeir(t, "", "jobs", "status", "--wait", "--cluster", "j-1", "r-1")
			require.Equal(t, want, code, errs)
		})
	}
}

func TestALocalJob(t *testing.T) {
	_, bucket := jobsWorld(t, emrtest.Script{})
	require.NoError(t, bucket.Put(t.Context(), "lake/eventlogs/sourceid=a/dt=2026-11-23/history-0123456789abcdef-1of1.parquet", []byte("x")))
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "spark-submit"), []byte("#!/bin/sh\necho '{\"job\":\"json_to_parquet\"}'; exit 3\n"), 0o755))
	t.Setenv("SPARK_HOME", home)
	code, out, errs := invokeWeir(t, "", "jobs", "run", "json_to_parquet", "--local", "--register", "--output", "csv")
	require.Equal(t, exitFound, code, errs)
	require.Contains(t, out, "{\"job\":\"json_to_parquet\"}\n")
	require.Contains(t, out, "a,2026-11-23,registered,s3://weir/lake/eventlogs/sourceid=a/dt=2026-11-23/,\n")
	require.Contains(t, errs, "left partitions alone")
}

func TestWrongJobs(t *testing.T) {
	clean(t)
	t.Setenv("AWS_REGION", "")
	code, out, errs := invokeWeir(t, "", "jobs", "submit", "nightly", "--layout", "other", "--from", "x", "--job-timeout", "1m")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	for _, want := range []string{
		`job: there is no job "nightly": want json_to_parquet or rollup_by_type`, "layout: ", "from: ", "job-timeout: ",
		"application: name one application", "job-role: is needed", "AWS_REGION: is not set",
	} {
		require.Contains(t, errs, want)
	}
	t.Setenv("AWS_REGION", "us-east-1")
	code, _, errs = invokeWeir(t, "", "jobs", "run", "--local", "rollup_by_type", "--lake", "/data", "--register")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "lake: ")
	code, _, errs = invokeWeir(t, "", "jobs", "status", "--application", "00f1", "../x")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "run: ")
}
