package event

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The shapes that Segment's libraries send (gateway.md 1.7), and the edges of RFC 3339.
func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T10:00:00.535Z":            "2026-11-23T10:00:00.535Z", // node
		"2026-11-23T10:00:00.829964105Z":      "2026-11-23T10:00:00.829Z", // go
		"2026-11-23T10:00:00.269338+00:00":    "2026-11-23T10:00:00.269Z", // python
		"2026-11-23T10:00:00.833+00:00":       "2026-11-23T10:00:00.833Z", // ruby
		"2026-11-23T10:00:00+02:00":           "2026-11-23T08:00:00.000Z", // php
		"2026-11-23T10:00:00.1234567Z":        "2026-11-23T10:00:00.123Z", // C#
		"2026-11-23T10:00:00.9999-23:59":      "2026-11-24T09:59:00.999Z",
		"2026-11-23t10:00:00z":                "2026-11-23T10:00:00.000Z",
		"1969-12-31T23:59:59.9999Z":           "1969-12-31T23:59:59.999Z",
		"2000-02-29T00:00:00Z":                "2000-02-29T00:00:00.000Z",
		"0001-01-01T00:00:00Z":                "0001-01-01T00:00:00.000Z",
		"9999-12-31T23:59:59.999999999Z":      "9999-12-31T23:59:59.999Z",
		"9999-12-31T23:59:59.999+00:01":       "9999-12-31T23:58:59.999Z",
		"2026-11-23T10:00:00.1Z":              "2026-11-23T10:00:00.100Z",
		"2026-11-23T10:00:00.000000001-00:00": "2026-11-23T10:00:00.000Z",
	} {
		got, ok := ParseTime([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, string(AppendTime(nil, got)), text)
	}
	for _, bad := range []string{
		"", "Z", "2026-11-23", "2015-2-02T00:00:00Z", "2026-11-23T10:00:00", "2026-11-23 10:00:00Z", "2026-11-23T10:00Z", "2026-11-23T10:00:00.Z",
		"2026-11-23T10:00:00.1234567890Z", "2026-11-23T10:00:00,5Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-00-10T00:00:00Z",
		"2026-13-10T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-10T24:00:00Z", "2026-01-10T23:60:00Z", "2026-01-10T23:59:60Z",
		"2026-01-10T23:59:59+24:00", "2026-01-10T23:59:59+00:60", "2026-01-10T23:59:59+0000", "2026-01-10T23:59:59+00", "2026-01-10T23:59:59+00:00Z", "2026-01-10T23:59:59ZZ",
		"2026-01-10T23:59:59 00:00", "+2026-01-10T23:59:59Z", "20260110T235959Z", "1700000000000", "0000-12-31T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"2026-01-10T23:59:59.5", " 2026-01-10T23:59:59Z", "2026-01-10T23:59:59Z ", "２026-01-10T23:59:59Z", "2026-01-1\x00T23:59:59Z",
	} {
		got, ok := ParseTime([]byte(bad))
		require.False(t, ok, bad)
		require.Equal(t, Instant{}, got, bad)
	}
}

func TestParseTimeIsTheStandardLibrarys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(minMillis+2e8, maxMillis-2e8).Draw(t, "ms")
		digits := rapid.IntRange(0, 9).Draw(t, "digits")
		layout := "2006-01-02T15:04:05"
		if digits > 0 {
			layout += "." + "000000000"[:digits]
		}
		zone := time.FixedZone("", 60*rapid.IntRange(-23*60-59, 23*60+59).Draw(t, "minutes east"))
		text := time.UnixMilli(ms).Add(time.Duration(rapid.IntRange(0, 999_999).Draw(t, "ns"))).In(zone).Format(layout + "Z07:00")
		want, ok := referenceTime(text)
		require.True(t, ok, text)
		got, ok := ParseTime([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got.Time(), text)
		require.Equal(t, want.Format("2006-01-02T15:04:05.000Z"), string(AppendTime(nil, got)))

		b := []byte(text)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] = rapid.SampledFrom([]byte("0123456789:-+.TtZz/ \x00\xff")).Draw(t, "byte")
		want, wantOK := referenceTime(string(b))
		got, gotOK := ParseTime(b)
		require.Equal(t, wantOK, gotOK, "%q", b)
		require.Equal(t, want, got.Time(), "%q", b)
	})
}

// Every day of the calendar, there and back.
func TestCalendar(t *testing.T) {
	at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := int64(minMillis / 86400000); day <= maxMillis/86400000; day++ {
		year, month, date := civil(day)
		y, m, d := at.Date()
		if int64(y) != year || int64(m) != month || int64(d) != date || daysFrom(year, month, date) != day {
			t.Fatalf("day %d is %v, not %d-%d-%d", day, at, year, month, date)
		}
		if date == daysIn(year, month) && at.AddDate(0, 0, 1).Month() == at.Month() {
			t.Fatalf("%v is not the last of its month", at)
		}
		at = at.AddDate(0, 0, 1)
	}
	require.Equal(t, 10000, at.Year())
}

func TestInstants(t *testing.T) {
	for ms, valid := range map[int64]bool{minMillis: true, minMillis - 1: false, maxMillis: true, maxMillis + 1: false, math.MinInt64: false, math.MaxInt64: false, 0: true} {
		i := InstantOf(time.UnixMilli(ms))
		require.Equal(t, valid, i.Valid, ms)
		if valid {
			require.Equal(t, time.UnixMilli(ms).UTC(), i.Time())
		}
	}
	require.Equal(t, Instant{Micros: 1000, Valid: true}, InstantOf(time.Unix(0, 1_999_999)))
	require.Equal(t, Instant{Micros: -1000, Valid: true}, InstantOf(time.Unix(0, -1)), "cut downwards, like the text")
	require.True(t, Instant{}.Time().IsZero())
	require.Empty(t, AppendTime(nil, Instant{}))
	require.Equal(t, "x9999-12-31T23:59:59.999Z", string(AppendTime([]byte("x"), fromMillis(maxMillis))))
}

func TestCorrectedTime(t *testing.T) {
	at := func(s int64) Instant { return fromMillis(s * 1000) }
	none := Instant{}
	for _, c := range []struct{ original, sent, received, want Instant }{
		{at(100), at(110), at(1000), at(990)},
		{at(110), at(100), at(1000), at(1010)}, // a claim of the future stays one
		{at(100), none, at(1000), at(100)},
		{none, at(100), at(1000), at(1000)},
		{none, none, at(1000), at(1000)},
		{at(100), at(110), none, at(100)},
		{none, none, none, none},
		{fromMillis(minMillis), fromMillis(maxMillis), at(0), fromMillis(minMillis)},
		{fromMillis(maxMillis), fromMillis(minMillis), at(0), fromMillis(maxMillis)},
	} {
		require.Equal(t, c.want, CorrectedTime(c.original, c.sent, c.received), fmt.Sprint(c))
	}
}

func TestTimesAllocateNothing(t *testing.T) {
	good, bad, dst := []byte("2026-11-23T10:00:00.269338+00:00"), []byte("2026-11-23T10:00:00"), make([]byte, 0, 32)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		i, _ := ParseTime(good)
		ParseTime(bad)
		AppendTime(dst, i)
	}))
}

func BenchmarkParseTime(b *testing.B) {
	text := []byte("2026-11-23T10:00:00.269338+00:00")
	for b.Loop() {
		if _, ok := ParseTime(text); !ok {
			b.Fatal("no time")
		}
	}
}
