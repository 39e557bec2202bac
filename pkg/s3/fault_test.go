package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

// troubled is a store behind a proxy, with short pauses, and what its observer
// heard.
type troubled struct {
	*s3.Store
	*s3test.Proxy
	at       string
	attempts []s3.Attempt
}

func trouble(t *testing.T) *troubled {
	t.Helper()
	return impatient(t, 0)
}

// impatient gives up what stands still for idle.
func impatient(t *testing.T, idle time.Duration) *troubled {
	t.Helper()
	loc, err := lake.ParseLocation("s3://weir/trouble")
	require.NoError(t, err)
	tr := &troubled{Proxy: s3test.NewProxy(t, server.Addr()), at: uuid.NewString() + "/"}
	tr.Store, err = s3.Open(t.Context(), s3.Config{
		Lake: loc, Endpoint: tr.URL(), Region: embedded.Region, AccessKey: "dev", SecretKey: "dev-secret",
		MaxBackoff: time.Millisecond, IdleTimeout: idle,
	}, func(a s3.Attempt) { tr.attempts = append(tr.attempts, a) })
	require.NoError(t, err)
	return tr
}

func (tr *troubled) outcomes() (names []string) {
	for _, a := range tr.attempts {
		names = append(names, a.Op+" "+a.Outcome)
	}
	return names
}

func TestTroubleIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		fault   s3test.Fault
		outcome string
	}{
		{s3test.Fault{Status: 503, Code: "SlowDown"}, "throttled"},
		{s3test.Fault{Status: 500, Code: "InternalError"}, "server_error"},
		{s3test.Fault{Status: 429, Code: "TooManyRequests"}, "throttled"},
		{s3test.Fault{Status: 400, Code: "RequestTimeout"}, "error"},
		{s3test.Fault{Status: 400, Code: "ExpiredToken"}, "error"},
		{s3test.Fault{Status: 502, Code: "not XML <"}, "server_error"},
	} {
		t.Run(test.fault.Code, func(t *testing.T) {
			tr := trouble(t)
			tr.Set(s3test.First(7, test.fault, s3test.Method(http.MethodPut, "")))
			require.NoError(t, tr.Put(t.Context(), tr.at+"k", []byte("body")))
			want := make([]string, 7, 8)
			for i := range want {
				want[i] = "PutObject " + test.outcome
			}
			require.Equal(t, append(want, "PutObject ok"), tr.outcomes())
			last := tr.attempts[7]
			require.EqualValues(t, 4, last.Sent)
			require.Equal(t, 200, last.Status)
			require.NoError(t, last.Err)
			require.Equal(t, test.fault.Status, tr.attempts[0].Status)
		})
	}
}

func TestAnUnreachableStoreIsWaitedFor(t *testing.T) {
	loc, err := lake.ParseLocation("s3://weir/l")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	s, err := s3.Open(ctx, s3.Config{
		Lake: loc, Endpoint: "http://127.0.0.1:1", Region: "r", AccessKey: "a", SecretKey: "b", MaxBackoff: time.Millisecond,
	}, func(a s3.Attempt) {
		if seen++; seen == 50 {
			cancel()
		}
	})
	require.NoError(t, err)
	_, err = s.Head(ctx, "k")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 50, seen)
}

func TestPutWhoseAnswerIsLost(t *testing.T) {
	ctx := t.Context()
	lost := func(tr *troubled) {
		tr.Set(s3test.First(1, s3test.Fault{Lose: true}, s3test.Method(http.MethodPut, "")))
	}

	tr := trouble(t)
	lost(tr)
	require.NoError(t, tr.PutIfAbsent(ctx, tr.at+"mine", []byte("mine")))
	require.Equal(t, []string{"PutObject error", "PutObject precondition", "GetObject ok"}, tr.outcomes())

	require.NoError(t, tr.Put(ctx, tr.at+"theirs", []byte("theirs")))
	lost(tr)
	require.ErrorIs(t, tr.PutIfAbsent(ctx, tr.at+"theirs", []byte("mine")), s3.ErrExists)

	// Without a lost answer, equal bytes are no excuse.
	tr.Set(func(*http.Request) s3test.Fault { return s3test.Fault{} })
	require.ErrorIs(t, tr.PutIfAbsent(ctx, tr.at+"mine", []byte("mine")), s3.ErrExists)

	_, etag, err := tr.Get(ctx, tr.at+"mine")
	require.NoError(t, err)
	lost(tr)
	replaced, err := tr.PutIfMatch(ctx, tr.at+"mine", []byte("mine, again"), etag)
	require.NoError(t, err)
	head, err := tr.Head(ctx, tr.at+"mine")
	require.NoError(t, err)
	require.Equal(t, head.ETag, replaced)
	require.NotEqual(t, etag, replaced)
}

