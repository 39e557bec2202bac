// Package event gives the bytes of an event their meaning: the words of a record's headers, the view of an event as
// the table sees it, and the dead letter that a record without such a view becomes. Its invariant: the same record
// always gives the same view or the same reason, and all text in a view is UTF-8, whatever bytes a producer wrote.
// It does not scan JSON itself (pkg/jsonscan does), knows no Parquet (pkg/columnar does) and no Kafka client
// (pkg/kafka turns the client's records into Records). A View belongs to one goroutine and is used again and again.
package event

import (
	"time"

	"weir/pkg/lake"
)

// Headers of the records of weir's topics.
const (
	HeaderSource     = "weir-source"      // the source id, where the key is something else
	HeaderReceivedAt = "weir-received-at" // when the gateway received the event: RFC 3339 UTC, milliseconds
	HeaderRequestID  = "weir-request-id"  // the request it came with
	HeaderFanout     = "weir-fanout"      // of a source that is, or was, hot: lane/fan-out/epoch, see Lane

	HeaderRejectedReason = "weir-rejected-reason"
	HeaderRejectedAt     = "weir-rejected-at"
	HeaderRejectedLength = "weir-rejected-length" // in bytes, where the value was cut short

	HeaderDeadLetterTopic     = "weir-dlq-topic"
	HeaderDeadLetterTopicID   = "weir-dlq-topic-id" // a UUID in lower case
	HeaderDeadLetterPartition = "weir-dlq-partition"
	HeaderDeadLetterOffset    = "weir-dlq-offset"
	HeaderDeadLetterReason    = "weir-dlq-reason"
	HeaderDeadLetterTimestamp = "weir-dlq-timestamp" // of the record, milliseconds since 1970

	HeaderRedriveCount = "weir-redrive-count" // how often the record was brought back
)

// Header is one header of a record. Keys may repeat; of the headers that weir reads the last counts.
type Header struct {
	Key   string
	Value []byte
}

// Record is an event as Kafka holds it. Its slices are borrowed from whoever made it.
type Record struct {
	Topic       string
	TopicID     lake.TopicID
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Timestamp   time.Time // whole milliseconds; NoTimestamp of them = none
	Key, Value  []byte    // nil is Kafka's null
	Headers     []Header
}

// NoTimestamp stands in Kafka, as milliseconds since 1970, for a record without a timestamp.
const NoTimestamp = -1

// header is the last value under key; there is false if no header has the key.
func (r *Record) header(key string) (value []byte, there bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}
