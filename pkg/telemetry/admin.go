package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Admin is the side port: it never carries events, and listens on loopback unless
// told otherwise, because pprof shows memory.
type Admin struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// ServeAdmin listens on addr (port 0 picks a free one) and serves /metrics, /livez,
// /readyz, /debug/pprof and what Page adds until Close.
func (t *Telemetry) ServeAdmin(addr string) (*Admin, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on the admin address %s: %w", addr, err)
	}
	a := &Admin{
		listener: l,
		server:   &http.Server{Handler: t.AdminHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute},
		done:     make(chan struct{}),
	}
	go func() {
		defer close(a.done)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Log.Error("admin server ended", "err", err)
		}
	}()
	return a, nil
}

// Addr is where it listens.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Close stops the server: at once for idle connections, within a second for a
// scrape in flight.
func (a *Admin) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = a.server.Close()
	}
	<-a.done
	return err
}

// AdminHandler is what ServeAdmin serves.
func (t *Telemetry) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", t.MetricsHandler())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", t.serveReady)
	mux.Handle("/", t.pages)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (t *Telemetry) serveReady(w http.ResponseWriter, _ *http.Request) {
	report := t.Health.Report()
	w.Header().Set("Content-Type", "application/json")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report)
}
