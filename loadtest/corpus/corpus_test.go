package corpus

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShapeIsThatOfRealTraffic(t *testing.T) {
	const n = 5_000
	events := Generate(1, n)
	paths, ids, types := map[string]bool{}, map[string]bool{}, map[string]int{}
	size, keys := 0, 0
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for _, e := range events {
		var decoded map[string]any
		require.NoError(t, json.Unmarshal(e, &decoded), string(e))
		size += len(e)
		keys += walk("", decoded, paths)
		id := decoded["messageId"].(string)
		require.False(t, ids[id], "messageId %s stands twice", id)
		require.LessOrEqual(t, len(id), 100)
		ids[id] = true
		types[decoded["type"].(string)]++
		_, err := z.Write(append(e, '\n'))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	t.Logf("%d bytes, %.1f keys, %d paths, gzip %.1f×, %v", size/n, float64(keys)/n, len(paths), float64(size)/float64(packed.Len()), types)
	require.InDelta(t, 1121, size/n, 60)
	require.InDelta(t, 40, float64(keys)/n, 1.5)
	require.InDelta(t, 115, len(paths), 6)
	require.InDelta(t, 6.2, float64(size)/float64(packed.Len()), 0.8)
	require.Len(t, types, 6)
}

// walk counts the keys of a value and notes the paths of its scalars.
func walk(path string, v any, paths map[string]bool) int {
	switch v := v.(type) {
	case map[string]any:
		n := len(v)
		for k, e := range v {
			n += walk(path+"."+k, e, paths)
		}
		return n
	case []any:
		n := 0
		for _, e := range v {
			n += walk(path+"[]", e, paths)
		}
		return n
	}
	paths[path] = true
	return 0
}

func TestTheSeedDecides(t *testing.T) {
	require.Equal(t, Generate(7, 100), Generate(7, 100))
	require.Equal(t, Generate(7, 100)[:50], Generate(7, 50))
	require.NotEqual(t, Generate(7, 1), Generate(8, 1))
	sum := sha256.Sum256(bytes.Join(Generate(42, 1000), []byte("\n")))
	require.Equal(t, "093d1f4a0628a3d9018bcc21ff665ef4a034f864e36a90ae9e0f5f1216ca7d39", hex.EncodeToString(sum[:]), "benchmarks of different days compare only while this stays")
}

func TestSourcesAreSkewed(t *testing.T) {
	count := map[string]int{}
	for i := range 1024 {
		count[SourceOf(i, 4)]++
	}
	require.Len(t, count, 4)
	require.Greater(t, count["source1"], 512)
	require.Greater(t, count["source2"], count["source4"])
}

func TestEventsOverSomeDays(t *testing.T) {
	const n = 5_000
	start, span := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), 72*time.Hour
	var last time.Time
	for i, e := range Over(1, n, start, span) {
		require.True(t, e.At.After(last))
		last = e.At
		var decoded struct{ Timestamp time.Time }
		require.NoError(t, json.Unmarshal(e.JSON, &decoded))
		require.Equal(t, e.At.Truncate(time.Millisecond), decoded.Timestamp)
		require.Less(t, i, n)
	}
	require.InEpsilon(t, span, last.Sub(start), 0.02)
}
