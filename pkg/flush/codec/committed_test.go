package codec_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
)

func TestCommitted(t *testing.T) {
	want := example().Notification(at(9))
	want.Lake = "s3://bucket/a/lake"
	value, err := codec.EncodeCommitted(want)
	require.NoError(t, err)
	golden(t, "committed.hex", []byte(hex.EncodeToString(value)+"\n"))
	got, err := codec.DecodeCommitted(value)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// What older sinks wrote is kept for ever, and read.
func TestCommittedWithoutALake(t *testing.T) {
	text, err := os.ReadFile("testdata/committed-without-lake.hex")
	require.NoError(t, err)
	value, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	got, err := codec.DecodeCommitted(value)
	require.NoError(t, err)
	require.Equal(t, example().Notification(at(9)), got)
	require.True(t, got.In("s3://bucket/a/lake"))
}

func TestCommittedRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyManifest().Draw(t, "manifest").Notification(anyTime().Draw(t, "at"))
		want.Lake = rapid.SampledFrom([]string{"", "s3://b", "s3://b/ä/lake"}).Draw(t, "lake")
		value, err := codec.EncodeCommitted(want)
		require.NoError(t, err)
		got, err := codec.DecodeCommitted(value)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

func TestRefusedCommitted(t *testing.T) {
	for name, value := range map[string][]byte{
		"JSON":    []byte(`{"seq":1}`),
		"nothing": nil,
		"no seq":  mustCommitted(t, flush.Notification{Manifest: "m"}),
		"no name": mustCommitted(t, flush.Notification{Seq: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := codec.DecodeCommitted(value)
			require.Error(t, err)
		})
	}
}

func mustCommitted(t *testing.T, n flush.Notification) []byte {
	value, err := codec.EncodeCommitted(n)
	require.NoError(t, err)
	return value
}

func FuzzDecodeCommitted(f *testing.F) {
	value, err := codec.EncodeCommitted(example().Notification(at(9)))
	require.NoError(f, err)
	f.Add(value)
	f.Fuzz(func(t *testing.T, value []byte) {
		n, err := codec.DecodeCommitted(value)
		if err != nil {
			return
		}
		again, err := codec.EncodeCommitted(n)
		require.NoError(t, err)
		got, err := codec.DecodeCommitted(again)
		require.NoError(t, err)
		require.Equal(t, n, got)
	})
}
