package rpcapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"

	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// serve is a handler whose sources are looked up by lookup, on a server; nothing may reach Kafka.
func serve(t *testing.T, lookup func([]byte) (*source.Source, bool)) (*Handler, ingestv1connect.IngestServiceClient, chan Call) {
	calls := make(chan Call, 10)
	h := New(Options{
		Ingester: ingest.New(ingest.Options{Lookup: lookup, Observe: func(ingest.Outcome) {}}),
		Hangar:   produce.NewHangar(1 << 20), Gate: gate.New(), MaxBody: 64 << 10, MaxEvents: 10, Serving: func() bool { return true },
		Replaced: func() <-chan struct{} { return nil },
		Log:      slog.New(slog.DiscardHandler), Propagator: propagation.TraceContext{}, Observe: func(c Call) { calls <- c }, Started: func() {},
	})
	h.opts.Gate.Open()
	server := httptest.NewUnstartedServer(h)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server.Config.Protocols = protocols
	server.Start()
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return h, ingestv1connect.NewIngestServiceClient(&http.Client{Transport: transport}, server.URL, connect.WithGRPC()), calls
}

// A defect is answered, in the goroutine of a stream's reader too, and holds nothing.
func TestADefect(t *testing.T) {
	h, service, calls := serve(t, func([]byte) (*source.Source, bool) { panic("defect") })
	inHeader := connect.NewRequest(&ingestv1.IngestRequest{Events: [][]byte{[]byte("{}")}})
	inHeader.Header().Set("Authorization", "Bearer k")
	inEvent := &ingestv1.IngestRequest{Events: [][]byte{[]byte(`{"writeKey":"k","type":"page","userId":"u"}`)}}
	for _, r := range []*connect.Request[ingestv1.IngestRequest]{inHeader, connect.NewRequest(inEvent)} {
		_, err := service.Ingest(t.Context(), r)
		require.Equal(t, connect.CodeInternal, connect.CodeOf(err), "%v", err)
		require.Equal(t, "internal_error", (<-calls).Reason)
	}
	s := service.IngestStream(t.Context())
	require.NoError(t, s.Send(&ingestv1.IngestStreamRequest{Number: 1, Request: inEvent}))
	_, err := s.Receive()
	require.Equal(t, connect.CodeInternal, connect.CodeOf(err), "%v", err)
	require.NoError(t, s.CloseResponse())
	c := <-calls
	require.Equal(t, "internal_error", c.Reason)
	require.Equal(t, "weir.ingest.v1.IngestService/IngestStream", c.Method)
	require.Equal(t, "grpc", c.Protocol)
	require.Zero(t, h.opts.Hangar.Budget.Used())
}

func TestTheGate(t *testing.T) {
	h, service, calls := serve(t, func([]byte) (*source.Source, bool) { return nil, false })
	for reason, state := range map[string]func(*gate.Gate){"starting": func(*gate.Gate) {}, "draining": (*gate.Gate).Drain} {
		h.opts.Gate = gate.New()
		state(h.opts.Gate)
		_, err := service.Ingest(t.Context(), connect.NewRequest(&ingestv1.IngestRequest{}))
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
		require.Equal(t, reason, (<-calls).Reason)
		s := service.IngestStream(t.Context())
		_ = s.Send(nil)
		_, err = s.Receive()
		require.Equal(t, connect.CodeUnavailable, connect.CodeOf(err))
		require.Equal(t, reason, (<-calls).Reason)
		require.NoError(t, s.CloseResponse())
	}
}

// Whatever a path is, its method in the metrics comes from a closed set.
func TestUnknownProcedures(t *testing.T) {
	h, _, calls := serve(t, nil)
	for _, path := range []string{"Nothing", "", "Ingest/", "ingest", strings.Repeat("x", 1000)} {
		r := httptest.NewRequest(http.MethodPost, service+path, nil)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotImplemented, w.Code)
		require.Empty(t, (<-calls).Method)
	}
	require.True(t, Serves("/weir.ingest.v1.IngestService/x"))
	require.True(t, Serves("/grpc.health.v1.Health/Check"))
	require.False(t, Serves("/v1/batch"))
}

// A health check is small and not packed, has one path each, and a defect of it is answered like others.
func TestHealthChecksAreBounded(t *testing.T) {
	h, _, calls := serve(t, nil)
	post := func(path, body string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusOK, post(health+"Check", "{}").Code)
	long := post(health+"Check", `{"service":"`+strings.Repeat("x", maxCheck)+`"}`)
	require.Equal(t, http.StatusTooManyRequests, long.Code)
	require.NotContains(t, long.Body.String(), "xxx")
	require.Equal(t, http.StatusNotImplemented, post(health+"Check", "{}", "Content-Encoding", "gzip").Code)
	watch := post(health+"Watch", "\x00\x00\x00\x00\x02{}", "Content-Type", "application/grpc+json")
	require.Equal(t, "12", watch.Result().Trailer.Get("Grpc-Status"), "unimplemented, as the library says it")
	for _, path := range []string{"/Check", "Check/", "./Check", "check", "", "Other"} {
		w := post(health+path, "{}")
		require.Equal(t, http.StatusNotImplemented, w.Code, path)
		require.Empty(t, w.Header().Get("Location"))
		require.Equal(t, "not_found", (<-calls).Reason)
	}
	h.opts.Serving = nil
	h = New(h.opts) // to ask it panics
	w := post(health+"Check", "{}")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "INTERNAL_ERROR")
	require.Empty(t, calls)
}

// What a message holds on its way in is charged as it comes, and given back.
func TestMeter(t *testing.T) {
	budget := produce.NewBudget(20_000)
	began := 0
	m := &meter{ReadCloser: http.NoBody, charge: charge{share: budget.Of("a"), limit: 9000}, began: func() { began++ }}
	read := func(n int) error {
		m.ReadCloser = readCloser{strings.NewReader(strings.Repeat("x", n))}
		_, err := m.Read(make([]byte, n))
		return err
	}
	require.NoError(t, read(1))
	require.NoError(t, read(3000))
	require.GreaterOrEqual(t, budget.Used(), int64(6000))
	require.Equal(t, 1, began)
	require.ErrorIs(t, read(6000), tooLarge)
	m.settle()
	require.Zero(t, budget.Used())
	require.True(t, budget.Of("b").Take(15_000, 0))
	require.ErrorIs(t, read(4000), overloaded)
	m.settle()
	require.EqualValues(t, 15_000, budget.Used())
	require.Equal(t, 2, began)
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
