package athena_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/athena"
	"weir/pkg/athena/athenatest"
	"weir/pkg/awsapi/awstest"
)

func open(t *testing.T, s *athenatest.Server) *athena.Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := athena.Open(t.Context(), athena.Config{
		Endpoint: server.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "s", MaxBackoff: time.Millisecond,
	})
	require.NoError(t, err)
	return c
}

var question = athena.Query{
	SQL: "select ?", Params: []string{"1"}, Database: "weir", Workgroup: "primary", Results: "s3://b/r/",
	Reuse: time.Hour, Token: strings.Repeat("t", 32),
}

func TestAQueryOverTheWire(t *testing.T) {
	one := "1"
	s := athenatest.New(athenatest.Script{
		States: []athena.State{athena.Queued, athena.Succeeded}, Scanned: 7, Reused: true,
		Columns: []athena.Column{{Name: "a", Type: "bigint"}, {Name: "b", Type: "varchar"}},
		Rows:    1500, Row: func(int) []*string { return []*string{&one, nil} },
	})
	c := open(t, s)
	id, err := c.Start(t.Context(), question)
	require.NoError(t, err)
	again, err := c.Start(t.Context(), question)
	require.NoError(t, err)
	require.Equal(t, id, again, "a start that is sent twice is one query")
	started, _ := s.Queries()
	require.Len(t, started, 1)
	require.Equal(t, []string{"1"}, started[0].ExecutionParameters)
	require.Equal(t, "weir", started[0].QueryExecutionContext.Database)
	require.Equal(t, "s3://b/r/", started[0].ResultConfiguration.OutputLocation)
	require.Equal(t, 60, started[0].ResultReuseConfiguration.ResultReuseByAgeConfiguration.MaxAgeInMinutes)

	e, err := c.Look(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, athena.Execution{State: athena.Queued, Scanned: 7, Reused: true, Rows: true}, e)
	_, err = c.Look(t.Context(), id)
	require.NoError(t, err)
	rows, next := 0, ""
	for {
		p, err := c.Page(t.Context(), id, next)
		require.NoError(t, err)
		require.Equal(t, []athena.Column{{Name: "a", Type: "bigint"}, {Name: "b", Type: "varchar"}}, p.Columns)
		require.Nil(t, p.Rows[1][1])
		rows += len(p.Rows)
		if next = p.Next; next == "" {
			break
		}
	}
	require.Equal(t, 1501, rows, "and the names")
	require.Equal(t, 2, s.Calls("GetQueryResults"))
}

func TestErrorsAreNamed(t *testing.T) {
	for code, want := range map[string]error{
		"TooManyRequestsException": athena.ErrThrottled,
		"ThrottlingException":      athena.ErrThrottled,
		"InternalServerException":  athena.ErrUnavailable,
		"InvalidRequestException":  athena.ErrInvalid,
		"AccessDeniedException":    athena.ErrDenied,
		"ExpiredTokenException":    athena.ErrExpired,
	} {
		s := athenatest.New(athenatest.Script{})
		c := open(t, s)
		s.Inject(awstest.Fault{Code: code})
		_, err := c.Look(t.Context(), "q-1")
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "look at query q-1")
		require.ErrorContains(t, err, code)
	}
	s := athenatest.New(athenatest.Script{})
	c := open(t, s)
	s.Inject(awstest.Fault{Drop: true})
	require.ErrorIs(t, c.Stop(t.Context(), "q-1"), athena.ErrUnavailable)
	require.Equal(t, 3, s.Calls("StopQueryExecution"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Page(ctx, "q-1", "")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAStartWhoseAnswerIsLostIsOneQuery(t *testing.T) {
	s := athenatest.New(athenatest.Script{})
	c := open(t, s)
	s.Inject(awstest.Fault{Op: "StartQueryExecution", Drop: true, Land: true, Count: 1})
	_, err := c.Start(t.Context(), question)
	require.ErrorIs(t, err, athena.ErrUnavailable)
	require.Equal(t, 1, s.Calls("StartQueryExecution"), "it is sent once")
	_, err = c.Start(t.Context(), question)
	require.NoError(t, err)
	started, _ := s.Queries()
	require.Len(t, started, 1)
}
