package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/settings"
)

func TestReadmit(t *testing.T) {
	at := time.UnixMilli(1_795_428_000_123)
	a := NewReadmitter(settings.KiB)
	for original, want := range map[string]string{
		`{"userId":"u"}`:                  "missing_type",
		`{"type":"track","userId":"u"}`:   "event_not_defined",
		`[]`:                              "not_object",
		``:                                "invalid_request",
		`{"type":"page","userId":"u"},{}`: "invalid_request",
		`{}],"batch":[{"type":"page"}`:    "invalid_request",
		strings.Repeat("[", 128) + `1`:    "invalid_request",
		strings.Repeat(`{"a":`, 127) + `1` + strings.Repeat("}", 127):          "invalid_request",
		`{"type":"page","userId":"u","x":"` + strings.Repeat("x", 1024) + `"}`: "event_too_large",
	} {
		value, code := a.Admit([]byte(original), at, "id-1")
		require.Equal(t, want, code, original)
		require.Nil(t, value)
	}
	first, code := a.Admit([]byte(`{"type":"page","userId":"u","writeKey":"","n":1.50}`), at, "id-1")
	require.Empty(t, code)
	second, code := a.Admit([]byte(`{"type":"page","userId":"u","messageId":"own"}`), at, "id-2")
	require.Empty(t, code)
	require.JSONEq(t, `{"type":"page","userId":"u","n":1.50,"messageId":"id-1","receivedAt":"2026-11-23T10:00:00.123Z","timestamp":"2026-11-23T10:00:00.123Z"}`, string(first))
	require.Contains(t, string(first), `"n":1.50`)
	require.NotContains(t, string(first), "writeKey")
	require.Contains(t, string(second), `"messageId":"own"`)
}
