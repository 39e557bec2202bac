package kafka

import (
	"bytes"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/event"
)

// batchHeader is what a batch has beside its records.
const batchHeader = 61

// BatchSize is what a record is to the broker, which compares it with its topic's
// max.message.bytes: a batch of that record alone, compressed by c as a producer does,
// unless that makes it larger. A record that is no more than enough as it is is not
// compressed to find out.
func BatchSize(r *event.Record, c kgo.Compressor, enough int) int {
	length := 3 + sizeOf(r.Key) + sizeOf(r.Value) + varint(len(r.Headers)) // 3: attributes, and how far from the batch's own time and offset
	for _, h := range r.Headers {
		length += varint(len(h.Key)) + len(h.Key) + sizeOf(h.Value)
	}
	size := batchHeader + varint(length) + length
	if size <= enough {
		return size
	}
	whole := kmsg.Record{Length: int32(length), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		whole.Headers = append(whole.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	out, _ := c.Compress(new(bytes.Buffer), whole.AppendTo(make([]byte, 0, size)))
	return min(size, batchHeader+len(out))
}

// sizeOf is that of a byte string with its length before it; -1 stands for nil.
func sizeOf(b []byte) int {
	if b == nil {
		return varint(-1)
	}
	return varint(len(b)) + len(b)
}

func varint(n int) int {
	var scratch [binary.MaxVarintLen64]byte
	return binary.PutVarint(scratch[:], int64(n))
}
