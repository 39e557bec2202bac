package redrive

import (
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/kafka"
)

// Admit judges a rejected event by the gateway's rules as they are now, as if it came
// alone: the record's value as the gateway would have written it, or the code of the
// rule that refuses it. id is the messageId of an event that has none.
type Admit func(original []byte, receivedAt time.Time, id string) (value []byte, code string)

// door is the way back: it makes of a letter the record that goes to the events topic.
type door struct {
	cfg        *Config
	max        int // bytes of one batch that the events topic takes
	compressor kgo.Compressor
	view       event.View
}

func newDoor(cfg *Config, maxBatch int) (*door, error) {
	compressor, err := kgo.DefaultCompressor(codecs()...)
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &door{cfg: cfg, max: maxBatch, compressor: compressor}, nil
}

// passage is a record on its way back.
type passage struct {
	letter  *Letter
	record  event.Record
	bytes   int    // as a batch of its own
	becomes string // what the sink will make of it
	refusal string // why it does not go; empty = it goes
}

// open makes the record, or says why it does not go. Key and value are byte for byte
// what they were, unless another value was given or the gateway's rules write it anew;
// of the headers all stay, and what is added stands behind them.
func (d *door) open(l *Letter) passage {
	p := passage{letter: l, record: l.Record}
	r := &p.record
	r.Topic = d.cfg.Topic
	if d.cfg.Value != nil {
		r.Value = d.cfg.Value
	}
	if p.refusal = d.refuses(l); p.refusal != "" {
		return p
	}
	received, stated := receivedAt(&l.Record)
	if d.cfg.Aside.Kind == Rejected {
		value, code := d.cfg.Admit(r.Value, received.Time(), l.Origin.messageID())
		if code != "" {
			p.refusal = "rejected: " + code
			return p
		}
		r.Value = value
	}
	r.Headers = d.headers(l, received, stated)
	// Its time in Kafka is that of the redrive: with its first one, retention may take
	// the record before the sink has read it.
	r.Timestamp = time.Time{}
	if p.bytes = kafka.BatchSize(r, d.compressor, d.max); p.bytes > d.max {
		p.refusal = fmt.Sprintf("too large: raise max.message.bytes of topic %s to %d", r.Topic, p.bytes)
		return p
	}
	p.becomes = "event"
	if reason := d.view.Decode(r); reason != "" {
		p.becomes = "dead letter: " + string(reason)
	}
	return p
}

// refuses says what no rule about events is needed for.
func (d *door) refuses(l *Letter) string {
	switch {
	case d.cfg.Aside.Kind == DeadLetters && l.Topic != d.cfg.Topic:
		return "stood in topic " + l.Topic
	case l.Whole > 0 && d.cfg.Value == nil:
		return fmt.Sprintf("cut short: it had %d bytes", l.Whole)
	}
	return ""
}

// headers are the record's, and behind them those that the redrive adds. The time of
// receipt is stated, because the record's own time in Kafka is another one now.
func (d *door) headers(l *Letter, received event.Instant, stated bool) []event.Header {
	headers := make([]event.Header, 0, len(l.Record.Headers)+3)
	for _, h := range l.Record.Headers {
		if h.Key != event.HeaderRedriveCount {
			headers = append(headers, h)
		}
	}
	if received.Valid && !stated {
		headers = append(headers, event.Header{Key: event.HeaderReceivedAt, Value: event.AppendTime(nil, received)})
	}
	if d.cfg.AsSource != "" {
		headers = append(headers, event.Header{Key: event.HeaderSource, Value: []byte(d.cfg.AsSource)})
	}
	return append(headers, event.Header{Key: event.HeaderRedriveCount, Value: strconv.AppendInt(nil, int64(l.Attempts)+1, 10)})
}

// receivedAt is when the event was received, as the sink reads it, and whether a header
// states it. It is not valid where the record has no time, or one that is out of all bounds.
func receivedAt(r *event.Record) (at event.Instant, stated bool) {
	text, _ := header(r, event.HeaderReceivedAt)
	if at, ok := event.ParseTime(text); ok {
		return at, true
	}
	if r.Timestamp.UnixMilli() == event.NoTimestamp {
		return event.Instant{}, false
	}
	return event.InstantOf(r.Timestamp), false
}

// messageID has the form of those that the sink derives, so that a second judgement of
// the same event gives the same id.
func (o Origin) messageID() string {
	return o.TopicID.String() + "-" + strconv.Itoa(int(o.Partition)) + "-" + strconv.FormatInt(o.Offset, 10)
}
