package iam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/question"
	"weir/pkg/emr/emrtest"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

// guard stands before an S3 and a Glue and lets pass what the policies allow.
type guard struct {
	policies []policy
	env      []string // with which a process goes through it

	mu      sync.Mutex
	passed  map[string]int // by action
	refused []string
}

func newGuard(t *testing.T, w fleet.World, all map[string]policy, names ...string) *guard {
	g := &guard{passed: map[string]int{}}
	for _, name := range names {
		require.Contains(t, all, name)
		g.policies = append(g.policies, all[name])
	}
	store := s3test.NewProxy(t, strings.TrimPrefix(w.S3URL, "http://"))
	store.Set(func(r *http.Request) s3test.Fault {
		if g.judge(askedOfS3(r)...) {
			return s3test.Fault{}
		}
		return s3test.Fault{Status: http.StatusForbidden, Code: "AccessDenied"}
	})
	catalog := s3test.NewProxy(t, strings.TrimPrefix(w.GlueURL, "http://"))
	catalog.Set(func(r *http.Request) s3test.Fault {
		if g.judge(askedOfGlue(r)...) {
			return s3test.Fault{}
		}
		return s3test.Fault{Status: http.StatusBadRequest, Body: `{"__type":"AccessDeniedException","Message":"not allowed"}`}
	})
	g.env = []string{"AWS_ENDPOINT_URL_S3=" + store.URL(), "AWS_ENDPOINT_URL_GLUE=" + catalog.URL()}
	return g
}

// asked is one right that a request needs.
type asked struct{ action, resource, prefix string }

func (g *guard) judge(all ...asked) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range all {
		if !slices.ContainsFunc(g.policies, func(p policy) bool { return p.allows(a.action, a.resource, a.prefix) }) {
			g.refused = append(g.refused, fmt.Sprint(a.action, " on ", a.resource, " ", a.prefix))
			return false
		}
	}
	for _, a := range all {
		g.passed[a.action]++
	}
	return true
}

// requireEnough: everything was allowed, and these actions were asked for.
func (g *guard) requireEnough(t *testing.T, who string, actions ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Empty(t, g.refused, who)
	for _, a := range actions {
		require.Positive(t, g.passed[a], "%s never needed %s here", who, a)
	}
}

func askedOfS3(r *http.Request) []asked {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	if key == "" {
		return []asked{{"s3:ListBucket", "arn:aws:s3:::" + bucket, q.Get("prefix")}}
	}
	object := "arn:aws:s3:::" + bucket + "/" + key
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return []asked{{"s3:GetObject", object, ""}}
	case http.MethodDelete:
		if q.Has("uploadId") {
			return []asked{{"s3:AbortMultipartUpload", object, ""}}
		}
		return []asked{{"s3:DeleteObject", object, ""}}
	}
	if r.Header.Get("If-Match") != "" {
		return []asked{{"s3:PutObject", object, ""}, {"s3:GetObject", object, ""}}
	}
	return []asked{{"s3:PutObject", object, ""}}
}

// askedOfGlue: a table needs the right on itself, on its database and on the catalog.
func askedOfGlue(r *http.Request) []asked {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		DatabaseName, TableName, Name string
		DatabaseInput, TableInput     struct{ Name string }
	}
	if err != nil || json.Unmarshal(body, &in) != nil {
		return []asked{{"unreadable", "", ""}}
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	const account = "arn:aws:glue:us-east-1:123456789012:"
	database := in.DatabaseName + in.DatabaseInput.Name
	list := []asked{{"glue:" + op, account + "catalog", ""}, {"glue:" + op, account + "database/" + database, ""}}
	if op != "CreateDatabase" {
		list = append(list, asked{"glue:" + op, account + "table/" + database + "/" + in.TableName + in.Name + in.TableInput.Name, ""})
	}
	return list
}

