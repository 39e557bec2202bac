package event

import (
	"fmt"
	"strconv"
	"time"

	"weir/pkg/lake"
)

// deadLetterHeaders is how many headers a dead letter has more than the record.
const deadLetterHeaders = 6

// DeadLetter is the record that stands for r in the dead-letter topic: key and value byte for byte, r's headers, and
// behind them where r stood and why it is no event. Topic, position and timestamp are left to who produces it. It
// borrows from r.
func DeadLetter(r *Record, reason Reason) Record {
	headers := make([]Header, 0, len(r.Headers)+deadLetterHeaders)
	headers = append(headers, r.Headers...)
	headers = append(headers,
		Header{HeaderDeadLetterTopic, []byte(r.Topic)},
		Header{HeaderDeadLetterTopicID, r.TopicID.Append(nil)},
		Header{HeaderDeadLetterPartition, strconv.AppendInt(nil, int64(r.Partition), 10)},
		Header{HeaderDeadLetterOffset, strconv.AppendInt(nil, r.Offset, 10)},
		Header{HeaderDeadLetterReason, []byte(reason)},
		Header{HeaderDeadLetterTimestamp, strconv.AppendInt(nil, r.Timestamp.UnixMilli(), 10)})
	return Record{Key: r.Key, Value: r.Value, Headers: headers}
}

// Original is the inverse of DeadLetter: the record that d stands for, but for its leader epoch, and the reason. Of a
// record that was a dead letter before, the last headers count; what a client added behind them, as tracing does, is
// left out. It borrows from d.
func Original(d *Record) (Record, Reason, error) {
	own := len(d.Headers) - deadLetterHeaders
	for own >= 0 && d.Headers[own].Key != HeaderDeadLetterTopic {
		own--
	}
	if own < 0 {
		return Record{}, "", fmt.Errorf("read the headers of a dead letter: no header %s with five behind it", HeaderDeadLetterTopic)
	}
	p := headerParser{headers: d.Headers[own:]}
	r := Record{
		Topic:     p.text(HeaderDeadLetterTopic),
		TopicID:   p.topicID(HeaderDeadLetterTopicID),
		Partition: int32(p.number(HeaderDeadLetterPartition, 32)),
		Offset:    p.number(HeaderDeadLetterOffset, 64),
	}
	reason := Reason(p.text(HeaderDeadLetterReason))
	r.Timestamp = time.UnixMilli(p.number(HeaderDeadLetterTimestamp, 64)).UTC()
	r.Key, r.Value, r.Headers = d.Key, d.Value, d.Headers[:own:own]
	if p.err != nil {
		return Record{}, "", p.err
	}
	return r, reason, nil
}

// headerParser reads headers in their order and keeps the first error.
type headerParser struct {
	headers []Header
	err     error
}

func (p *headerParser) text(key string) string {
	h := p.headers[0]
	p.headers = p.headers[1:]
	if h.Key != key {
		p.fail(key, fmt.Errorf("%s stands in its place", h.Key))
	}
	return string(h.Value)
}

func (p *headerParser) topicID(key string) lake.TopicID {
	id, err := lake.ParseTopicID(p.text(key))
	p.fail(key, err)
	return id
}

func (p *headerParser) number(key string, bits int) int64 {
	n, err := strconv.ParseInt(p.text(key), 10, bits)
	p.fail(key, err)
	return n
}

func (p *headerParser) fail(key string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("read the header %s of a dead letter: %w", key, err)
	}
}