func TestConflictsEnd(t *testing.T) {
	conflict := s3test.Fault{Status: 409, Code: "ConditionalRequestConflict"}
	tr := trouble(t)
	tr.Set(s3test.First(4, conflict, s3test.Method(http.MethodPut, "")))
	require.NoError(t, tr.PutIfAbsent(t.Context(), tr.at+"k", []byte("body")))
	require.Len(t, tr.attempts, 5)

	tr.Set(s3test.First(-1, conflict, s3test.Method(http.MethodPost, "uploadId")))
	id, parts := tr.upload(t, "other")
	require.ErrorIs(t, tr.CompleteUpload(t.Context(), tr.at+"other", id, parts), s3.ErrConflict)
	tr.Set(s3test.First(4, conflict, s3test.Method(http.MethodPost, "uploadId")))
	require.NoError(t, tr.CompleteUpload(t.Context(), tr.at+"other", id, parts))
}

func (tr *troubled) upload(t *testing.T, key string) (id string, parts []flush.Part) {
	t.Helper()
	id, err := tr.CreateUpload(t.Context(), tr.at+key, "")
	require.NoError(t, err)
	p, err := tr.UploadPart(t.Context(), tr.at+key, id, 1, []byte("body"))
	require.NoError(t, err)
	return id, []flush.Part{p}
}

func TestCompleteThatFails(t *testing.T) {
	ctx := t.Context()
	complete := s3test.Method(http.MethodPost, "uploadId")

	t.Run("200 with an error inside", func(t *testing.T) {
		tr := trouble(t)
		id, parts := tr.upload(t, "k")
		tr.Set(s3test.First(2, s3test.Fault{Status: 200, Code: "InternalError"}, complete))
		require.NoError(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts))
		head, err := tr.Head(ctx, tr.at+"k")
		require.NoError(t, err)
		require.EqualValues(t, 4, head.Bytes)
	})
	t.Run("200 that says no such upload", func(t *testing.T) {
		tr := trouble(t)
		id, parts := tr.upload(t, "k")
		tr.Set(s3test.First(1, s3test.Fault{Status: 200, Code: "NoSuchUpload"}, complete))
		err := tr.CompleteUpload(ctx, tr.at+"k", id, parts)
		if err != nil { // the SDK may also try again, and then it is there
			require.ErrorIs(t, err, s3.ErrNoSuchUpload)
		}
	})
	t.Run("the answer is lost", func(t *testing.T) {
		tr := trouble(t)
		id, parts := tr.upload(t, "k")
		tr.Set(s3test.First(1, s3test.Fault{Lose: true}, complete))
		saysDone(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts))
		_, err := tr.Head(ctx, tr.at+"k")
		require.NoError(t, err)
	})
	t.Run("another one is at it", func(t *testing.T) {
		claimed := s3test.Fault{Status: 200, Body: "<CompleteMultipartUploadResult><ETag>x-1</ETag></CompleteMultipartUploadResult>"}
		tr := trouble(t)
		id, parts := tr.upload(t, "k")
		tr.Set(s3test.First(-1, claimed, complete))
		require.ErrorIs(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts), s3.ErrConflict)
		tr.Set(s3test.First(2, claimed, complete))
		require.NoError(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts))
		_, err := tr.Head(ctx, tr.at+"k")
		require.NoError(t, err)
		tr.Set(s3test.First(1, claimed, complete))
		require.NoError(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts), "it is there")
	})
	t.Run("the answer breaks off", func(t *testing.T) {
		tr := trouble(t)
		id, parts := tr.upload(t, "k")
		tr.Set(s3test.First(1, s3test.Fault{Cut: 20}, complete))
		saysDone(t, tr.CompleteUpload(ctx, tr.at+"k", id, parts))
	})
}

