//go:build duckdb && e2e

package emr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsemr "github.com/aws/aws-sdk-go-v2/service/emr"
	emrtypes "github.com/aws/aws-sdk-go-v2/service/emr/types"
	"github.com/aws/aws-sdk-go-v2/service/emrserverless"
	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// desk is a shell in which weir and its commands run.
type desk struct {
	t   *testing.T
	bin string
	env []string
}

func newDesk(t *testing.T, w fleet.World) desk {
	bin, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	return desk{t, bin, append(append(os.Environ(), w.Environment()...), "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)}
}

func (d desk) weir(code int, args ...string) (out, errs string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.bin, args...)
	cmd.Env, cmd.Dir = d.env, d.t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	require.True(d.t, err == nil || errors.As(err, &exit), err)
	require.Equal(d.t, code, cmd.ProcessState.ExitCode(), "%s\n%s", stdout.String(), stderr.String())
	return stdout.String(), stderr.String()
}

// The same job file that EMR runs, by `weir jobs run --local`, and what it wrote in the catalog.
func TestJobsCommandLocally(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	_, err = parts.FetchMoto(t.Context())
	parts.Need(t, "moto", err)
	_, err = parts.FetchVersitygw(t.Context())
	parts.Need(t, "versitygw", err)
	dir := t.TempDir()
	store, err := parts.StartVersitygw(t.Context(), filepath.Join(dir, "s3"), "dev", "dev-secret", "weir")
	require.NoError(t, err)
	t.Cleanup(store.Stop)
	moto, err := parts.StartMoto(t.Context(), filepath.Join(dir, "moto"))
	require.NoError(t, err)
	t.Cleanup(moto.Stop)
	w := fleet.World{S3URL: store.URL, GlueURL: moto.URL, Access: "dev", Secret: "dev-secret"}
	w.Env, err = parts.SparkEnvironment(t.Context(), parts.SparkOptions{Dir: filepath.Join(dir, "spark"), S3URL: w.S3URL, AccessKey: w.Access, SecretKey: w.Secret})
	require.NoError(t, err)
	d := newDesk(t, w)
	bucket, err := s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "weir"}, Endpoint: w.S3URL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret,
	}, nil)
	require.NoError(t, err)
	day := time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)
	key := fmt.Sprintf("segment-logs/source1/%d/a.gz", day.UnixMilli())
	require.NoError(t, bucket.Put(t.Context(), key, zipped(t, []byte(strings.Repeat(`{"type":"page","receivedAt":"2025-01-01T00:00:00Z"}`+"\n", 3)+"no event\n"))))

	run := []string{"jobs", "run", "json_to_parquet", "--local", "--raw", "s3://weir/segment-logs", "--layout", "segment", "--lake", fleet.LakeURL, "--to", "2025-12-31", "--register", "--output", "csv"}
	out, errs := d.weir(0, run...)
	line, table, _ := strings.Cut(out, "\n")
	var made done
	require.NoError(t, json.Unmarshal([]byte(line), &made), out)
	require.Equal(t, done{Partitions: 1, Written: 1, Rows: 3, Rejected: 1, Refused: []string{}}, made)
	require.Equal(t, "sourceid,day,result,location,why\nsource1,2025-01-01,registered,s3://weir/lake/eventlogs/sourceid=source1/dt=2025-01-01/,\n", table, errs)
	out, _ = d.weir(0, "query", "--local", "--lake", fleet.LakeURL, "--output", "csv", "select count(*) as n from eventlogs where dt = '2025-01-01'")
	require.Equal(t, "n\n3\n", out)

	// A day into which somebody else wrote: its code comes through.
	require.NoError(t, bucket.Put(t.Context(), "lake/eventlogs/sourceid=source1/dt=2025-01-01/0199f5a2-7c1e-7b7a-9d3e-0123456789ab-0.parquet", []byte("x")))
	out, errs = d.weir(3, run...)
	require.Contains(t, out, `"refused": ["eventlogs/sourceid=source1/dt=2025-01-01"]`)
	require.Contains(t, errs, "json_to_parquet left partitions alone")
}

