package jobs

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/sim/bucket"
	"weir/pkg/awsapi/awstest"
	"weir/pkg/emr"
	"weir/pkg/emr/emrtest"
	"weir/pkg/s3"
)

// handled answers requests without a network.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

type world struct {
	emr    *emrtest.Server
	bucket *bucket.Bucket
	runs   *Runs
}

func (w *world) config(cluster bool) Config {
	cfg := Config{
		Application: "00f1",
		EMR:         emr.Config{Endpoint: "http://emr.test", Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Millisecond, Transport: w.emr},
		S3:          s3.Config{Endpoint: "http://s3.test", Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Second, Transport: handled{w.bucket}},
	}
	if cluster {
		cfg.Application, cfg.Cluster = "", "j-1"
	}
	return cfg
}

// in plays a script in virtual time, once for an application and once for a cluster.
func in(t *testing.T, s emrtest.Script, f func(t *testing.T, w *world, cluster bool)) {
	for _, cluster := range []bool{false, true} {
		name := "application"
		if cluster {
			name = "cluster"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{emr: emrtest.New(s), bucket: bucket.New("b", bucket.Remembers, 5<<20, nil)}
				runs, err := Open(t.Context(), w.config(cluster))
				require.NoError(t, err)
				w.runs = runs
				f(t, w, cluster)
			})
		})
	}
}

var (
	work = Work{Job: "json_to_parquet", Lake: "s3://b/lake", Layout: "weir", Codec: "zstd", To: "2026-11-22", SparkConf: []string{"spark.a=1"}}
	how  = How{Role: "arn:aws:iam::1:role/jobs", Day: "2026-11-29", Attempt: 1}
)

// going never ends.
var going = emrtest.Script{States: []string{"RUNNING"}}

func TestTheSameWorkIsOneRunADay(t *testing.T) {
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		first, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		require.Equal(t, "json_to_parquet", first.Job)
		require.Equal(t, "2026-11-29", first.Day)
		require.Equal(t, emr.Running, first.State)
		again, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		require.Equal(t, first.ID, again.ID)
		require.Len(t, w.emr.Runs(), 1)
		if !cluster {
			spark := w.emr.Runs()[0].JobDriver.SparkSubmit
			require.Regexp(t, `^s3://b/lake/_weir/jobs/[0-9a-f]{16}/json_to_parquet.py$`, spark.EntryPoint)
			require.Equal(t, []string{"--raw", "s3://b/lake/raw", "--layout", "weir", "--lake", "s3://b/lake", "--codec", "zstd", "--to", "2026-11-22"}, spark.EntryPointArguments)
			require.Regexp(t, `^--py-files \S+/weirevent.py,\S+/weirlake.py --conf spark.a=1$`, spark.SparkSubmitParameters)
		}
		for _, other := range []How{{Role: how.Role, Day: "2026-11-30", Attempt: 1}, {Role: how.Role, Day: "2026-11-29", Attempt: 2}} {
			_, err = w.runs.Submit(t.Context(), work, other)
			require.NoError(t, err)
		}
		require.Len(t, w.emr.Runs(), 3)
	})
}

func TestALostAnswerIsOneRun(t *testing.T) {
	for _, landed := range []bool{true, false} {
		in(t, going, func(t *testing.T, w *world, cluster bool) {
			for _, op := range []string{"StartJobRun", "AddJobFlowSteps"} {
				w.emr.Inject(awstest.Fault{Op: op, Drop: true, Land: landed, Count: 1})
			}
			run, err := w.runs.Submit(t.Context(), work, how)
			require.NoError(t, err)
			require.Len(t, w.emr.Runs(), 1)
			require.Equal(t, w.emr.Runs()[0].ID, run.ID)
		})
	}
}

