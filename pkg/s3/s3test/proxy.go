package s3test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Fault is what a Proxy does to one request. Its zero value lets it pass.
type Fault struct {
	Status int    // answer this, do not ask the store
	Code   string // the error's code in the answer's body
	Body   string // or the whole body of the answer
	Lose   bool   // ask the store, then cut the connection: it landed, nobody knows
	Cut    int64  // ask the store, cut the connection after so many bytes of its answer's body
	Stall  bool   // answer nothing until the client goes away
	Answer func(*http.Response)
}

// Proxy stands between a client and a store and makes trouble. Signatures stay
// good: the host that the client signed is passed on.
type Proxy struct {
	server *httptest.Server
	mu     sync.Mutex
	fault  func(r *http.Request) Fault
}

// NewProxy starts one in front of the store at addr (host:port). It ends with
// the test.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	p := &Proxy{fault: func(*http.Request) Fault { return Fault{} }}
	transport := &http.Transport{DisableKeepAlives: true}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		f := p.fault(r)
		p.mu.Unlock()
		f.serve(w, r, &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(&url.URL{Scheme: "http", Host: addr})
				pr.Out.Host = pr.In.Host
			},
			ModifyResponse: f.modify,
		})
	}))
	t.Cleanup(p.server.Close)
	return p
}

// URL is the endpoint for the client.
func (p *Proxy) URL() string { return p.server.URL }

// Set says what happens to each request from now on.
func (p *Proxy) Set(fault func(r *http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// First meets the first n requests for which match holds with f.
func First(n int, f Fault, match func(r *http.Request) bool) func(*http.Request) Fault {
	return func(r *http.Request) Fault {
		if n == 0 || !match(r) {
			return Fault{}
		}
		n--
		return f
	}
}

// Method matches requests of a method whose query has key; "" = any query.
func Method(method, query string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && (query == "" || r.URL.Query().Has(query))
	}
}

func (f Fault) serve(w http.ResponseWriter, r *http.Request, store http.Handler) {
	switch {
	case f.Stall:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	case f.Status != 0:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(f.Status)
		if f.Body != "" {
			_, _ = io.WriteString(w, f.Body)
			return
		}
		_, _ = io.WriteString(w, "<Error><Code>"+f.Code+"</Code><Message>injected</Message></Error>")
	case f.Lose:
		store.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		store.ServeHTTP(w, r)
	}
}

func (f Fault) modify(resp *http.Response) error {
	if f.Answer != nil {
		f.Answer(resp)
	}
	if f.Cut > 0 {
		// The announced length stays: what is missing then is a broken connection.
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, f.Cut), resp.Body}
	}
	return nil
}

// Accepted turns a refusal into what a store would answer that had ignored the
// condition.
func Accepted(resp *http.Response) {
	if resp.StatusCode != http.StatusPreconditionFailed {
		return
	}
	_ = resp.Body.Close()
	body := "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
	resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
	resp.Header = http.Header{"Etag": {`"0"`}}
	resp.ContentLength = int64(len(body))
	resp.Body = io.NopCloser(strings.NewReader(body))
}
