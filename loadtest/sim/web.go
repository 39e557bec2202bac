package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// web is a process's way to S3 or to Glue: it answers in this process, after a while, unless a trap is sprung.
type web struct {
	link    *link
	service string // s3 or glue
	handler http.Handler
	name    func(*http.Request) string
}

// webDelay is the longest that a request takes.
const webDelay = 40 * time.Millisecond

func (w web) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	w.link.delay(webDelay)
	if err := w.link.pass(r.Context().Done()); err != nil {
		return nil, w.broken(r, err)
	}
	op := w.service + " " + w.name(r)
	t := w.link.w.spring(w.link, op)
	if t == nil {
		t = &trap{}
	}
	resp, err := w.before(t, r, body)
	if resp == nil && err == nil {
		resp, err = w.after(t, r, body)
	}
	if err != nil {
		return nil, err
	}
	if err := w.link.pass(r.Context().Done()); err != nil {
		return nil, w.broken(r, err)
	}
	resp.Request = r
	return resp, nil
}

// before is what a trap does instead of the call.
func (w web) before(t *trap, r *http.Request, body []byte) (*http.Response, error) {
	switch t.do {
	case reset:
		return nil, errReset
	case crashBefore:
		w.link.w.crash(w.link)
		return nil, errDead
	case swallow:
		return nil, w.unanswered(r)
	case late:
		w.link.w.held.Go(func() {
			time.Sleep(t.delay)
			w.link.w.trace.add(w.link.name, "a request that was held back arrives: %s", w.name(r))
			_, _ = w.call(r.WithContext(context.WithoutCancel(r.Context())), body)
			w.link.w.watch.excuse()
		})
		return nil, errReset
	case slow:
		time.Sleep(t.delay)
		w.link.w.watch.excuse() // its maker may be dead when it arrives
	case refuse:
		return w.refusal(t), nil
	case sayOK:
		return answered(http.StatusOK, "<Error><Code>"+t.code+"</Code><Message>said with status 200</Message></Error>"), nil
	case also:
		t.then()
	}
	return nil, nil
}

// after makes the call and does what a trap does to its answer.
func (w web) after(t *trap, r *http.Request, body []byte) (*http.Response, error) {
	resp, err := w.call(r, body)
	if err != nil {
		return nil, err
	}
	switch t.do {
	case lose:
		return nil, errReset
	case silent:
		return nil, w.unanswered(r)
	case crashAfter:
		w.link.w.crash(w.link)
		return nil, errDead
	case alsoAfter:
		t.then()
	case truncate:
		resp.Body = &broken{left: resp.ContentLength / 2, body: resp.Body}
	}
	return resp, nil
}

// call does it. A handler that aborts has broken the connection.
func (w web) call(r *http.Request, body []byte) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			resp, err = nil, errReset
		}
	}()
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, in)
	resp = rec.Result()
	if resp.ContentLength < 0 && r.Method != http.MethodHead {
		resp.ContentLength = int64(rec.Body.Len())
	}
	return resp, nil
}

// unanswered waits until the caller gives up, or is dead.
func (w web) unanswered(r *http.Request) error {
	select {
	case <-r.Context().Done():
		return w.broken(r, r.Context().Err())
	case <-w.link.died:
		return errDead
	}
}

// broken prefers the reason of the caller, which gave up by itself.
func (w web) broken(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return r.Context().Err()
	}
	return fmt.Errorf("%s: %w", w.service, err)
}

func (w web) refusal(t *trap) *http.Response {
	if w.service == "glue" {
		resp := answered(t.status, fmt.Sprintf(`{"__type":%q,"Message":"injected"}`, t.code))
		resp.Header.Set("X-Amzn-Errortype", t.code)
		return resp
	}
	if t.code == "" {
		return answered(t.status, "<html>not here</html>")
	}
	return answered(t.status, "<Error><Code>"+t.code+"</Code><Message>injected</Message></Error>")
}

func answered(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}
}

// broken is a body that breaks off.
type broken struct {
	left int64
	body io.ReadCloser
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *broken) Close() error { return b.body.Close() }

// s3Name says what a request to S3 asks for, as traps name it.
func s3Name(r *http.Request) string {
	q, path := r.URL.Query(), r.URL.Path
	switch {
	case q.Get("list-type") != "":
		return "list"
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "begin"
	case r.Method == http.MethodPost:
		return "complete"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "part"
	case r.Method == http.MethodDelete:
		return "abort"
	}
	what := "object"
	switch {
	case strings.Contains(path, "/_weir/catalog/"):
		what = "gate"
	case strings.Contains(path, "/_weir/columns/"):
		what = "columns"
	case strings.Contains(path, "/_weir/probe/"):
		what = "probe"
	case strings.Contains(path, "/_weir/owners/"):
		what = "owners"
	case strings.HasSuffix(path, "/started"):
		what = "started"
	case strings.Contains(path, "/_weir/"):
		what = "manifest"
	}
	return strings.ToLower(r.Method) + " " + what
}

func glueName(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}