// saysDone: what stores answer to the second sending when the first has landed.
func saysDone(t *testing.T, err error) {
	t.Helper()
	require.True(t, err == nil || errors.Is(err, s3.ErrExists) || errors.Is(err, s3.ErrNoSuchUpload), "%v", err)
}

func TestABodyThatBreaksOffIsTakenUpAgain(t *testing.T) {
	ctx := t.Context()
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	tr := trouble(t)
	require.NoError(t, tr.Put(ctx, tr.at+"k", body))
	get := s3test.Method(http.MethodGet, "")

	tr.Set(s3test.First(3, s3test.Fault{Cut: 100_000}, get))
	got, _, err := tr.Get(ctx, tr.at+"k")
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))

	// Another object under the same key is not glued to the first one's half.
	tr.Set(s3test.First(1, s3test.Fault{Cut: 100_000}, get))
	r, err := tr.Reader(ctx, tr.at+"k")
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, r, 50_000)
	require.NoError(t, err)
	require.NoError(t, tr.Put(ctx, tr.at+"k", bytes.Repeat([]byte("another"), 50_000)))
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, s3.ErrChanged)
	require.NoError(t, r.Close())
}

func TestAnAttemptThatStandsStillIsGivenUp(t *testing.T) {
	tr := impatient(t, time.Second)
	tr.Set(s3test.First(1, s3test.Fault{Stall: true}, s3test.Method(http.MethodPut, "")))
	require.NoError(t, tr.Put(t.Context(), tr.at+"k", []byte("body")))
	got := tr.outcomes() // a machine that is slow enough stands still, too
	require.Equal(t, "PutObject timeout", got[0])
	require.Equal(t, "PutObject ok", got[len(got)-1])
	require.ErrorContains(t, tr.attempts[0].Err, "no byte moved for 1s")
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	loc, err := lake.ParseLocation("s3://weir/l")
	require.NoError(t, err)
	attempts := 0
	s, err := s3.Open(ctx, s3.Config{
		Lake: loc, Endpoint: "http://" + server.Addr(), Region: embedded.Region, AccessKey: "dev", SecretKey: "wrong",
	}, func(s3.Attempt) { attempts++ })
	require.NoError(t, err)
	require.ErrorIs(t, s.Put(ctx, "k", nil), s3.ErrDenied)
	require.Equal(t, 1, attempts)
	require.ErrorContains(t, s.Probe(ctx), "SignatureDoesNotMatch")

	absent := open(t, "s3://no-such-bucket/l", nil)
	require.ErrorIs(t, absent.Put(ctx, "k", nil), s3.ErrNoBucket)
	_, _, err = absent.Get(ctx, "k")
	require.ErrorIs(t, err, s3.ErrNoBucket)
	require.NotErrorIs(t, err, s3.ErrNotFound)
	for _, err := range absent.List(ctx, "", "") {
		require.ErrorIs(t, err, s3.ErrNoBucket)
	}
	require.ErrorIs(t, absent.Probe(ctx), s3.ErrNoBucket)
}

func TestProbeRefusesWhatIgnoresConditions(t *testing.T) {
	for name, test := range map[string]struct {
		match func(*http.Request) bool
		says  string
	}{
		"put if absent": {func(r *http.Request) bool { return r.Method == http.MethodPut && r.Header.Get("If-None-Match") != "" }, "If-None-Match on put"},
		"put if match":  {func(r *http.Request) bool { return r.Method == http.MethodPut && r.Header.Get("If-Match") != "" }, "If-Match on put"},
		"complete":      {s3test.Method(http.MethodPost, "uploadId"), "If-None-Match on complete"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := trouble(t)
			tr.Set(s3test.First(-1, s3test.Fault{Answer: s3test.Accepted}, test.match))
			err := tr.Probe(t.Context())
			require.ErrorIs(t, err, s3.ErrUnfit)
			require.ErrorContains(t, err, test.says)
			tr.Set(func(*http.Request) s3test.Fault { return s3test.Fault{} })
			require.NoError(t, tr.Probe(t.Context()))
		})
	}
	t.Run("not implemented", func(t *testing.T) {
		tr := trouble(t)
		tr.Set(s3test.First(-1, s3test.Fault{Status: 501, Code: "NotImplemented"}, func(r *http.Request) bool { return r.Header.Get("If-Match") != "" }))
		require.ErrorContains(t, tr.Probe(t.Context()), "If-Match on put")
	})
}
