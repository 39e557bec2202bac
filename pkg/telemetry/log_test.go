package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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

func TestLimiterWritesOneLineASecondAndReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewLimiter(slog.New(slog.NewJSONHandler(&out, nil)))
		for range 10 {
			l.Warn(t.Context(), "malformed", "request refused", "source", "s")
			l.Error(t.Context(), "late", "request refused")
			time.Sleep(100 * time.Millisecond)
		}
		l.Warn(t.Context(), "malformed", "request refused")
		l.Log(t.Context(), slog.LevelDebug, "debug", "hidden")
		got := lines(t, &out)
		require.Len(t, got, 3)
		require.Equal(t, "malformed", got[0]["reason"])
		require.Equal(t, "s", got[0]["source"])
		require.NotContains(t, got[0], "suppressed")
		require.Equal(t, "late", got[1]["reason"])
		require.Equal(t, "ERROR", got[1]["level"])
		require.EqualValues(t, 9, got[2]["suppressed"])
	})
}

func TestLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewLimiter(slog.New(slog.NewJSONHandler(&out, nil)))
		for i := range 10 * maxReasons {
			l.Warn(t.Context(), strconv.Itoa(i), "x")
		}
		require.Len(t, lines(t, &out), maxReasons+1)
		require.Len(t, l.budgets, maxReasons+1)
	})
}
