package redrive

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/event"
	"weir/pkg/lake"
)

func testDoor(t require.TestingT, change func(*Config)) *door {
	cfg := &Config{Look: Look{Aside: Aside{DeadLetters, lettersTopic}}, Topic: eventsTopic}
	if change != nil {
		change(cfg)
	}
	d, err := newDoor(cfg, 1<<20)
	require.NoError(t, err)
	return d
}

// deadLetter is what the sink makes of the record, read again.
func deadLetter(r event.Record) Letter {
	r.Topic = eventsTopic
	d := event.DeadLetter(&r, event.NoType)
	return DeadLetters.read(&d)
}

// The sink reads what comes back as it would read the record itself, but for where it
// stands and for the one thing that a redrive was asked to mend.
func TestWhatComesBackMeansTheSame(t *testing.T) {
	header := rapid.Custom(func(t *rapid.T) event.Header {
		return event.Header{
			Key: rapid.SampledFrom([]string{"x", event.HeaderSource, event.HeaderReceivedAt, event.HeaderRedriveCount, event.HeaderDeadLetterTopic}).Draw(t, "key"),
			Value: rapid.SampledFrom([][]byte{
				nil, []byte("a"), []byte("b c"), []byte("2026-01-02T03:04:05.678+01:00"), []byte("7"), []byte("-1"),
			}).Draw(t, "value"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		r := event.Record{
			TopicID:   lake.TopicID{1},
			Partition: rapid.Int32Min(0).Draw(t, "partition"),
			Offset:    rapid.Int64Min(0).Draw(t, "offset"),
			Timestamp: time.UnixMilli(rapid.OneOf(
				rapid.SampledFrom([]int64{event.NoTimestamp, 0, 1_795_428_000_123}), rapid.Int64Range(math.MinInt64/1_000_000, math.MaxInt64/1_000_000),
			).Draw(t, "timestamp")).UTC(),
			Key: []byte(rapid.SampledFrom([]string{"", "a", "no source"}).Draw(t, "key")),
			Value: []byte(rapid.SampledFrom([]string{
				"", "x", `{"event":"e","messageId":"m"}`, `{"event":"e","messageId":"m","timestamp":"2026-01-01T00:00:00Z","receivedAt":"x"}`,
			}).Draw(t, "value")),
			Headers: rapid.SliceOfN(header, 0, 4).Draw(t, "headers"),
		}
		l := deadLetter(r)
		require.NoError(t, l.Err)
		require.Equal(t, Origin{r.TopicID, r.Partition, r.Offset}, l.Origin)
		p := testDoor(t, nil).open(&l)
		require.Empty(t, p.refusal)
		require.Equal(t, r.Key, p.record.Key)
		require.Equal(t, r.Value, p.record.Value)
		var was, is event.View
		p.record.Timestamp = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) // the redrive's
		reasonWas, reasonIs := was.Decode(&r), is.Decode(&p.record)
		if reasonWas == event.BadReceivedAt {
			require.NotEqual(t, event.BadReceivedAt, reasonIs, "the time of the redrive is one")
			require.Equal(t, event.InstantOf(p.record.Timestamp), is.ReceivedAt)
			return
		}
		require.Equal(t, reasonWas, reasonIs)
		if reasonWas == "" {
			require.Equal(t, "event", p.becomes)
			require.Equal(t, string(was.SourceID), string(is.SourceID))
			require.Equal(t, string(was.SourceID), l.Source)
			require.Equal(t, was.Day, is.Day)
			require.Equal(t, was.ReceivedAt, is.ReceivedAt)
			require.Equal(t, was.Timestamp, is.Timestamp)
		} else {
			require.Equal(t, "dead letter: "+string(reasonWas), p.becomes)
		}
		again := deadLetter(p.record)
		require.Equal(t, l.Attempts+1, again.Attempts)
	})
}

func TestMends(t *testing.T) {
	l := deadLetter(event.Record{Key: []byte("no source"), Value: []byte("{"), Timestamp: time.UnixMilli(1).UTC()})
	p := testDoor(t, func(c *Config) { c.AsSource, c.Value = "a", []byte(`{"event":"e"}`) }).open(&l)
	require.Equal(t, "event", p.becomes)
	require.Equal(t, "no source", string(p.record.Key), "the source is mended by a header")
	require.Equal(t, `{"event":"e"}`, string(p.record.Value))
	require.Equal(t, "a", sourceOf(&p.record))
	require.Equal(t, "no source", l.Source)
}

func TestRejectedEventsComeBackByTheGatewaysRules(t *testing.T) {
	var seen []string
	cfg := func(c *Config) {
		c.Aside = Aside{Rejected, rejectedTopic}
		c.Admit = func(original []byte, receivedAt time.Time, id string) ([]byte, string) {
			seen = append(seen, string(original), receivedAt.Format(time.RFC3339Nano), id)
			if string(original) == "bad" {
				return nil, "missing_type"
			}
			return []byte(`{"type":"page"}`), ""
		}
	}
	r := event.Record{
		Topic: rejectedTopic, TopicID: lake.TopicID{0xab}, Partition: 2, Offset: 7, Key: []byte("a"), Value: []byte("good"),
		Headers: []event.Header{
			{Key: event.HeaderReceivedAt, Value: []byte("2026-11-23T10:00:00.123Z")},
			{Key: event.HeaderRequestID, Value: []byte("r")},
			{Key: event.HeaderRejectedReason, Value: []byte("too_many_events")},
		},
	}
	l := Rejected.read(&r)
	require.NoError(t, l.Err)
	require.Equal(t, "too_many_events", l.Reason)
	p := testDoor(t, cfg).open(&l)
	require.Empty(t, p.refusal)
	require.Equal(t, `{"type":"page"}`, string(p.record.Value))
	require.Equal(t, []string{"good", "2026-11-23T10:00:00.123Z", "ab000000-0000-0000-0000-000000000000-2-7"}, seen)
	require.Equal(t, append(r.Headers[:3:3], event.Header{Key: event.HeaderRedriveCount, Value: []byte("1")}), p.record.Headers)

	r.Value = []byte("bad")
	l = Rejected.read(&r)
	require.Equal(t, "rejected: missing_type", testDoor(t, cfg).open(&l).refusal)
	mended := func(c *Config) { cfg(c); c.Value = []byte("mended") }
	require.Empty(t, testDoor(t, mended).open(&l).refusal)

	r.Headers = append(r.Headers, event.Header{Key: event.HeaderRejectedLength, Value: []byte("900")})
	l = Rejected.read(&r)
	require.Equal(t, "cut short: it had 900 bytes", testDoor(t, cfg).open(&l).refusal)
	require.Empty(t, testDoor(t, mended).open(&l).refusal)

	r.Headers = nil
	l = Rejected.read(&r)
	require.ErrorContains(t, l.Err, "no header weir-rejected-reason")
}

func TestOriginsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Origin{lake.TopicID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")), rapid.Int32Min(0).Draw(t, "partition"), rapid.Int64Min(0).Draw(t, "offset")}
		got, err := parseOrigin(o.String())
		require.NoError(t, err)
		require.Equal(t, o, got)
	})
	id := lake.TopicID{}.String()
	for _, bad := range []string{"", id, id + "/1", id + "/1/2/3", "x/1/2", id + "/-1/2", id + "/1/-2", id + "/01/2", id + "/1/+2", id + "/2147483648/0"} {
		_, err := parseOrigin(bad)
		require.Error(t, err, bad)
	}
}

func TestDeadLettersThatPointNowhere(t *testing.T) {
	l := deadLetter(event.Record{Offset: -1})
	require.ErrorContains(t, l.Err, "is no place")
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-20":                now.Add(-3*24*time.Hour - 10*time.Hour),
		"2026-11-23T10:00:00+01:00": now.Add(-time.Hour),
		"2026-11-23T09:59:59.5Z":    now.Add(-time.Second / 2),
		"3d":                        now.Add(-72 * time.Hour),
		"90m":                       now.Add(-90 * time.Minute),
	} {
		m, err := ParseMoment(text)
		require.NoError(t, err)
		require.True(t, want.Equal(m.Time(now)), text)
		again, err := m.MarshalText()
		require.NoError(t, err)
		require.Equal(t, text, string(again))
	}
	for _, bad := range []string{"yesterday", "-3d", "0d", "-1h", "0s", "1.5d", "2026-13-01", "99999999d"} {
		_, err := ParseMoment(bad)
		require.ErrorContains(t, err, "is no time", bad)
	}
	var m Moment
	require.NoError(t, m.UnmarshalText(nil))
	require.False(t, m.Set())
}
