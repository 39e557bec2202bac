package event

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/lake"
)

func TestDeadLetter(t *testing.T) {
	r := record("\xff no event\x00")
	r.Headers = []Header{{"traceparent", []byte("00-1")}, {HeaderSource, nil}}
	d := DeadLetter(r, Malformed)
	require.Equal(t, r.Key, d.Key)
	require.Equal(t, r.Value, d.Value)
	require.Equal(t, []Header{
		{"traceparent", []byte("00-1")},
		{HeaderSource, nil},
		{"weir-dlq-topic", []byte("weir.events")},
		{"weir-dlq-topic-id", []byte("0b000000-0000-0000-0000-000000000001")},
		{"weir-dlq-partition", []byte("3")},
		{"weir-dlq-offset", []byte("42")},
		{"weir-dlq-reason", []byte("malformed")},
		{"weir-dlq-timestamp", []byte("1795428000123")},
	}, d.Headers)
	require.Empty(t, d.Topic, "the producer says where it goes")
	require.True(t, d.Timestamp.IsZero(), "and when")
}

func TestOriginalIsTheInverse(t *testing.T) {
	bytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte()))
	header := rapid.Custom(func(t *rapid.T) Header {
		return Header{
			Key:   rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{HeaderDeadLetterTopic, HeaderDeadLetterOffset, HeaderDeadLetterTimestamp})).Draw(t, "key"),
			Value: bytes.Draw(t, "value"),
		}
	})
	tracing := rapid.SliceOfN(rapid.Just(Header{"traceparent", []byte("00-1")}), 0, 2)
	rapid.Check(t, func(t *rapid.T) {
		r := Record{
			Topic:     rapid.StringMatching(`[a-z.]{1,9}`).Draw(t, "topic"),
			TopicID:   lake.TopicID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Partition: rapid.Int32Min(0).Draw(t, "partition"),
			Offset:    rapid.Int64Min(0).Draw(t, "offset"),
			Timestamp: time.UnixMilli(rapid.Int64Range(math.MinInt64/1_000_000, math.MaxInt64/1_000_000).Draw(t, "timestamp")).UTC(),
			Key:       bytes.Draw(t, "key"),
			Value:     bytes.Draw(t, "value"),
			Headers:   rapid.SliceOf(header).Draw(t, "headers"),
		}
		reason := rapid.SampledFrom(Reasons()).Draw(t, "reason")
		d := DeadLetter(&r, reason)
		d.Headers = append(d.Headers, tracing.Draw(t, "tracing")...)
		got, gotReason, err := Original(&d)
		require.NoError(t, err)
		require.Equal(t, reason, gotReason)
		require.Equal(t, len(r.Headers), len(got.Headers))
		for i := range r.Headers {
			require.Equal(t, r.Headers[i], got.Headers[i])
		}
		got.Headers, r.Headers = nil, nil
		require.Equal(t, r, got)

		twice := DeadLetter(&d, NoType)
		again, gotReason, err := Original(&twice)
		require.NoError(t, err)
		require.Equal(t, NoType, gotReason)
		require.Equal(t, len(d.Headers), len(again.Headers), "a dead letter of a dead letter is told apart")
	})
}

func TestOriginalRefusesWhatIsNoDeadLetter(t *testing.T) {
	for at, change := range map[int]string{2: "x", 3: "", 1: "0b", 5: "soon"} {
		d := DeadLetter(record("x"), Malformed)
		d.Headers[at].Value = []byte(change)
		_, _, err := Original(&d)
		require.ErrorContains(t, err, d.Headers[at].Key)
	}
	d := DeadLetter(record("x"), Malformed)
	d.Headers[3].Key = "other"
	_, _, err := Original(&d)
	require.ErrorContains(t, err, HeaderDeadLetterOffset)
	d.Headers = d.Headers[:5]
	_, _, err = Original(&d)
	require.Error(t, err)
	_, _, err = Original(record("x"))
	require.ErrorContains(t, err, HeaderDeadLetterTopic)
}
