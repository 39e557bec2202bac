package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

func lines(t *testing.T, b *bytes.Buffer) (list []map[string]any) {
	t.Helper()
	dec := json.NewDecoder(b)
	for dec.More() {
		var line map[string]any
		require.NoError(t, dec.Decode(&line))
		list = append(list, line)
	}
	return list
}

func TestLogCarriesTheSpan(t *testing.T) {
	var out bytes.Buffer
	handler, err := newHandler(Options{Output: &out})
	require.NoError(t, err)
	log := slog.New(handler)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
	}))
	log.With("topic", "weir.events").WithGroup("g").InfoContext(ctx, "hello")
	log.Info("plain")
	log.Debug("hidden")
	got := lines(t, &out)
	require.Len(t, got, 2)
	require.Equal(t, "weir.events", got[0]["topic"])
	require.Equal(t, map[string]any{"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000"}, got[0]["g"])
	require.NotContains(t, got[1], "trace_id")
}

func TestOnlyWhatIsLoggedIsExported(t *testing.T) {
	var local, remote bytes.Buffer
	log := slog.New(exportedToo(
		slog.NewJSONHandler(&local, &slog.HandlerOptions{Level: slog.LevelInfo}),
		slog.NewJSONHandler(&remote, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Debug("hidden")
	log.With("a", 1).WithGroup("g").Info("shown", "b", 2)
	require.Equal(t, 1, strings.Count(local.String(), "\n"))
	require.Equal(t, lines(t, &local)[0]["g"], lines(t, &remote)[0]["g"])
}

func TestWrongLogOptionsAreNamed(t *testing.T) {
	_, err := Start(t.Context(), Options{LogLevel: "loud"})
	require.ErrorContains(t, err, `"loud"`)
	_, err = Start(t.Context(), Options{LogFormat: "xml"})
	require.ErrorContains(t, err, `"xml"`)
	require.NoError(t, CheckLogLevel("warn"))
	require.Error(t, CheckLogFormat("xml"))
}

// Nobody can tell from 1500000000 what it counts.
func TestDurationsCarryTheirUnit(t *testing.T) {
	var out, remote bytes.Buffer
	handler, err := newHandler(Options{Output: &out})
	require.NoError(t, err)
	log := slog.New(exportedToo(handler, slog.NewJSONHandler(&remote, nil)))
	log.With("every", time.Minute).WithGroup("g").Info("x", "took", 1500*time.Millisecond, "n", 7)
	for _, b := range []*bytes.Buffer{&out, &remote} {
		line := lines(t, b)[0]
		require.Equal(t, "1m0s", line["every"])
		require.Equal(t, map[string]any{"took": "1.5s", "n": 7.0}, line["g"])
	}
}
