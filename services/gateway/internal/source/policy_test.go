package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/quota"
)

func TestPolicy(t *testing.T) {
	t.Setenv("WEIR_TEST_HMAC", "0123456789abcdef")
	x, err := Parse("s.yaml", []byte(`
sources:
- id: a
  write_keys: [k]
  limits: {events_per_second: 100, bytes_per_second: 1MiB, burst: 3s}
  allowed_origins: ["https://Shop.example", "https://*.shop.example"]
  ip: mask
  drop: [properties.email]
  hmac: {paths: [userId], key_env: WEIR_TEST_HMAC}
  blocked_events: [Noise]
  suppressed_users: [u1, "7"]
- {id: b, write_keys: [k2], limits: {events_per_second: 5}, ip: drop}
- {id: c, write_keys: [k3], limits: , allowed_origins: , ip: keep, drop: , hmac: }
`), FileSecrets("s.yaml"))
	require.NoError(t, err)
	a, b, c := x.Sources()[0], x.Sources()[1], x.Sources()[2]
	require.Equal(t, quota.Limits{EventsPerSecond: 100, BytesPerSecond: 1 << 20, Burst: 3 * time.Second}, a.Limits)
	require.Equal(t, "0123456789abcdef", string(a.Policy.Key))
	require.Equal(t, []string{"u1", "7"}, a.Policy.Suppressed)
	require.NotNil(t, a.Rules)
	require.Equal(t, quota.Limits{EventsPerSecond: 5, Burst: 10 * time.Second}, b.Limits)
	require.True(t, b.Policy.DropIP)
	require.Nil(t, c.Rules)
	require.True(t, c.Limits.None())
	require.True(t, c.Allows("https://anywhere.example"))
	for origin, allowed := range map[string]bool{
		"": true, "https://shop.example": true, "https://SHOP.example": true, "https://a.shop.example": true, "https://a.b.shop.example": true,
		"https://.shop.example": false, "http://shop.example": false, "https://shop.example:8443": false, "https://badshop.example": false,
		"https://shop.example.evil": false, "null": false,
	} {
		require.Equal(t, allowed, a.Allows(origin), origin)
	}
}

func TestPolicyFaults(t *testing.T) {
	short := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(short, []byte("secret-short\n"), 0o600))
	text := `
sources:
- {id: a, write_keys: [k1], limits: {events_per_second: 0}}
- {id: b, write_keys: [k2], limits: {bytes_per_second: many, burst: 0s}}
- {id: c, write_keys: [k3], limits: {burst: 5s}}
- {id: d, write_keys: [k4], allowed_origins: [shop.example]}
- {id: e, write_keys: [k5], ip: hide}
- {id: f, write_keys: [k6], drop: [messageId, userId, context.ip, "a..b"]}
- {id: g, write_keys: [k7], hmac: {paths: [type], key_env: A, key_file: b}}
- {id: h, write_keys: [k8], hmac: {paths: [userId], key_env: WEIR_NOWHERE}}
- {id: i, write_keys: [k9], hmac: {key_file: ` + short + `}}
- {id: j, write_keys: [k10], suppressed_users: secret-user, blocked_events: [""]}
- {id: k, write_keys: [k11], hmac: {paths: [userId], key: secret-key}}
- {id: l, write_keys: [k12], hmac: {paths: [userId], key_env: secret-in-the-wrong-place}, allowed_origins: []}
- {id: m, write_keys: [k13], allowed_origins: }
`
	_, err := Parse("s.yaml", []byte(text), FileSecrets("s.yaml"))
	require.Error(t, err)
	for _, want := range []string{
		"s.yaml:3: source 1: events_per_second: want a number",
		"s.yaml:4: source 2: bytes_per_second: want a size",
		"s.yaml:4: source 2: burst: want a time between 1s and 1h0m0s",
		"s.yaml:5: source 3: limits: want events_per_second, bytes_per_second or both",
		"s.yaml:6: source 4: allowed_origins: want such as https://shop.example",
		"s.yaml:7: source 5: ip: want keep, mask or drop",
		"s.yaml:8: source 6: drop: path 1: messageId is what weir knows an event by",
		"s.yaml:8: source 6: drop: path 2: without userId",
		"s.yaml:8: source 6: drop: path 3: say ip: drop",
		"s.yaml:8: source 6: drop: path 4: want keys joined by dots",
		"s.yaml:9: source 7: hmac: path 1: type is what",
		"s.yaml:9: source 7: hmac: want key_env",
		"s.yaml:10: source 8: hmac: the variable that key_env names has 0 bytes",
		"s.yaml:11: source 9: hmac: want paths",
		"s.yaml:11: source 9: hmac: file " + short + " has 12 bytes",
		"s.yaml:12: source 10: suppressed_users: want a list",
		"s.yaml:12: source 10: blocked_events: item 1 is empty",
		"s.yaml:13: unknown field: want paths, key_env, key_file",
		"s.yaml:14: source 12: allowed_origins is empty",
		"s.yaml:14: source 12: hmac: the variable that key_env names has 0 bytes",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "secret")
	require.NotContains(t, err.Error(), "source 13", "null is left out")
	require.NoError(t, os.WriteFile(short, []byte("long enough to be a key\r\n"), 0o600))
	key, err := FileSecrets(filepath.Join(filepath.Dir(short), "sources.yaml"))("", "key")
	require.NoError(t, err)
	require.Equal(t, "long enough to be a key", string(key))
	_, err = FileSecrets("s.yaml")("", "nowhere")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMaskAddress(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.77": "203.0.113.0", "2001:db8:1:2:3:4:5:6": "2001:db8:1::", "::ffff:203.0.113.77": "203.0.113.0", "fe80::1%eth0": "fe80::",
		"": "", "host": "", "203.0.113.77:80": "",
	} {
		require.Equal(t, "x"+want, string(maskAddress([]byte("x"), []byte(address))), address)
	}
}
