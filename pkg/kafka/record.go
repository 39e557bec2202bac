package kafka

import (
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
		Timestamp:   r.Timestamp,
		Key:         r.Key,
		Value:       r.Value,
		Headers:     headers,
	}
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
