// Package telemetry is how a running weir is seen: structured logs, OpenTelemetry
// metrics and traces, health, and one admin port that serves them with pprof.
// It keeps one invariant: nothing leaves the process unless the OTEL_* environment
// asks for it, while /metrics on the admin port is always complete. It decides
// nothing about what is counted or logged: each service's metrics.go does, and pure
// code does neither. Floor 3; owned by whoever operates weir.
package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

const scope = "weir"

// Options says who is observed and where its logs go.
type Options struct {
	Service   string    // gateway, sink, …; the OpenTelemetry service name is weir-<Service> unless OTEL_SERVICE_NAME says otherwise
	Version   string    // "" = what the build recorded
	LogLevel  string    // debug, info, warn, error; "" = info
	LogFormat string    // json, text; "" = json
	Output    io.Writer // where logs go; nil = stderr
}

// Telemetry is handed to everything that reports. Its fields are never nil.
type Telemetry struct {
	Log        *slog.Logger
	Meter      metric.Meter
	Tracer     trace.Tracer
	Propagator propagation.TextMapPropagator
	Health     *Health

	registry *prometheus.Registry
	pages    *pages
	stop     []func(context.Context) error // in the order of starting
}

// Start builds the telemetry of one process. The error of a wrong option or
// OTEL_* variable names it; a collector that cannot be reached is no error.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	handler, err := newHandler(o)
	if err != nil {
		return nil, err
	}
	t := Discard()
	t.Log = slog.New(handler)
	if err := t.startOTel(ctx, o); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// Discard is telemetry that goes nowhere, for tests; its Health works.
func Discard() *Telemetry {
	return &Telemetry{
		Log:        slog.New(slog.DiscardHandler),
		Meter:      metricnoop.NewMeterProvider().Meter(scope),
		Tracer:     tracenoop.NewTracerProvider().Tracer(scope),
		Propagator: propagation.TraceContext{},
		Health:     NewHealth(),
		registry:   prometheus.NewRegistry(),
		pages:      &pages{byPath: make(map[string]*page)},
	}
}

// Service is this telemetry as one of several services in a process sees it: its
// log lines carry the name, and its health is one part of the whole.
func (t *Telemetry) Service(name string) *Telemetry {
	part := *t
	part.Log = t.Log.With("service", name)
	part.Health = t.Health.Part(name)
	part.stop = nil
	return &part
}

// MetricsHandler serves every metric in the Prometheus and OpenMetrics formats;
// only the latter carries exemplars.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: t.registry})
}

// Shutdown sends what is buffered and stops exporting. It waits no longer than ctx.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for i := len(t.stop) - 1; i >= 0; i-- {
		errs = append(errs, t.stop[i](ctx))
	}
	t.stop = nil
	return errors.Join(errs...)
}
