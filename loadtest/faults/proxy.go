package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Proxy stands in front of one store and has as many doors as there are clients to tell apart. It is safe for use by
// several goroutines.
type Proxy struct {
	// Kill ends the client behind a door, and returns when it is dead. Set it before a rule that kills.
	Kill func(door string)

	pass  *httputil.ReverseProxy
	doors map[string]*http.Server // guarded by mu
	urls  map[string]string
	mu    sync.Mutex
	rng   *rand.Rand
	rules map[int]*Rule
	next  int
	hits  map[string]int // "kind op" → how often
}

// New makes a proxy in front of the store at target (http://host:port). It has no door yet.
func New(target string, seed uint64) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("read the store's address: %w", err)
	}
	p := &Proxy{
		rng: rand.New(rand.NewPCG(seed, 2)), rules: map[int]*Rule{}, hits: map[string]int{},
		doors: map[string]*http.Server{}, urls: map[string]string{},
	}
	p.pass = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 10 * time.Second, DisableCompression: true},
	}
	return p, nil
}

// Door opens a loopback port for one client and returns its address, http://host:port; the same name is the same door.
func (p *Proxy) Door(name string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, open := p.urls[name]; open {
		return known, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a door for %s: %w", name, err)
	}
	serve := func(w http.ResponseWriter, r *http.Request) { p.serve(name, w, r) }
	server := &http.Server{Handler: http.HandlerFunc(serve), ReadHeaderTimeout: 10 * time.Second}
	p.doors[name], p.urls[name] = server, "http://"+listener.Addr().String()
	go func() { _ = server.Serve(listener) }()
	return p.urls[name], nil
}

// Close shuts every door and ends what is on its way through.
func (p *Proxy) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var faults []error
	for _, server := range p.doors {
		faults = append(faults, server.Close())
	}
	return errors.Join(faults...)
}

// Set makes a rule hold until the function that it returns is called.
func (p *Proxy) Set(r Rule) (clear func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.next
	p.next++
	p.rules[n] = &r
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.rules, n)
	}
}

// Hits says how often each fault met which operation.
func (p *Proxy) Hits() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.hits)
}

// draw returns the fault that this request meets.
func (p *Proxy) draw(door, op, path string) (kind, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range p.next {
		r, holds := p.rules[n]
		if !holds || !r.matches(door, op, path) || r.Share > 0 && p.rng.Float64() >= r.Share {
			continue
		}
		if r.Times--; r.Times == 0 {
			delete(p.rules, n)
		}
		p.hits[r.Kind+" "+op]++
		return kinds[r.Kind], true
	}
	return kind{}, false
}

func (r *Rule) matches(door, op, path string) bool {
	return (r.Op == "" || slices.Contains(strings.Split(r.Op, "|"), op)) && strings.Contains(path, r.Path) && strings.HasPrefix(door, r.Door)
}

// serve lets the request pass, or has it meet a fault.
func (p *Proxy) serve(door string, w http.ResponseWriter, r *http.Request) {
	k, meets := p.draw(door, Operation(r), r.URL.Path)
	if !meets {
		p.pass.ServeHTTP(w, r)
		return
	}
	if k.then == cutsIn {
		_, _ = io.CopyN(io.Discard, r.Body, max(1, r.ContentLength/2))
		panic(http.ErrAbortHandler)
	}
	heard := httptest.NewRecorder()
	if k.lands {
		// It lands whether the client waits or not.
		p.pass.ServeHTTP(heard, r.WithContext(context.WithoutCancel(r.Context())))
		if heard.Code >= http.StatusMultipleChoices && k.then != kills {
			replay(w, heard) // it did not take effect: the truth is the answer
			return
		}
	} else {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	switch k.then {
	case hangs:
		<-r.Context().Done()
	case kills:
		p.Kill(door)
		panic(http.ErrAbortHandler)
	case cutsOut:
		maps.Copy(w.Header(), heard.Header())
		w.Header().Set("Content-Length", fmt.Sprint(heard.Body.Len()+1)) // what is missing is a broken connection
		w.WriteHeader(heard.Code)
		_, _ = w.Write(heard.Body.Bytes()[:heard.Body.Len()/2])
		panic(http.ErrAbortHandler)
	case answers, cutsIn:
		k.answer(w)
	}
}

func replay(w http.ResponseWriter, heard *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), heard.Header())
	w.WriteHeader(heard.Code)
	_, _ = w.Write(heard.Body.Bytes())
}

func (k kind) answer(w http.ResponseWriter) {
	if k.target == "glue" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Errortype", k.code)
		w.WriteHeader(k.status)
		fmt.Fprintf(w, `{"__type":%q,"Message":"a fault of the test"}`, k.code)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(k.status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>a fault of the test</Message></Error>", k.code)
}

// Operation names a request as the AWS documentation does.
func Operation(r *http.Request) string {
	if _, op, glue := strings.Cut(r.Header.Get("X-Amz-Target"), "."); glue {
		return op
	}
	q := r.URL.Query()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "CompleteMultipartUpload"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "UploadPart"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case key == "":
		return r.Method + "Bucket"
	}
	return map[string]string{
		http.MethodPut: "PutObject", http.MethodGet: "GetObject", http.MethodHead: "HeadObject", http.MethodDelete: "DeleteObject",
	}[r.Method]
}
