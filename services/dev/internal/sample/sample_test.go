package sample

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEvents(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	events := Events("r1", 3000, now)
	today, ids, types := 0, map[string]bool{}, map[string]int{}
	for _, e := range events {
		at, err := time.Parse(time.RFC3339Nano, e["timestamp"].(string))
		require.NoError(t, err)
		require.False(t, at.After(now), "%s: an event cannot come from the future", at)
		require.True(t, at.After(now.Truncate(24*time.Hour).Add(-24*time.Hour)), "%s", at)
		if !at.Before(now.Truncate(24 * time.Hour)) {
			today++
		}
		id := e["messageId"].(string)
		require.True(t, strings.HasPrefix(id, Prefix("r1")))
		ids[id] = true
		types[e["type"].(string)]++
		if e["type"] == "track" {
			require.NotEmpty(t, e["event"], "the gateway refuses a track without event")
		}
	}
	require.Len(t, ids, 3000)
	require.Equal(t, 2000, today)
	require.Len(t, types, 5)

	again, err := json.Marshal(Events("r1", 3000, now))
	require.NoError(t, err)
	first, err := json.Marshal(events)
	require.NoError(t, err)
	require.Equal(t, string(first), string(again))
}

func TestEventsRightAfterMidnight(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	require.Equal(t, "2026-11-23T00:00:00.000Z", Events("r", 1, now)[0]["timestamp"])
}
