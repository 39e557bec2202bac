package athena

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	api "weir/pkg/athena"
	"weir/pkg/athena/athenatest"
	"weir/pkg/awsapi/awstest"
	"weir/services/query/rows"
)

func client(t *testing.T, s *athenatest.Server) *api.Client {
	t.Helper()
	c, err := api.Open(t.Context(), api.Config{
		Endpoint: "http://athena.test", Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Millisecond, Transport: s,
	})
	require.NoError(t, err)
	return c
}

var asked = Request{Query: api.Query{SQL: "select 1", Database: "weir", Workgroup: "primary"}, MaxRows: 100_000, Timeout: "query-timeout is over"}

// numbers is an answer of n rows.
func numbers(n int, s athenatest.Script) athenatest.Script {
	s.Columns = []api.Column{{Name: "n", Type: "bigint"}, {Name: "text", Type: "varchar"}}
	s.Rows = n
	s.Row = func(i int) []*string {
		n, text := fmt.Sprint(i), strings.Repeat("x", 200)
		return []*string{&n, &text}
	}
	return s
}

// in runs a test in virtual time.
func in(t *testing.T, s *athenatest.Server, f func(t *testing.T, c *api.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, client(t, s)) })
}

func TestAnAnswer(t *testing.T) {
	s := athenatest.New(numbers(2500, athenatest.Script{
		States:  []api.State{api.Queued, api.Running, api.Queued, api.Running, api.Succeeded},
		Scanned: 12_345, Reused: true,
	}))
	in(t, s, func(t *testing.T, c *api.Client) {
		var got rows.Rows
		out, err := Run(t.Context(), c, asked, &got)
		require.NoError(t, err)
		require.Equal(t, Outcome{ID: "q-1", Scanned: 12_345, Reused: true, Rows: 2500}, out)
		require.Len(t, got.Values, 2500, "the names are no row")
		require.Equal(t, []any{int64(0), strings.Repeat("x", 200)}, got.Values[0])
		require.Equal(t, 5, s.Calls("GetQueryExecution"))
		require.Equal(t, 3, s.Calls("GetQueryResults"))
		require.Zero(t, s.Calls("StopQueryExecution"))
	})
}