// A submitter that dies once EMR has its start, and one that ends before: the next one
// makes it one run.
func TestASubmitterThatDies(t *testing.T) {
	for _, landed := range []bool{true, false} {
		in(t, going, func(t *testing.T, w *world, cluster bool) {
			ctx, die := context.WithCancel(t.Context())
			w.emr.Before(func(op string) {
				if op == "StartJobRun" || op == "AddJobFlowSteps" {
					die()
				}
			})
			w.emr.Inject(awstest.Fault{Op: "StartJobRun", Drop: true, Land: landed, Count: 1})
			w.emr.Inject(awstest.Fault{Op: "AddJobFlowSteps", Drop: true, Land: landed, Count: 1})
			_, err := w.runs.Submit(ctx, work, how)
			require.ErrorContains(t, err, "submit again, that finds it")
			_, err = w.runs.Submit(t.Context(), work, how)
			require.NoError(t, err)
			require.Len(t, w.emr.Runs(), 1)
		})
	}
}

func TestThrottledStarts(t *testing.T) {
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		w.emr.Inject(awstest.Fault{Code: "ThrottlingException", Count: 5})
		_, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		require.Len(t, w.emr.Runs(), 1)
	})
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		w.emr.Inject(awstest.Fault{Code: "ThrottlingException"})
		_, err := w.runs.Submit(t.Context(), work, how)
		require.ErrorIs(t, err, emr.ErrThrottled)
		require.NotContains(t, err.Error(), "may have begun")
	})
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		for _, op := range []string{"StartJobRun", "AddJobFlowSteps"} {
			w.emr.Inject(awstest.Fault{Op: op, Drop: true})
		}
		_, err := w.runs.Submit(t.Context(), work, how)
		require.ErrorIs(t, err, emr.ErrUnavailable)
		require.ErrorContains(t, err, "a run may have begun all the same: submit again, that finds it")
	})
}

func TestABegunRunThatCannotBeLookedAt(t *testing.T) {
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		for _, op := range []string{"GetJobRun", "DescribeStep"} {
			w.emr.Inject(awstest.Fault{Op: op, Code: "AccessDeniedException"})
		}
		run, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		require.Equal(t, w.emr.Runs()[0].ID, run.ID)
		require.Equal(t, "json_to_parquet", run.Job)
		require.False(t, run.State.Over())
	})
}

// Two submitters look at once, and neither sees the other's step: the younger gives way.
func TestTwoSubmittersOfOneCluster(t *testing.T) {
	beside := func(w *world) {
		once := false
		w.emr.Before(func(op string) {
			if op == "AddJobFlowSteps" && !once {
				once = true
				w.emr.Add(emrtest.Start{Name: work.spec().RunName("2026-11-29", work.spec().Token("cluster j-1", "2026-11-29", 1))})
			}
		})
	}
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		if !cluster {
			return // its token is EMR's to know
		}
		beside(w)
		run, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		require.Equal(t, "r-1", run.ID)
		require.True(t, w.emr.Runs()[1].Cancelled)
		require.False(t, w.emr.Runs()[0].Cancelled)
	})
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		if !cluster {
			return
		}
		beside(w)
		w.emr.Inject(awstest.Fault{Op: "CancelSteps", Code: "AccessDeniedException"})
		_, err := w.runs.Submit(t.Context(), work, how)
		require.ErrorIs(t, err, emr.ErrDenied)
		require.ErrorContains(t, err, "run r-1 of the same work stands already, and run r-2")
		require.ErrorContains(t, err, "weir jobs cancel --cluster j-1 r-2")
	})
}

func TestRefusedStartsSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"ValidationException":           "of no use",
		"AccessDeniedException":         "deploy/iam",
		"ServiceQuotaExceededException": "try again when",
		"ResourceNotFoundException":     "AWS_REGION",
	} {
		in(t, going, func(t *testing.T, w *world, cluster bool) {
			for _, op := range []string{"StartJobRun", "AddJobFlowSteps"} {
				w.emr.Inject(awstest.Fault{Op: op, Code: code})
			}
			_, err := w.runs.Submit(t.Context(), work, how)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, code)
			require.ErrorContains(t, err, "weir/json_to_parquet/2026-11-29/")
			require.Equal(t, 1, w.emr.Calls("StartJobRun")+w.emr.Calls("AddJobFlowSteps"))
		})
	}
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		if cluster {
			return
		}
		_, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		other := how
		other.Role = "arn:aws:iam::1:role/other"
		_, err = w.runs.Submit(t.Context(), work, other)
		require.ErrorIs(t, err, emr.ErrConflict)
		require.ErrorContains(t, err, "--attempt 2")
	})
}