// TestPoliciesAreEnough runs weir with each process and each command behind a guard of its policy.
func TestPoliciesAreEnough(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs processes")
	}
	all := policies(t)
	w, _ := fleet.Embedded(t)
	w.Sources = question.Sources
	guards := map[string]*guard{"gateway": newGuard(t, w, all)}
	for _, name := range []string{"sink", "catalog", "analyst", "operator", "register"} {
		guards[name] = newGuard(t, w, all, name)
	}
	guards["submitter"] = newGuard(t, w, all, "jobs-submitter", "jobs-submitter-cluster", "register")
	sink := append(guards["sink"].env, "WEIR_LEAVE=always") // a recovery wants the group empty
	w.EnvOf = map[string][]string{
		"gateway": guards["gateway"].env, "sink-0": sink, "sink-1": sink,
		"catalog": append(guards["catalog"].env, "WEIR_LEDGER_EVERY=1s"),
	}
	f := fleet.Launch(t, w)
	sent, err := question.Send(t.Context(), f, w.Broker)
	require.NoError(t, err)
	weir := func(role string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), w.Bin, args...)
		cmd.Env = append(append(os.Environ(), w.Environment()...), guards[role].env...)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s as %s: %w\n%s", args, role, err, out)
		}
		return string(out), nil
	}
	require.NoError(t, f.Await(t.Context(), time.Minute, func(context.Context) error {
		out, err := weir("analyst", "query", "--local", "--lake", fleet.LakeURL, "--output", "csv", "select 'rows', count(*) from eventlogs")
		if err == nil && !strings.Contains(out, fmt.Sprintf("rows,%d\n", sent.Total())) {
			err = fmt.Errorf("not yet: %s", out)
		}
		return err
	}))
	require.NoError(t, f.Await(t.Context(), time.Minute, func(context.Context) error {
		out, err := weir("analyst", "catalog", "history", "--lake", fleet.LakeURL, "--output", "csv")
		if err == nil && !strings.Contains(out, "eventlogs") {
			err = fmt.Errorf("not yet: %s", out)
		}
		return err
	}))

	kafka := append(w.KafkaFlags(), "--lake", fleet.LakeURL)
	commands := map[string][][]string{
		"analyst": {{"catalog", "tables"}, {"catalog", "partitions", "eventlogs"}, {"query", "--local", "--lake", fleet.LakeURL, "select count(*) from weir_files"}},
		"operator": {
			append([]string{"verify"}, kafka...),
			{"catalog", "reconcile", "--lake", fleet.LakeURL},
			append([]string{"catalog", "repair"}, kafka...),
			{"catalog", "history", "--lake", fleet.LakeURL},
			{"catalog", "tables"},
			{"catalog", "partitions", "eventlogs"},
		},
	}
	for role, list := range commands {
		for _, args := range list {
			_, err := weir(role, args...)
			require.NoError(t, err)
		}
	}
	jobsAndRegister(t, w, guards, weir)

	require.NoError(t, f.Stop())
	_, err = weir("operator", append([]string{"sink", "recover"}, kafka...)...)
	require.NoError(t, err)
	guards["gateway"].requireEnough(t, "gateway")
	require.Empty(t, guards["gateway"].passed)
	guards["sink"].requireEnough(t, "sink", "s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:AbortMultipartUpload")
	guards["catalog"].requireEnough(t, "catalog", "s3:PutObject", "s3:GetObject", "s3:ListBucket", "glue:CreateTable", "glue:BatchCreatePartition", "glue:GetTable")
	guards["analyst"].requireEnough(t, "analyst", "s3:GetObject", "glue:GetTables", "glue:GetPartitions")
	guards["operator"].requireEnough(t, "operator", "s3:GetObject", "s3:ListBucket", "glue:GetTable", "glue:GetPartitions")
	guards["register"].requireEnough(t, "register", "s3:ListBucket", "glue:GetTable", "glue:BatchCreatePartition")
	guards["submitter"].requireEnough(t, "submitter", "s3:PutObject", "s3:GetObject", "s3:ListBucket")

	_, err = weir("analyst", append([]string{"catalog", "repair"}, kafka...)...)
	require.ErrorContains(t, err, "denied", "the guard refuses")
}

// jobsAndRegister is the part of those who start jobs, and of those who tell the catalog of what jobs wrote.
func jobsAndRegister(t *testing.T, w fleet.World, guards map[string]*guard, weir func(string, ...string) (string, error)) {
	store, err := s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "weir"}, Endpoint: w.S3URL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret,
	}, nil)
	require.NoError(t, err)
	for _, day := range []string{"2025-01-01", "2025-01-02"} {
		require.NoError(t, store.Put(t.Context(), "lake/eventlogs/sourceid=a/dt="+day+"/history-0123456789abcdef-1of1.parquet", []byte("x")))
	}
	double := httptest.NewServer(emrtest.New(emrtest.Script{}))
	defer double.Close()
	guards["submitter"].env = append(guards["submitter"].env, "AWS_ENDPOINT_URL_EMR_SERVERLESS="+double.URL,
		"WEIR_APPLICATION=00f1", "WEIR_JOB_ROLE=arn:aws:iam::123456789012:role/jobs", "WEIR_JOB_LOGS=s3://weir/logs")
	_, err = weir("register", "catalog", "register", "--lake", fleet.LakeURL, "--table", "eventlogs", "--to", "2025-01-01")
	require.NoError(t, err)
	_, err = weir("submitter", "jobs", "run", "json_to_parquet", "--lake", fleet.LakeURL, "--to", "2025-01-02", "--register")
	require.NoError(t, err)
	require.NoError(t, store.Put(t.Context(), "logs/applications/00f1/jobs/r-1/SPARK_DRIVER/stdout", []byte("said\n")))
	out, err := weir("submitter", "jobs", "logs", "r-1")
	require.NoError(t, err)
	require.Contains(t, out, "said\n")
}
