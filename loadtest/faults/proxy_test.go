package faults

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// store counts what reached it whole, and answers.
func store(t *testing.T, status int) (url string, landed *atomic.Int64) {
	landed = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && len(body) == len("twenty bytes of body") {
			landed.Add(1)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the store's own answer")
	}))
	t.Cleanup(s.Close)
	return s.URL, landed
}

// open makes a proxy with a door for client-0, which notes who was killed.
func open(t *testing.T, url string) (p *Proxy, killed chan string) {
	p, err := New(url, 1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	killed = make(chan string, 10)
	p.Kill = func(door string) { killed <- door }
	return p, killed
}

func ask(t *testing.T, p *Proxy, glue bool) (status int, body string, err error) {
	door, err := p.Door("client-0")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, door+"/bucket/key", bytes.NewReader([]byte("twenty bytes of body")))
	require.NoError(t, err)
	if glue {
		req.Header.Set("X-Amz-Target", "AWSGlue.CreateTable")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// Every fault does what its name says: the request takes effect or not, and the client hears an answer, half of one,
// or nothing.
func TestEveryKind(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kinds[name]
			url, landed := store(t, http.StatusOK)
			p, killed := open(t, url)
			require.NoError(t, Rule{Kind: name}.Check(k.target))
			clear := p.Set(Rule{Kind: name})
			status, body, err := ask(t, p, k.target == "glue")
			if k.then == answers {
				require.NoError(t, err)
				require.Equal(t, k.status, status)
				require.Contains(t, body, k.code)
			} else {
				require.Error(t, err)
			}
			want := int64(0)
			if k.lands {
				want = 1
			}
			require.Equal(t, want, landed.Load())
			require.Len(t, p.Hits(), 1)
			require.Equal(t, k.then == kills, len(killed) == 1)

			clear()
			status, body, err = ask(t, p, k.target == "glue")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "the store's own answer", body)
			require.Len(t, p.Hits(), 1)
		})
	}
}

// A request that the store refused did not take effect: nobody pretends that it did.
func TestRefusalIsPassedOn(t *testing.T) {
	url, _ := store(t, http.StatusPreconditionFailed)
	p, _ := open(t, url)
	p.Set(Rule{Kind: "s3-no-such-upload"})
	status, body, err := ask(t, p, false)
	require.NoError(t, err)
	require.Equal(t, http.StatusPreconditionFailed, status)
	require.Equal(t, "the store's own answer", body)
}

func TestRulesMeetTheirOperationAndShare(t *testing.T) {
	url, _ := store(t, http.StatusOK)
	p, _ := open(t, url)
	p.Set(Rule{Kind: "s3-500", Op: "PutObject", Share: 0.5})
	p.Set(Rule{Kind: "s3-slow-down", Op: "GetObject"})
	p.Set(Rule{Kind: "s3-slow-down", Path: "/elsewhere/"})
	p.Set(Rule{Kind: "s3-slow-down", Door: "somebody"})
	for range 60 {
		_, _, err := ask(t, p, false)
		require.NoError(t, err)
	}
	require.InDelta(t, 30, p.Hits()["s3-500 PutObject"], 15)
	require.Len(t, p.Hits(), 1)
	p.Set(Rule{Kind: "s3-full", Op: "UploadPart|PutObject", Path: "/bucket/k", Door: "client", Times: 2})
	for range 20 {
		_, _, err := ask(t, p, false)
		require.NoError(t, err)
	}
	require.Equal(t, 2, p.Hits()["s3-full PutObject"])
	require.ErrorContains(t, Rule{Kind: "s3-500"}.Check("glue"), "no fault of glue")
	require.ErrorContains(t, Rule{Kind: "s3-500", Share: 2}.Check("s3"), "share")
}

func TestOperation(t *testing.T) {
	for line, want := range map[string]string{
		"POST /b/k?uploads": "CreateMultipartUpload", "POST /b/k?uploadId=1": "CompleteMultipartUpload",
		"PUT /b/k?partNumber=1&uploadId=1": "UploadPart", "DELETE /b/k?uploadId=1": "AbortMultipartUpload",
		"PUT /b/k": "PutObject", "GET /b/k": "GetObject", "HEAD /b/k": "HeadObject", "DELETE /b/k": "DeleteObject",
		"GET /b?list-type=2": "GETBucket", "HEAD /b/": "HEADBucket",
	} {
		method, path, _ := strings.Cut(line, " ")
		require.Equal(t, want, Operation(httptest.NewRequest(method, path, nil)), line)
	}
}