func TestWhatRunsIsWhatThisVersionShips(t *testing.T) {
	in(t, going, func(t *testing.T, w *world, cluster bool) {
		_, err := w.runs.Submit(t.Context(), work, how)
		require.NoError(t, err)
		var keys []string
		for _, o := range w.bucket.Objects() {
			keys = append(keys, o.Key[strings.LastIndex(o.Key, "/")+1:])
			body, err := w.runs.files.(interface{ ReadFile(string) ([]byte, error) }).ReadFile(keys[len(keys)-1])
			require.NoError(t, err)
			require.Equal(t, body, o.Body)
		}
		require.Equal(t, []string{"json_to_parquet.py", "weirevent.py", "weirlake.py"}, keys)

		before := w.bucket.Objects()[0]
		w.runs.files = fstest.MapFS{"json_to_parquet.py": {Data: []byte("new")}, "weirevent.py": {}, "weirlake.py": {}}
		_, err = w.runs.Submit(t.Context(), work, How{Role: how.Role, Day: how.Day, Attempt: 2})
		require.NoError(t, err)
		require.Len(t, w.bucket.Objects(), 6, "another version has other keys")
		after, _ := w.bucket.Object(before.Key)
		require.Equal(t, before.Body, after.Body)

		for _, o := range w.bucket.Objects() {
			w.bucket.Put(o.Key, []byte("changed by somebody"))
		}
		_, err = w.runs.Submit(t.Context(), work, How{Role: how.Role, Day: how.Day, Attempt: 3})
		require.ErrorContains(t, err, "was changed by somebody")
		require.Len(t, w.emr.Runs(), 2)
	})
}