// The commands against another hand's EMR. Its runs succeed at once, it knows no token again, and its logs stay empty:
// those are shown by the double in services/jobs.
func TestJobsCommandOnMoto(t *testing.T) {
	_, err := parts.FetchMoto(t.Context())
	parts.Need(t, "moto", err)
	moto, err := parts.StartMoto(t.Context(), filepath.Join(t.TempDir(), "moto"))
	require.NoError(t, err)
	t.Cleanup(moto.Stop)
	w := fleet.World{S3URL: moto.URL, GlueURL: moto.URL, Access: "test", Secret: "test", Env: []string{
		"AWS_ENDPOINT_URL_EMR=" + moto.URL, "AWS_ENDPOINT_URL_EMR_SERVERLESS=" + moto.URL,
		"WEIR_JOB_ROLE=arn:aws:iam::123456789012:role/jobs",
	}}
	d := newDesk(t, w)
	store, err := s3.Open(t.Context(), s3.Config{Lake: lake.Location{Bucket: "weir"}, Endpoint: moto.URL, Region: "us-east-1", AccessKey: "test", SecretKey: "test"}, nil)
	require.NoError(t, err)
	require.NoError(t, store.CreateBucket(t.Context()))
	application, cluster := motoEMR(t, moto.URL)
	submit := []string{"jobs", "submit", "rollup_by_type", "--lake", fleet.LakeURL, "--day", "2026-11-29", "--output", "csv"}
	id := func(out string) string {
		fields := strings.Split(strings.Split(out, "\n")[1], ",")
		require.Equal(t, []string{"rollup_by_type", "2026-11-29"}, fields[1:3], out)
		return fields[0]
	}

	on := []string{"--application", application}
	out, errs := d.weir(0, append(submit, append(on, "--job-logs", "s3://weir/logs")...)...)
	run := id(out)
	require.Contains(t, errs, "This work has had its run for 2026-11-29")
	out, _ = d.weir(0, append([]string{"jobs", "status", run, "--wait", "--output", "csv"}, on...)...)
	require.Contains(t, out, run+",rollup_by_type,2026-11-29,succeeded,SUCCESS,")
	out, _ = d.weir(0, append([]string{"jobs", "list", "--output", "csv"}, on...)...)
	require.Contains(t, out, run+",rollup_by_type,")
	_, errs = d.weir(1, append([]string{"jobs", "logs", run}, on...)...)
	require.Contains(t, errs, "s3://weir/logs/applications/"+application+"/jobs/"+run+"/SPARK_DRIVER/")
	_, errs = d.weir(1, append([]string{"jobs", "status", "absent"}, on...)...)
	require.Contains(t, errs, "look at run absent of application "+application+": not found")

	on = []string{"--cluster", cluster}
	out, _ = d.weir(0, append(submit, on...)...)
	step := id(out)
	out, _ = d.weir(0, append(submit, on...)...)
	require.Equal(t, step, id(out), "the same work is one step")
	out, _ = d.weir(0, append([]string{"jobs", "list", "--all", "--output", "csv"}, on...)...)
	require.Equal(t, 2, strings.Count(out, "\n"), out)
	for _, name := range []string{"rollup_by_type.py", "weirlake.py"} {
		found := false
		for o, err := range store.List(t.Context(), "lake/_weir/jobs/", "") {
			require.NoError(t, err)
			found = found || strings.HasSuffix(o.Key, "/"+name)
		}
		require.True(t, found, name)
	}
}

// motoEMR makes an application and a cluster.
func motoEMR(t *testing.T, url string) (application, cluster string) {
	keys := credentials.NewStaticCredentialsProvider("test", "test", "")
	serverless := emrserverless.New(emrserverless.Options{BaseEndpoint: aws.String(url), Region: "us-east-1", Credentials: keys})
	made, err := serverless.CreateApplication(t.Context(), &emrserverless.CreateApplicationInput{ReleaseLabel: aws.String("emr-7.9.0"), Type: aws.String("SPARK"), ClientToken: aws.String("t")})
	require.NoError(t, err)
	onEC2 := awsemr.New(awsemr.Options{BaseEndpoint: aws.String(url), Region: "us-east-1", Credentials: keys})
	flow, err := onEC2.RunJobFlow(t.Context(), &awsemr.RunJobFlowInput{
		Name: aws.String("c"), ReleaseLabel: aws.String("emr-7.9.0"), LogUri: aws.String("s3://weir/clusters"),
		JobFlowRole: aws.String("r"), ServiceRole: aws.String("r"),
		Instances: &emrtypes.JobFlowInstancesConfig{InstanceCount: aws.Int32(1), MasterInstanceType: aws.String("m5.xlarge"), KeepJobFlowAliveWhenNoSteps: aws.Bool(true)},
	})
	require.NoError(t, err)
	return *made.ApplicationId, *flow.JobFlowId
}
