package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
)

// sources runs a command that must end well and reads its JSON.
func sources(t *testing.T, args ...string) (list []map[string]any) {
	t.Helper()
	code, out, errs := invokeWeir(t, "", append([]string{"sources"}, args...)...)
	require.Equal(t, exitDone, code, errs)
	if slices.Contains(args, "json") {
		require.NoError(t, json.Unmarshal([]byte(out), &list), out)
	}
	return list
}

func TestSources(t *testing.T) {
	dir := clean(t)
	key := sources(t, "add", "shop", "--name", "The shop", "--output", "json")[0]["write_key"].(string)
	require.Len(t, key, 32)
	path := filepath.Join(dir, "sources.yaml")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), key, "only its hash is kept")

	next := sources(t, "rotate", "shop", "--output", "json")[0]["write_key"].(string)
	require.NotEqual(t, key, next)
	sources(t, "disable", "shop")
	text, err = os.ReadFile(path)
	require.NoError(t, err)
	rules := `
    limits: {events_per_second: 100, bytes_per_second: 1MiB}
    allowed_origins: [https://shop.example]
    ip: mask
    drop: [properties.email, context.page]
    hmac: {paths: [userId], key_env: WEIR_HMAC_SHOP}
    blocked_events: [Noise]
    suppressed_users: [u-secret]
`
	require.NoError(t, os.WriteFile(path, append(text, rules...), 0o600))
	require.Equal(t, []map[string]any{{
		"source": "shop", "name": "The shop", "enabled": false, "write_keys": 2.0,
		"events_per_second": 100.0, "bytes_per_second": 1048576.0, "burst": "10s",
		"allowed_origins": "https://shop.example", "ip": "mask", "drop": "properties.email context.page", "hmac": "userId",
		"blocked_events": 1.0, "suppressed_users": 1.0,
	}}, sources(t, "list", "--output", "json"))
	sources(t, "enable", "shop")
	sources(t, "rotate", "shop", "--retire")
	list := sources(t, "list", "--output", "json")
	require.Equal(t, true, list[0]["enabled"])
	require.Equal(t, 1.0, list[0]["write_keys"])

	code, out, _ := invokeWeir(t, "", "sources", "list")
	require.Equal(t, exitDone, code)
	require.NotContains(t, out, "sha256")
	require.NotContains(t, out, "u-secret")
}

func TestSourcesOfADevFolder(t *testing.T) {
	dir := clean(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "state"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state", "sources.yaml"), []byte("sources: [{id: source1, write_keys: [dev-write-key]}]"), 0o600))
	sources(t, "add", "shop", "--dir", "state", "--output", "json")
	require.Len(t, sources(t, "list", "--dir", "state", "--output", "json"), 2)
}

func TestSourcesRefuse(t *testing.T) {
	dir := clean(t)
	path := filepath.Join(dir, "sources.yaml")
	for _, c := range []struct {
		text string
		args []string
		code int
		errs string
	}{
		{"", []string{"add", "a/b"}, exitUsage, "an id has 1 to 128 characters"},
		{"", []string{"add"}, exitUsage, "id"},
		{"", []string{"list", "--sources", ""}, exitUsage, "sources"},
		{"sources: [{id: a, write_keys: [k]}]", []string{"add", "a"}, exitFailed, "there already"},
		{"sources: [{id: a, write_keys: [k]}]", []string{"disable", "b"}, exitFailed, "there is no source b"},
		{"sources: [{id: a, write_keys: [k]}]", []string{"list", "--sources", "nowhere.yaml"}, exitFailed, "nowhere.yaml"},
		{"sources: [{id: a, write_keys: [secret-1], colour: red}]", []string{"rotate", "a"}, exitFailed, "unknown field"},
	} {
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		code, out, errs := invokeWeir(t, "", append([]string{"sources"}, c.args...)...)
		require.Equal(t, c.code, code, errs)
		require.Contains(t, errs, c.errs)
		require.Empty(t, out)
		require.NotContains(t, errs, "secret")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.text, string(text), "nothing was changed")
	}
}

// With a topic the commands do what they do with a file.
func TestSourcesOfATopic(t *testing.T) {
	clean(t)
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	defer broker.Close()
	t.Setenv("WEIR_SOURCES_TOPIC", "weir.sources")
	t.Setenv("WEIR_KAFKA_BROKERS", broker.Addr())
	t.Setenv("WEIR_TOPIC_REPLICATION", "1")
	code, _, errs := invokeWeir(t, "", "sources", "list")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "no such topic", "to look makes none")

	key := sources(t, "add", "shop", "--output", "json")[0]["write_key"]
	require.NotEqual(t, key, sources(t, "rotate", "shop", "--output", "json")[0]["write_key"])
	sources(t, "add", "app")
	sources(t, "disable", "app")
	list := sources(t, "list", "--output", "json")
	require.Len(t, list, 2)
	require.Equal(t, []any{"app", false}, []any{list[0]["source"], list[0]["enabled"]})
	require.Equal(t, []any{"shop", 2.0}, []any{list[1]["source"], list[1]["write_keys"]})
	sources(t, "rotate", "shop", "--retire")
	require.Equal(t, 1.0, sources(t, "list", "--output", "json")[1]["write_keys"])
	code, _, errs = invokeWeir(t, "", "sources", "enable", "nobody")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "there is no source nobody")
	_, err = os.Stat("sources.yaml")
	require.ErrorIs(t, err, os.ErrNotExist)
}