func TestWaiting(t *testing.T) {
	in(t, emrtest.Script{States: []string{"PENDING", "RUNNING", "RUNNING", "FAILED"}, Reason: "Job failed. ExitCode: 3. x"}, func(t *testing.T, w *world, _ bool) {
		id := w.emr.Add(emrtest.Start{Name: "weir/rollup_by_type/2026-11-29/0123456789abcdef0123456789abcdef"})
		w.emr.Inject(awstest.Fault{Code: "ThrottlingException", After: 1, Count: 30})
		var states []emr.State
		run, err := w.runs.Wait(t.Context(), id, func(r Run) { states = append(states, r.State) })
		require.NoError(t, err)
		require.Equal(t, []emr.State{emr.Waiting, emr.Running, emr.Running, emr.Failed}, states)
		var failed *FailedError
		require.ErrorAs(t, w.runs.Judge(run), &failed)
		require.True(t, failed.Refused)
		require.ErrorContains(t, failed, "run "+id+" of rollup_by_type failed: Job failed. ExitCode: 3")
		require.ErrorContains(t, failed, "weir jobs logs --")
	})
	in(t, going, func(t *testing.T, w *world, _ bool) {
		id := w.emr.Add(emrtest.Start{Name: "n"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := w.runs.Wait(ctx, id, func(Run) {})
		require.ErrorContains(t, err, "run "+id+" goes on")
		require.False(t, w.emr.Runs()[0].Cancelled, "who gives up waiting leaves it alone")
		require.Less(t, w.emr.Calls("GetJobRun")+w.emr.Calls("DescribeStep"), 130)
	})
	in(t, going, func(t *testing.T, w *world, _ bool) {
		w.emr.Inject(awstest.Fault{Code: "ExpiredTokenException"})
		_, err := w.runs.Wait(t.Context(), "r-1", func(Run) {})
		require.ErrorIs(t, err, emr.ErrExpired)
		require.ErrorContains(t, err, "run r-1 goes on")
	})
}

func TestLists(t *testing.T) {
	in(t, emrtest.Script{Page: 3}, func(t *testing.T, w *world, _ bool) {
		for i := range 10 {
			name := "nightly"
			if i%2 == 0 {
				name = "weir/rollup_by_type/2026-11-29/0123456789abcdef0123456789abcdef"
			}
			w.emr.Add(emrtest.Start{Name: name})
		}
		all, err := w.runs.List(t.Context(), 100, true)
		require.NoError(t, err)
		require.Len(t, all, 10)
		require.Equal(t, "r-10", all[0].ID)
		ours, err := w.runs.List(t.Context(), 4, false)
		require.NoError(t, err)
		require.Len(t, ours, 4)
		require.Equal(t, "r-9", ours[0].ID)
		require.Equal(t, "rollup_by_type", ours[0].Job)
	})
}

func TestLogs(t *testing.T) {
	in(t, emrtest.Script{Logs: "s3n://b/logs"}, func(t *testing.T, w *world, cluster bool) {
		with := how
		with.Logs = "s3://b/logs"
		run, err := w.runs.Submit(t.Context(), work, with)
		require.NoError(t, err)
		folder := "logs/applications/00f1/jobs/" + run.ID + "/SPARK_DRIVER/"
		if cluster {
			folder = "logs/j-1/steps/" + run.ID + "/"
		}
		var out, errs bytes.Buffer
		require.ErrorIs(t, w.runs.Logs(t.Context(), run.ID, &out, &errs), ErrNoLogsYet)
		w.bucket.Put(folder+"stdout.gz", zipped(t, "{\"job\":1}\n"))
		w.bucket.Put(folder+"stderr.gz", zipped(t, "Traceback\n"))
		w.bucket.Put(folder+"syslog.gz", zipped(t, "noise\n"))
		require.NoError(t, w.runs.Logs(t.Context(), run.ID, &out, &errs))
		require.Equal(t, "{\"job\":1}\n", out.String())
		require.Equal(t, "Traceback\n", errs.String())
		w.bucket.Put(folder+"stdout.gz", []byte("this is no gzip"))
		require.ErrorContains(t, w.runs.Logs(t.Context(), run.ID, &out, &errs), "stdout.gz: gzip")
	})
}

func zipped(t *testing.T, text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestS3IsAway(t *testing.T) {
	in(t, going, func(t *testing.T, w *world, _ bool) {
		cfg := w.runs.cfg
		cfg.S3.Transport = away{}
		runs, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		began := time.Now()
		_, err = runs.Submit(t.Context(), work, how)
		require.ErrorContains(t, err, "S3 did not take them within 2m")
		require.Equal(t, filesWithin, time.Since(began))
		require.Empty(t, w.emr.Runs())
	})
}

type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

func TestValidation(t *testing.T) {
	faults := func(list []error) (names string) {
		for _, f := range list {
			names += strings.SplitN(f.Error(), ":", 2)[0] + " "
		}
		return names
	}
	require.Empty(t, work.Validate(false))
	require.Empty(t, how.Validate(Config{Application: "00f1"}))
	require.Equal(t, "job lake raw source from spark-conf ", faults(Work{
		Job: "other", Lake: "/tmp/lake", Raw: "http://x", Layout: "weir", Source: []string{"a b"}, From: "yesterday", SparkConf: []string{"a=b c"},
	}.Validate(false)))
	require.Equal(t, "raw to ", faults(Work{Job: "json_to_parquet", Lake: "/tmp/lake", Layout: "segment", From: "2026-11-02", To: "2026-11-01"}.Validate(true)))
	require.Equal(t, "raw ", faults(Work{Job: "rollup_by_type", Lake: "s3://b", Raw: "s3://b/raw", Layout: "weir"}.Validate(false)))
	require.Equal(t, "application ", faults(Config{}.Validate()))
	require.Equal(t, "application cluster ", faults(Config{Application: "x", Cluster: "y"}.Validate()))
	require.Equal(t, "job-role job-logs job-timeout day attempt ", faults(How{Logs: "x", Timeout: time.Minute, Day: "x"}.Validate(Config{Application: "00f1"})))
	require.Equal(t, "job-logs job-timeout ", faults(How{Logs: "s3://b", Timeout: time.Hour, Attempt: 1}.Validate(Config{Cluster: "j-1"})))
}