func TestTroubleThatPasses(t *testing.T) {
	s := athenatest.New(numbers(1500, athenatest.Script{States: []api.State{api.Running, api.Succeeded}}))
	s.Inject(awstest.Fault{Op: "StartQueryExecution", Code: "TooManyRequestsException", Count: 3})
	s.Inject(awstest.Fault{Op: "StartQueryExecution", Drop: true, Land: true, Count: 2})
	s.Inject(awstest.Fault{Op: "GetQueryExecution", Code: "ThrottlingException", Count: 7})
	s.Inject(awstest.Fault{Op: "GetQueryExecution", Drop: true, Count: 4, After: 1})
	s.Inject(awstest.Fault{Op: "GetQueryResults", Code: "InternalServerException", Count: 5, After: 1})
	in(t, s, func(t *testing.T, c *api.Client) {
		var got rows.Rows
		out, err := Run(t.Context(), c, asked, &got)
		require.NoError(t, err)
		require.Equal(t, 1500, out.Rows)
		for i, row := range got.Values {
			require.Equal(t, int64(i), row[0], "each row once, in order")
		}
		started, _ := s.Queries()
		require.Len(t, started, 1, "starts whose answers were lost are one query")
		require.Equal(t, 6, s.Calls("StartQueryExecution"))
	})
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		script    athenatest.Script
		fault     awstest.Fault
		want      string
		cancelled int
	}{
		"of the query": {
			athenatest.Script{States: []api.State{api.Running, api.Failed}, Reason: "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"},
			awstest.Fault{Op: "none"},
			"query q-1 failed on Athena: COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved (asked again it would fail in the same way)", 0,
		},
		"of the engine": {
			athenatest.Script{States: []api.State{api.Failed}, Reason: "INTERNAL_ERROR_QUERY_ENGINE", Retryable: true},
			awstest.Fault{Op: "none"},
			"query q-1 failed on Athena: INTERNAL_ERROR_QUERY_ENGINE (asked again it may come through)", 0,
		},
		"a start that is refused": {
			athenatest.Script{},
			awstest.Fault{Op: "StartQueryExecution", Code: "InvalidRequestException"},
			"start a query in workgroup primary: invalid request", 0,
		},
		"a start that is never answered": {
			athenatest.Script{},
			awstest.Fault{Op: "StartQueryExecution", Drop: true},
			"no start was answered, so it may run all the same: look for the token", 0,
		},
		"throttled for ever": {
			athenatest.Script{},
			awstest.Fault{Op: "StartQueryExecution", Code: "TooManyRequestsException"},
			"throttled (TooManyRequestsException", 0,
		},
		"credentials that expire": {
			athenatest.Script{States: []api.State{api.Running}},
			awstest.Fault{Op: "GetQueryExecution", Code: "ExpiredTokenException", After: 2, Count: 1},
			"query q-1 is given up: look at query q-1: the AWS credentials have expired: sign in again", 1,
		},
		"credentials that expire for good": {
			athenatest.Script{States: []api.State{api.Running}},
			awstest.Fault{Code: "ExpiredTokenException", After: 2},
			"it could not be cancelled and may run on: aws athena stop-query-execution --query-execution-id q-1", 0,
		},
		"a page token that expires": {
			numbers(1500, athenatest.Script{}),
			awstest.Fault{Op: "GetQueryResults", Code: "InvalidRequestException", After: 1},
			"query q-1 succeeded, 999 rows of its answer were read: read the answer of query q-1: invalid request", 0,
		},
		"too many rows": {
			numbers(100_001, athenatest.Script{}),
			awstest.Fault{Op: "none"},
			"more than 100000 rows", 0,
		},
		"never done with looking": {
			athenatest.Script{States: []api.State{api.Running}},
			awstest.Fault{Op: "GetQueryExecution", Code: "ThrottlingException"},
			"query q-1 is given up: look at query q-1: throttled", 1,
		},
	} {
		s := athenatest.New(c.script)
		s.Inject(c.fault)
		in(t, s, func(t *testing.T, client *api.Client) {
			_, err := Run(t.Context(), client, asked, discard{})
			require.ErrorContains(t, err, c.want, name)
			_, cancelled := s.Queries()
			require.Equal(t, c.cancelled, cancelled, name)
		})
	}
}

type discard struct{}

func (discard) Head([]rows.Column) error { return nil }
func (discard) Row([]any) error          { return nil }

func TestACancelledClientCancelsItsQuery(t *testing.T) {
	for name, c := range map[string]struct {
		op    string // at which call the client gives up
		fault awstest.Fault
	}{
		"at the start":                  {"StartQueryExecution", awstest.Fault{Op: "none"}},
		"at a start that loses its way": {"StartQueryExecution", awstest.Fault{Op: "StartQueryExecution", Drop: true, Land: true, Count: 1}},
		"at a look":                     {"GetQueryExecution", awstest.Fault{Op: "none"}},
	} {
		s := athenatest.New(athenatest.Script{States: []api.State{api.Running}, Scanned: 7})
		s.Inject(c.fault)
		in(t, s, func(t *testing.T, client *api.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			s.Before(func(op string) {
				if op == c.op {
					cancel()
				}
			})
			out, err := Run(ctx, client, asked, discard{})
			require.ErrorIs(t, err, context.Canceled, name)
			require.ErrorContains(t, err, "query q-1 was cancelled, it had read 7 bytes", name)
			require.Equal(t, "q-1", out.ID)
			started, cancelled := s.Queries()
			require.Len(t, started, 1, name)
			require.Equal(t, 1, cancelled, name)
		})
	}
	s := athenatest.New(athenatest.Script{States: []api.State{api.Running}})
	in(t, s, func(t *testing.T, client *api.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		_, err := Run(ctx, client, asked, discard{})
		require.ErrorContains(t, err, "query-timeout is over")
		require.Equal(t, time.Hour, time.Since(began))
		require.Less(t, s.Calls("GetQueryExecution"), 3600/5+20, "it is asked less and less often")
	})
}

