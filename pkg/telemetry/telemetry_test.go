package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// clearEnv makes a test independent of the environment it is run in.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS",
	} {
		t.Setenv(name, "")
	}
}

func start(t *testing.T) *Telemetry {
	t.Helper()
	tel, err := Start(t.Context(), Options{Service: "gateway", Version: "v1.2.3", Output: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	return tel
}

func scrape(t *testing.T, tel *Telemetry, accept string) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	tel.AdminHandler().ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func TestMetricsPage(t *testing.T) {
	clearEnv(t)
	tel := start(t)
	h, err := tel.Meter.Float64Histogram("weir.sink.flush.duration", metric.WithUnit("s"), FlushSeconds())
	require.NoError(t, err)
	sampled := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	h.Record(sampled, 1.2, metric.WithAttributes(attribute.String("phase", "encode")))

	text := scrape(t, tel, "text/plain")
	require.Contains(t, text, `weir_sink_flush_duration_seconds_bucket{phase="encode",le="1"} 0`)
	require.Contains(t, text, `weir_sink_flush_duration_seconds_bucket{phase="encode",le="2.5"} 1`)
	require.Contains(t, text, `weir_build_info{commit=`)
	require.Contains(t, text, `version="v1.2.3"} 1`)
	require.Contains(t, text, `service_name="weir-gateway"`)
	require.Contains(t, text, "go_goroutine_count")
	require.Contains(t, text, "process_resident_memory_bytes")
	require.NotContains(t, text, "otel_scope_")

	open := scrape(t, tel, "application/openmetrics-text; version=1.0.0")
	require.Regexp(t, `le="2.5"} 1 # {.*trace_id="01000000000000000000000000000000".*} 1.2`, open)
}

func TestEnvironmentNamesTheService(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_SERVICE_NAME", "events-in")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=growth")
	text := scrape(t, start(t), "text/plain")
	require.Contains(t, text, `service_name="events-in"`)
	require.Contains(t, text, `team="growth"`)
}

func TestNothingIsExportedUnlessTheEnvironmentSaysSo(t *testing.T) {
	clearEnv(t)
	tel := start(t)
	require.IsType(t, tracenoop.Tracer{}, tel.Tracer)
	for value, want := range map[string]bool{"": false, "none": false, "prometheus": false, "otlp": true, "console": true} {
		t.Setenv("OTEL_METRICS_EXPORTER", value)
		require.Equal(t, want, exported("METRICS"), value)
	}
}

func TestAnEndpointIsEnough(t *testing.T) {
	clearEnv(t)
	var posts sync.Map
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		posts.Store(r.URL.Path, true)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tel, err := Start(t.Context(), Options{Service: "sink", Output: io.Discard})
	require.NoError(t, err)
	_, span := tel.Tracer.Start(t.Context(), "flush")
	require.True(t, span.SpanContext().IsSampled())
	span.End()
	tel.Log.Info("hello")
	require.NoError(t, tel.Shutdown(context.Background()))
	for _, path := range []string{"/v1/metrics", "/v1/traces", "/v1/logs"} {
		_, ok := posts.Load(path)
		require.True(t, ok, path)
	}
}

func TestDisabledSDKMeasuresNothing(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_SDK_DISABLED", "TRUE")
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	tel := start(t)
	require.IsType(t, tracenoop.Tracer{}, tel.Tracer)
	require.NotContains(t, scrape(t, tel, "text/plain"), "weir_build_info")
}

func TestWrongEnvironmentIsNamed(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_METRICS_EXPORTER": "graphite", "OTEL_TRACES_EXPORTER": "graphite", "OTEL_LOGS_EXPORTER": "graphite", "OTEL_PROPAGATORS": "pigeon",
	} {
		clearEnv(t)
		t.Setenv(name, value)
		_, err := Start(t.Context(), Options{Service: "x", Output: io.Discard})
		require.ErrorContains(t, err, name)
		t.Setenv(name, "")
	}
}

func TestAdminServer(t *testing.T) {
	tel := Discard()
	admin, err := tel.ServeAdmin("127.0.0.1:0")
	require.NoError(t, err)
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + admin.Addr() + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	code, body := get("/livez")
	require.Equal(t, 200, code)
	require.Equal(t, "ok\n", body)
	code, _ = get("/readyz")
	require.Equal(t, 503, code)
	code, body = get("/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, code)
	require.Contains(t, body, "goroutine profile")
	code, _ = get("/nothing")
	require.Equal(t, 404, code)

	_, err = tel.ServeAdmin(admin.Addr())
	require.ErrorContains(t, err, admin.Addr())
	require.NoError(t, admin.Close())
	_, err = http.Get("http://" + admin.Addr() + "/livez")
	require.Error(t, err)
}

// A service's page comes to the one admin port of the process, also when that is open already, and goes with the service.
func TestPages(t *testing.T) {
	tel := Discard()
	h := tel.AdminHandler()
	get := func(path string) (int, string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		return rec.Code, rec.Body.String()
	}
	says := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
	}
	code, _ := get("/mine")
	require.Equal(t, http.StatusNotFound, code)
	first := tel.Service("gateway").Page("/mine", says("first"))
	_, text := get("/mine")
	require.Equal(t, "first", text)
	second := tel.Page("/mine", says("second"))
	first() // it is no longer the one that is there
	_, text = get("/mine")
	require.Equal(t, "second", text)
	_, text = get("/livez")
	require.Equal(t, "ok\n", text)
	second()
	code, _ = get("/mine")
	require.Equal(t, http.StatusNotFound, code)
}
