package telemetry

import (
	"bytes"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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

func TestAClientsLinesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tel := Discard()
		tel.Log = slog.New(slog.NewJSONHandler(&out, nil)).With("service", "sink")
		log := tel.ClientLog().With("client", "kafka")
		for range 50 {
			log.Info("connected")
			log.Warn("unable to open connection", "err", "refused")
			log.Error("authentication failed")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		log.Warn("unable to open connection", "err", "timeout")
		got := lines(t, &out)
		require.Len(t, got, 3)
		require.Equal(t, "unable to open connection", got[0]["msg"])
		require.Equal(t, "sink", got[0]["service"])
		require.Equal(t, "kafka", got[0]["client"])
		require.NotContains(t, got[0], "suppressed")
		require.Equal(t, "authentication failed", got[1]["msg"])
		require.Equal(t, "timeout", got[2]["err"])
		require.EqualValues(t, 49, got[2]["suppressed"])
	})
}

func TestAtDebugAClientSaysEverything(t *testing.T) {
	var out bytes.Buffer
	tel := Discard()
	tel.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for range 5 {
		tel.ClientLog().Debug("wrote produce request")
	}
	require.Len(t, lines(t, &out), 5)
	require.False(t, Discard().ClientLog().Enabled(t.Context(), slog.LevelError))
}
