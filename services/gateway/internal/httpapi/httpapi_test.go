package httpapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"

	"weir/services/gateway/internal/body"
	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

func TestMatch(t *testing.T) {
	for path, want := range map[string]route{
		"/v1/batch":         {kind: batchRoute, name: "/v1/batch"},
		"/v1/batch/":        {kind: batchRoute, name: "/v1/batch"},
		"//v1//b":           {kind: batchRoute, name: "/v1/b"},
		"/v1/import/":       {kind: batchRoute, name: "/v1/import"},
		"/v1/v1/v1/t":       {kind: eventRoute, name: "/v1/t", typ: "track"},
		"/v1/identify":      {kind: eventRoute, name: "/v1/identify", typ: "identify"},
		"/v1/m":             {kind: metricsRoute, name: "/v1/m"},
		"/v1/pixel/page":    {kind: pixelRoute, name: "/v1/pixel/page", typ: "page"},
		"//v1//pixel/page/": {kind: pixelRoute, name: "/v1/pixel/page", typ: "page"},
		"/v1/pixel/p":       {},
		"/v1/pixel/batch":   {},
		"/v1/pixel":         {},
		"/v1/pixel/page/x":  {},
		"/v1/projects/k":    {},
		"/v1/projects":      {},
		"/v1/projects/k/x":  {},
		"/v1":               {},
		"/v1/":              {},
		"/":                 {},
		"":                  {},
		"/v1x/batch":        {},
		"/v1/Batch":         {},
		"/v1/batch/x":       {},
		"/v1/batch//x":      {},
		"/v1/./batch":       {},
		"/v2/batch":         {},
		"/v1/batchx":        {},
		"/batch":            {},
		"/v1/x/v1/batch":    {},
		"/v1/settings/k":    {},
		"/v1/projects/a/b/": {},
	} {
		require.Equal(t, want, match(path), path)
	}
	require.Equal(t, route{kind: settingsRoute, name: "/v1/projects/{writeKey}/settings", writeKey: "k"}, match("/v1/projects//k/settings/"))
}

// Whatever a path is, its metric label comes from a closed set.
func FuzzMatch(f *testing.F) {
	f.Add("/v1/batch")
	f.Add("//v1/v1/projects/x/settings//")
	labels := map[string]bool{"": true, "/v1/projects/{writeKey}/settings": true}
	for _, name := range strings.Fields("batch b import t track i identify p page s screen g group a alias m") {
		labels["/v1/"+name] = true
	}
	for _, name := range strings.Fields("track identify page screen group alias") {
		labels["/v1/pixel/"+name] = true
	}
	f.Fuzz(func(t *testing.T, path string) {
		if r := match(path); !labels[r.name] {
			t.Fatalf("%q has the label %q", path, r.name)
		}
	})
}

// handler is an open one whose sources are looked up by lookup; nothing may reach Kafka.
func handler(lookup func([]byte) (*source.Source, bool), observe func(Exchange)) *Handler {
	g := gate.New()
	g.Open()
	return New(Options{
		Gate:       g,
		Ingester:   ingest.New(ingest.Options{Lookup: lookup, Observe: func(ingest.Outcome) {}}),
		Hangar:     produce.NewHangar(1 << 20),
		MaxBody:    64 << 10,
		Log:        slog.New(slog.DiscardHandler),
		Propagator: propagation.TraceContext{},
		Observe:    observe,
		Started:    func() {},
	})
}

func post(h http.Handler, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestADefectIsAnsweredInJSON(t *testing.T) {
	var seen Exchange
	h := handler(func([]byte) (*source.Source, bool) { panic("defect") }, func(x Exchange) { seen = x })
	w := post(h, "/v1/batch", `{"batch":[]}`, "Authorization", "Basic a2V5Og==", "Origin", "https://shop.example")
	require.Equal(t, 500, w.Code)
	require.JSONEq(t, `{"success":false,"code":"internal_error","message":"the gateway has a defect; send again"}`, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "https://shop.example", w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "close", w.Header().Get("Connection"))
	require.Equal(t, 500, seen.Status)
	require.Equal(t, "internal_error", seen.Reason)

	// One that is met when the body was read gives back what it held.
	w = post(h, "/v1/track", `{"writeKey":"k","event":"e","userId":"u"}`)
	require.Equal(t, 500, w.Code)
	require.Zero(t, h.opts.Hangar.Budget.Used())
}

func TestTheGate(t *testing.T) {
	h := handler(func([]byte) (*source.Source, bool) { return &source.Source{ID: "a", Enabled: true}, true }, func(Exchange) {})
	h.opts.Gate = gate.New()
	w := post(h, "/v1/t", "{}")
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), "starting")
	require.NotEmpty(t, w.Header().Get("Retry-After"))

	h.opts.Gate.Leave()
	w = post(h, "/v1/batch", "{}")
	require.Equal(t, 400, w.Code)
	require.Equal(t, "close", w.Header().Get("Connection"))

	h.opts.Gate.Drain()
	for agent, status := range map[string]int{"analytics-ruby/2.5.0": 503, "analytics-node/6.2.0": 429} {
		w = post(h, "/v1/t", "{}", "User-Agent", agent)
		require.Equal(t, status, w.Code)
		require.Contains(t, w.Body.String(), "stopping")
		require.Equal(t, "close", w.Header().Get("Connection"))
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
	require.Equal(t, 404, post(h, "/v1/nothing", "{}").Code)
}

// Reading stops at the limit, whatever the length claims, and what was held is free.
func TestBodiesWithinTheBudget(t *testing.T) {
	h := handler(func([]byte) (*source.Source, bool) { return nil, false }, func(Exchange) {})
	w := post(h, "/v1/batch", strings.Repeat(" ", 64<<10+1))
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "Exceed payload limit")

	r := httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(strings.Repeat(" ", 1<<20)))
	r.ContentLength = -1
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	require.Equal(t, 400, rec.Code)
	require.Contains(t, rec.Body.String(), "Exceed payload limit")
	require.Zero(t, h.opts.Hangar.Budget.Used())

	other, ok := h.opts.Hangar.Begin("other", 0)
	require.True(t, ok)
	require.True(t, other.Reserve(1<<20-100-4096))
	w = post(h, "/v1/batch", "{}")
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), "overloaded")
	other.Release()

	other, ok = h.opts.Hangar.Begin("other", 0)
	require.True(t, ok)
	require.True(t, other.Reserve(1<<20-6000-4096))
	r = httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(strings.Repeat(" ", 60<<10)))
	r.ContentLength = -1 // it is admitted, and grows beyond what is left
	rec = httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	require.Equal(t, 503, rec.Code)
	require.Contains(t, rec.Body.String(), "overloaded")
	require.EqualValues(t, 1<<20-6000, h.opts.Hangar.Budget.Used())
}

func TestEveryFaultIsJSON(t *testing.T) {
	for _, f := range []fault{noPath, noMethod, noKey, tooLarge, internal, overloaded, starting, draining, faultOf(body.ErrEncoding), faultOf(body.ErrCorrupt), faultOf(body.ErrSlow), faultOf(body.ErrCut)} {
		w := httptest.NewRecorder()
		status := f.write(w, httptest.NewRequest(http.MethodPost, "/", nil))
		require.Equal(t, f.status, status)
		require.NotEqual(t, http.StatusRequestTimeout, status, "python and ruby drop 408")
		var got map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		require.Equal(t, map[string]any{"success": false, "code": f.code, "message": f.message}, got)
		require.Equal(t, f.again, w.Header().Get("Retry-After") != "")
	}
}
