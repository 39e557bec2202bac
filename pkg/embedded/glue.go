package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"weir/pkg/embedded/internal/gluedb"
)

// maxGlueRequest bounds a request's body; the largest is a batch of 100
// partitions with their columns.
const maxGlueRequest = 32 << 20

// GlueOptions of StartGlue.
type GlueOptions struct {
	Dir  string // its own directory; "" keeps all in memory
	Addr string // "127.0.0.1:7071"; port 0 picks a free one
}

// Glue is a running embedded Glue: AWS's JSON protocol, the catalog's operations
// on databases, tables, partitions and indexes. It takes every signature for
// good.
type Glue struct {
	db     *gluedb.DB
	lock   *os.File
	server *http.Server
	addr   string
	done   chan struct{} // closed when the server has ended

	mu     sync.Mutex
	faults []*GlueInjection
	unused map[net.Conn]struct{} // connections on which nothing was asked yet
}

// NewGlue makes a Glue in memory that listens nowhere: its ServeHTTP is called by whoever has the requests. It needs
// no Close.
func NewGlue() (*Glue, error) {
	db, err := gluedb.Open("")
	if err != nil {
		return nil, fmt.Errorf("make an embedded Glue: %w", err)
	}
	return &Glue{db: db}, nil
}

// StartGlue starts the server on Addr.
func StartGlue(o GlueOptions) (*Glue, error) {
	g := &Glue{done: make(chan struct{}), unused: make(map[net.Conn]struct{})}
	if o.Dir != "" {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("start embedded Glue: %w", err)
		}
		if g.lock, err = lockDir("Glue", dir); err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	ln, err := listen("Glue", o.Addr)
	if err != nil {
		return nil, errors.Join(err, g.unlock())
	}
	if g.db, err = gluedb.Open(o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded Glue: %w", err), ln.Close(), g.unlock())
	}
	g.addr = ln.Addr().String()
	g.server = &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second, ConnState: g.note}
	go g.run(ln)
	return g, nil
}

func (g *Glue) run(ln net.Listener) {
	defer close(g.done)
	_ = g.server.Serve(ln) // always ErrServerClosed: Close is the only end
}

// Addr is the server's address, without the scheme.
func (g *Glue) Addr() string { return g.addr }

// note keeps the connections that are unused. A client that asks several things at once dials more than it needs.
func (g *Glue) note(c net.Conn, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if delete(g.unused, c); state == http.StateNew {
		g.unused[c] = struct{}{}
	}
}

// cut ends the unused connections, for which Shutdown would wait.
func (g *Glue) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.unused {
		_ = c.Close() // its client is told as of one that is idle
	}
}

// Close answers what is being asked, stops, and waits for the end.
func (g *Glue) Close() error {
	g.server.RegisterOnShutdown(g.cut)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := g.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, g.server.Close())
	}
	<-g.done
	return errors.Join(err, g.db.Close(), g.unlock())
}

func (g *Glue) unlock() error {
	if g.lock == nil {
		return nil
	}
	return g.lock.Close()
}

// ServeHTTP answers one call.
func (g *Glue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AWSGlue.")
	if r.Method != http.MethodPost || !ok {
		answerGlue(w, nil, &gluedb.Error{Code: "UnknownOperationException", Message: "this is Glue's JSON protocol: POST with X-Amz-Target"})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGlueRequest))
	if err != nil {
		answerGlue(w, nil, &gluedb.Error{Code: "InvalidInputException", Message: err.Error()})
		return
	}
	f := g.hit(op)
	if f.refuses() {
		answerGlue(w, nil, f.err(op))
		return
	}
	var out any
	if !f.Drop || f.Land {
		out, err = g.db.Call(op, body, f.Items)
	}
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	case f.Code != "":
		answerGlue(w, nil, f.err(op))
	default:
		answerGlue(w, out, err)
	}
}

func answerGlue(w http.ResponseWriter, out any, err error) {
	status := http.StatusOK
	if err != nil {
		var e *gluedb.Error
		if !errors.As(err, &e) {
			e = &gluedb.Error{Code: "InternalServiceException", Message: err.Error()}
		}
		out = map[string]string{"__type": e.Code, "Message": e.Message}
		status = http.StatusBadRequest
		if e.Code == "InternalServiceException" {
			status = http.StatusInternalServerError
		}
		w.Header().Set("X-Amzn-ErrorType", e.Code)
	}
	body, err := json.Marshal(out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
