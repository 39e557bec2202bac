package lake

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseJobKey(t *testing.T) {
	day, err := ParseDay("2026-11-23")
	require.NoError(t, err)
	for _, c := range []struct {
		table Table
		key   string
	}{
		{EventLogs(), "eventlogs/sourceid=a/dt=2026-11-23/history-0123456789abcdef-2of10.parquet"},
		{MessagesByTypeDaily(), "messages_by_type_daily/sourceid=a/dt=2026-11-23/rollup-0123456789abcdef-1of1.parquet"},
		{MessagesByTypeWeekly(), "messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23/rollup-0123456789abcdef-1of1.parquet"},
	} {
		p, ok := ParseJobKey(c.table, c.key)
		require.True(t, ok, c.key)
		require.Equal(t, Partition{Table: c.table.Name, SourceID: "a", Day: day}, p)
		require.Equal(t, p.Dir(c.table), c.key[:strings.LastIndexByte(c.key, '/')])
		_, _, _, err := ParseObjectKey(c.table, c.key)
		require.Error(t, err, "a sink's key is no job's")
	}
	good := "eventlogs/sourceid=a/dt=2026-11-23/history-0123456789abcdef-1of1.parquet"
	for _, bad := range []string{
		strings.Replace(good, "history", "rollup", 1), strings.Replace(good, "abcdef", "abcde", 1), strings.Replace(good, "abcdef", "ABCDEF", 1),
		strings.Replace(good, "1of1", "2of1", 1), strings.Replace(good, "1of1", "0of1", 1), strings.Replace(good, "1of1", "01of1", 1),
		strings.Replace(good, "1of1", "1", 1), strings.Replace(good, "1of1", "+1of1", 1), strings.Replace(good, ".parquet", ".crc", 1), strings.Replace(good, "dt=", "ds=", 1),
		"eventlogs/sourceid=a/dt=2026-11-23/" + flushID + "-0.parquet", "lake/" + good,
	} {
		_, ok := ParseJobKey(EventLogs(), bad)
		require.False(t, ok, bad)
	}
}

func TestHidden(t *testing.T) {
	for key, hidden := range map[string]bool{
		"eventlogs/sourceid=a/dt=2026-11-23/x-0.parquet": false, "eventlogs/sourceid=a/dt=2026-11-23/_SUCCESS": true,
		"eventlogs/.x/y": true, "eventlogs/_temporary/0/y.parquet": true, "eventlogs/sourceid=a/": true, "eventlogs/sourceid=a_$folder$": true,
		"eventlogs/a_b/c.d": false,
	} {
		require.Equal(t, hidden, Hidden(key), key)
	}
}
