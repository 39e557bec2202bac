package emr_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/awsapi/awstest"
	"weir/pkg/emr"
	"weir/pkg/emr/emrtest"
)

func open(t *testing.T, s *emrtest.Server) (*emr.Application, *emr.Cluster) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg := emr.Config{Endpoint: server.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Millisecond}
	a, err := emr.OpenApplication(t.Context(), cfg, "00f1")
	require.NoError(t, err)
	c, err := emr.OpenCluster(t.Context(), cfg, "j-1")
	require.NoError(t, err)
	return a, c
}

var job = emr.Job{
	Name: "weir/rollup_by_type/2026-11-29/t", Token: "t", Script: "s3://b/lake/_weir/jobs/h/rollup_by_type.py",
	Modules: []string{"s3://b/m1.py", "s3://b/m2.py"}, Args: []string{"--lake", "s3://b/lake"}, Conf: []string{"spark.a=1", "spark.b=2"},
	Role: "arn:aws:iam::1:role/jobs", Logs: "s3://b/logs", Timeout: 90 * time.Minute,
}

func TestARunOfAnApplication(t *testing.T) {
	s := emrtest.New(emrtest.Script{States: []string{"SUBMITTED", "RUNNING", "FAILED"}, Reason: "ExitCode: 3"})
	a, _ := open(t, s)
	id, err := a.Start(t.Context(), job)
	require.NoError(t, err)
	again, err := a.Start(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, id, again, "a start that is sent twice is one run")
	require.Len(t, s.Runs(), 1)
	sent := s.Runs()[0]
	require.Equal(t, job.Name, sent.Name)
	require.Equal(t, job.Role, sent.ExecutionRoleArn)
	require.Equal(t, 90, sent.ExecutionTimeoutMinutes)
	spark := sent.JobDriver.SparkSubmit
	require.Equal(t, job.Script, spark.EntryPoint)
	require.Equal(t, job.Args, spark.EntryPointArguments)
	require.Equal(t, "--py-files s3://b/m1.py,s3://b/m2.py --conf spark.a=1 --conf spark.b=2", spark.SparkSubmitParameters)

	other := job
	other.Args = nil
	_, err = a.Start(t.Context(), other)
	require.ErrorIs(t, err, emr.ErrConflict)

	for _, want := range []emr.State{emr.Waiting, emr.Running, emr.Failed} {
		r, err := a.Look(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, r.State)
		require.Equal(t, want == emr.Failed, r.Reason == "ExitCode: 3")
		require.Equal(t, want == emr.Failed, !r.Ended.IsZero())
	}
	logs, err := a.Logs(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "s3://b/logs/applications/00f1/jobs/"+id+"/SPARK_DRIVER/", logs)
	_, err = a.Look(t.Context(), "r-9")
	require.ErrorIs(t, err, emr.ErrNotFound)
	require.ErrorIs(t, a.Cancel(t.Context(), id), emr.ErrInvalid)

	silent := job
	silent.Token, silent.Logs = "u", ""
	id, err = a.Start(t.Context(), silent)
	require.NoError(t, err)
	_, err = a.Logs(t.Context(), id)
	require.ErrorIs(t, err, emr.ErrNoLogs)
	require.NoError(t, a.Cancel(t.Context(), id))
	r, err := a.Look(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, emr.Cancelled, r.State)
}

func TestAStepOfACluster(t *testing.T) {
	s := emrtest.New(emrtest.Script{States: []string{"PENDING", "RUNNING", "INTERRUPTED"}, Reason: "the cluster ended", Logs: "s3n://b/clusters/"})
	_, c := open(t, s)
	id, err := c.Start(t.Context(), job)
	require.NoError(t, err)
	sent := s.Runs()[0]
	require.Equal(t, "CONTINUE", sent.ActionOnFailure)
	require.Equal(t, "command-runner.jar", sent.HadoopJarStep.Jar)
	require.Equal(t, []string{
		"spark-submit", "--deploy-mode", "client", "--py-files", "s3://b/m1.py,s3://b/m2.py", "--conf", "spark.a=1", "--conf", "spark.b=2",
		job.Script, "--lake", "s3://b/lake",
	}, sent.HadoopJarStep.Args)
	for _, want := range []emr.State{emr.Waiting, emr.Running, emr.Failed} {
		r, err := c.Look(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, r.State)
		require.Equal(t, want == emr.Failed, r.Reason == "the cluster ended")
	}
	logs, err := c.Logs(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "s3://b/clusters/j-1/steps/"+id+"/", logs)
	require.ErrorIs(t, c.Cancel(t.Context(), id), emr.ErrInvalid)
	id, err = c.Start(t.Context(), job)
	require.NoError(t, err)
	require.NoError(t, c.Cancel(t.Context(), id))
}

func TestListsArePaged(t *testing.T) {
	s := emrtest.New(emrtest.Script{Page: 2})
	a, c := open(t, s)
	for range 5 {
		s.Add(emrtest.Start{Name: "n"})
	}
	for _, list := range []func(context.Context, string) (emr.Page, error){a.List, c.List} {
		var ids []string
		for next, more := "", true; more; more = next != "" {
			p, err := list(t.Context(), next)
			require.NoError(t, err)
			for _, r := range p.Runs {
				require.Equal(t, emr.Succeeded, r.State)
				require.False(t, r.Created.IsZero())
				ids = append(ids, r.ID)
			}
			next = p.Next
		}
		require.Equal(t, []string{"r-5", "r-4", "r-3", "r-2", "r-1"}, ids)
	}
}

func TestErrorsAreNamed(t *testing.T) {
	for code, want := range map[string]error{
		"ThrottlingException":           emr.ErrThrottled,
		"InternalServerException":       emr.ErrUnavailable,
		"ValidationException":           emr.ErrInvalid,
		"ServiceQuotaExceededException": emr.ErrQuota,
		"AccessDeniedException":         emr.ErrDenied,
		"ExpiredTokenException":         emr.ErrExpired,
	} {
		s := emrtest.New(emrtest.Script{})
		a, c := open(t, s)
		s.Inject(awstest.Fault{Code: code})
		for _, look := range []func(context.Context, string) (emr.Run, error){a.Look, c.Look} {
			_, err := look(t.Context(), "r-1")
			require.ErrorIs(t, err, want)
			require.ErrorContains(t, err, "r-1")
			require.ErrorContains(t, err, code)
		}
	}
}

func TestAStartIsSentOnce(t *testing.T) {
	s := emrtest.New(emrtest.Script{})
	a, c := open(t, s)
	s.Inject(awstest.Fault{Drop: true, Land: true})
	_, err := a.Start(t.Context(), job)
	require.ErrorIs(t, err, emr.ErrUnavailable)
	_, err = c.Start(t.Context(), job)
	require.ErrorIs(t, err, emr.ErrUnavailable)
	require.Len(t, s.Runs(), 2)
	require.ErrorIs(t, c.Cancel(t.Context(), "r-1"), emr.ErrUnavailable)
	require.Equal(t, 3, s.Calls("CancelSteps"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.List(ctx, "")
	require.ErrorIs(t, err, context.Canceled)
}
