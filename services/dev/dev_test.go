package dev

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFirstStartWritesTheSourcesAndLaterOnesLeaveThem(t *testing.T) {
	dir := t.TempDir()
	path, err := writeFirstSources(dir)
	require.NoError(t, err)
	s, err := readSender(path)
	require.NoError(t, err)
	require.Equal(t, sender{ID: "source1", WriteKey: "dev-write-key"}, s)

	require.NoError(t, os.WriteFile(path, []byte(`sources:
  - {id: off, enabled: false, write_keys: [a]}
  - {id: hashed, enabled: true, write_keys: ["sha256:x:y"]}
  - {id: shop, write_keys: ["sha256:x:y", plain]}
`), 0o600))
	again, err := writeFirstSources(dir)
	require.NoError(t, err)
	s, err = readSender(again)
	require.NoError(t, err)
	require.Equal(t, sender{ID: "shop", WriteKey: "plain"}, s)

	require.NoError(t, os.WriteFile(path, []byte("sources: []\n"), 0o600))
	_, err = readSender(path)
	require.ErrorContains(t, err, "no enabled source with a write key in plain text")
}

func TestAddressesSayWhetherItRuns(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadAddresses(dir)
	require.ErrorIs(t, err, ErrNoDirectory)
	_, err = writeFirstSources(dir)
	require.NoError(t, err)
	_, err = ReadAddresses(dir)
	require.ErrorIs(t, err, ErrNotRunning)

	want := Addresses{Gateway: "127.0.0.1:1", Kafka: "127.0.0.1:2", S3: "127.0.0.1:3", Glue: "127.0.0.1:4", Admin: "127.0.0.1:5"}
	require.NoError(t, want.write(dir))
	got, err := ReadAddresses(dir)
	require.NoError(t, err)
	require.Equal(t, want, got)
	text, err := os.ReadFile(filepath.Join(dir, "addresses.json"))
	require.NoError(t, err)
	require.JSONEq(t, `{"gateway":"127.0.0.1:1","kafka":"127.0.0.1:2","s3":"127.0.0.1:3","glue":"127.0.0.1:4","admin":"127.0.0.1:5"}`, string(text))
	left, err := filepath.Glob(filepath.Join(dir, "addresses.json.*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOneProcessOnADirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDir(dir)
	require.NoError(t, err)
	_, err = lockDir(dir)
	require.ErrorContains(t, err, "runs on "+dir+" already (process ")
	unlock()
	unlock, err = lockDir(dir)
	require.NoError(t, err)
	unlock()
}

func TestValidate(t *testing.T) {
	good := Config{
		Dir: "x", GatewayAddr: "127.0.0.1:0", AdminAddr: ":1", KafkaAddr: ":2", S3Addr: ":3", GlueAddr: ":4",
		FileAge: 3e9, DemoEvents: 1, DemoRate: 1,
	}
	require.Empty(t, good.Validate())
	bad := Config{Once: true, GatewayAddr: "8080"}
	require.Len(t, bad.Validate(), 10, "%v", bad.Validate())
}

// ":0" asks for a free port, not for the whole network.
func TestOnLoopback(t *testing.T) {
	c := Config{GatewayAddr: ":0", AdminAddr: "0.0.0.0:1", KafkaAddr: ":2", S3Addr: "localhost:3", GlueAddr: "[::1]:4"}.onLoopback()
	require.Equal(t, []address{
		{"gateway-addr", "127.0.0.1:0"}, {"admin-addr", "0.0.0.0:1"}, {"kafka-addr", "127.0.0.1:2"}, {"s3-addr", "localhost:3"}, {"glue-addr", "[::1]:4"},
	}, c.addresses())
}

func TestValidateReadsTheSourcesOfAnEarlierStart(t *testing.T) {
	c := Config{
		Dir: t.TempDir(), GatewayAddr: ":0", AdminAddr: ":1", KafkaAddr: ":2", S3Addr: ":3", GlueAddr: ":4",
		FileAge: 3e9, DemoEvents: 1, DemoRate: -1,
	}
	require.Len(t, c.Validate(), 1, "the first start has none: %v", c.Validate())
	path := filepath.Join(c.Dir, sourcesFile)
	for text, want := range map[string][]string{
		firstSources: nil,
		"sources: [": {"sources: " + path + ":1: "},
		"sources:\n- {id: /, write_keys: [k]}\n- {id: b, keys: [k]}\n": {
			"sources: " + path + ":2: source 1", "sources: " + path + ":3: source 2", "sources: " + path + ":3: unknown field",
		},
		"sources: [{id: a, enabled: false}]": {"sources: " + path + " has no enabled source with a write key in plain text"},
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		wrong := c.Validate()
		require.Len(t, wrong, len(want)+1, "%v", wrong)
		for i, w := range want {
			require.ErrorContains(t, wrong[i+1], w, text)
		}
	}
}

func TestPointSDKForgetsTheShellsAccount(t *testing.T) {
	for _, name := range []string{
		"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_GLUE",
		"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED",
	} {
		t.Setenv(name, "production")
	}
	PointSDK(Addresses{S3: "127.0.0.1:3", Glue: "127.0.0.1:4"})
	require.Equal(t, "http://127.0.0.1:3", os.Getenv("AWS_ENDPOINT_URL_S3"))
	for _, v := range os.Environ() {
		require.NotContains(t, v, "=production")
	}
}
