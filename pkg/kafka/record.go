package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// FromKgo fills dst from a record as the client fetched it. Nothing is copied: dst
// borrows the record's bytes, and its Headers slice is reused.
func FromKgo(dst *event.Record, r *kgo.Record, id lake.TopicID) {
	headers := dst.Headers[:0]
	for _, h := range r.Headers {
		headers = append(headers, event.Header{Key: h.Key, Value: h.Value})
	}
	*dst = event.Record{
		Topic:       r.Topic,
		TopicID:     id,
		Partition:   r.Partition,
		Offset:      r.Offset,
		LeaderEpoch: r.LeaderEpoch,
		Timestamp:   timestamp(r),
		Key:         r.Key,
		Value:       r.Value,
		Headers:     headers,
	}
}

// timestamp is the record's own; event.NoTimestamp for the oldest format, which has
// none. The client multiplies the milliseconds since 1970 to nanoseconds, and those
// wrap around before 1677 and after 2262: a year 3000 would pass for one of our time.
// But 10^6 is 2^6 · 15625, and 15625 has an inverse modulo 2^64, so what is left of the
// product gives the milliseconds modulo 2^58: exact for four million years around 1970.
func timestamp(r *kgo.Record) time.Time {
	if r.Attrs.TimestampType() < 0 {
		return time.UnixMilli(event.NoTimestamp)
	}
	nanos := r.Timestamp.UnixNano()
	if nanos%1e6 == 0 || nanos%(1<<6) != 0 { // it did not wrap, or is none of the client's
		return r.Timestamp
	}
	const inverse = 0x790fb65668c26139 // 15625 · inverse ≡ 1 (mod 2^64)
	return time.UnixMilli(int64(uint64(nanos>>6)*inverse<<6) >> 6)
}

// ToKgo is the record to produce. Kafka gives it its partition and offset; a zero
// timestamp becomes the time of producing. A nil key or value stays nil.
func ToKgo(r event.Record) *kgo.Record {
	out := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}
	if len(r.Headers) > 0 {
		out.Headers = make([]kgo.RecordHeader, len(r.Headers))
	}
	for i, h := range r.Headers {
		out.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}