func TestASinkThatBreaksEndsIt(t *testing.T) {
	s := athenatest.New(numbers(5000, athenatest.Script{}))
	broken := errors.New("broken pipe")
	in(t, s, func(t *testing.T, client *api.Client) {
		_, err := Run(t.Context(), client, asked, breaks{broken})
		require.ErrorIs(t, err, broken)
		require.Equal(t, 1, s.Calls("GetQueryResults"))
	})
}

type breaks struct{ err error }

func (breaks) Head([]rows.Column) error { return nil }
func (b breaks) Row([]any) error        { return b.err }

// 100,000 rows over a network go through as they come: the answer is 20 MB, and what is
// held of it a page.
func TestALongAnswerIsNotHeld(t *testing.T) {
	s := athenatest.New(numbers(100_000, athenatest.Script{}))
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := api.Open(t.Context(), api.Config{Endpoint: server.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "s"})
	require.NoError(t, err)
	for _, format := range []rows.Format{rows.CSV, rows.JSON} {
		r, w := io.Pipe()
		out, err := rows.NewWriter(w, format)
		require.NoError(t, err)
		watched := &watch{Sink: out}
		lines := make(chan int, 1)
		go func() { lines <- count(r) }()
		ended, err := Run(t.Context(), c, asked, watched)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		require.NoError(t, w.Close())
		require.Equal(t, 100_000, ended.Rows)
		require.GreaterOrEqual(t, <-lines, 100_001)
		require.Less(t, watched.most, uint64(12<<20), "bytes of heap that live while %s is written", format)
	}
}

func count(r io.Reader) (lines int) {
	part := make([]byte, 64<<10)
	for {
		n, err := r.Read(part)
		lines += strings.Count(string(part[:n]), "\n")
		if err != nil {
			return lines
		}
	}
}

// watch looks at the heap now and then.
type watch struct {
	rows.Sink
	rows, base, most uint64
}

func (w *watch) Row(values []any) error {
	if w.rows++; w.rows%20_000 == 1 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if w.rows == 1 {
			w.base = m.HeapAlloc
		}
		w.most = max(w.most, m.HeapAlloc-min(w.base, m.HeapAlloc))
	}
	return w.Sink.Row(values)
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		text, typ string
		want      any
	}{
		{"1", "bigint", int64(1)},
		{"-7", "integer", int64(-7)},
		{"true", "boolean", true},
		{"1.50", "decimal", json.Number("1.50")},
		{"1.0E10", "double", json.Number("1.0E10")},
		{"abc", "varchar", "abc"},
		{"1", "varchar", "1"},
		{"2026-11-22 23:30:00.123", "timestamp", "2026-11-22 23:30:00.123"},
		{"{a=1, b=2}", "map", "{a=1, b=2}"},
	} {
		require.Equal(t, c.want, value(c.text, c.typ), c)
	}
	require.Equal(t, []any{nil, nil}, values([]*string{nil}, []api.Column{{Type: "bigint"}, {Type: "varchar"}}))
	var out strings.Builder
	w, err := rows.NewWriter(&out, rows.JSON)
	require.NoError(t, err)
	require.NoError(t, w.Head([]rows.Column{{Name: "a"}, {Name: "b"}}))
	require.NoError(t, w.Row([]any{value("NaN", "double"), value("-Infinity", "float")}))
	require.NoError(t, w.Close())
	require.JSONEq(t, `[{"a":"NaN","b":"-Infinity"}]`, out.String())
}
