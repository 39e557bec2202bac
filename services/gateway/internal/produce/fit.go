package produce

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batchOverhead is the bytes of a batch beside its records and the length before it, as the client counts them.
const batchOverhead = 61

// batchSize is how many bytes Kafka's client counts for a batch of this record alone before it takes it (kgo:
// recBatch.tryBuffer), for brokers of Kafka 2.8 and later. For older ones, and until it has met a broker, it counts three
// more.
func batchSize(r *kgo.Record) int {
	n := 3 + // attributes; the deltas of time and offset, which are 0 in the first record
		kbin.VarintLen(int32(len(r.Key))) + len(r.Key) +
		kbin.VarintLen(int32(len(r.Value))) + len(r.Value) +
		kbin.VarintLen(int32(len(r.Headers)))
	for _, h := range r.Headers {
		n += kbin.VarintLen(int32(len(h.Key))) + len(h.Key) + kbin.VarintLen(int32(len(h.Value))) + len(h.Value)
	}
	return kbin.UvarintLen(batchOverhead+1) + batchOverhead + kbin.VarintLen(int32(n)) + n
}

// fits refuses a request with a record that is larger than its topic takes since it was spilled. The client would fail that
// record by itself, and take those behind it.
func (p *Producer) fits(l *cargo) error {
	for i := range l.records {
		r := &l.records[i]
		if size, most := batchSize(r), p.opts.Limits.batch(r.Topic); size > int(most) {
			return fmt.Errorf("a record of the spill takes %d bytes, and topic %s took %d when the gateway started: raise its max.message.bytes again, and restart the gateway: %w",
				size, r.Topic, most, kerr.MessageTooLarge)
		}
	}
	return nil
}

// admit takes a request into the round, unless it has to wait for the next one or, with its source, for a person.
func (x *replay) admit(r *round, l *cargo) bool {
	if l.unread = l.unpack(x.p.opts.Topics); l.unread == nil {
		if !r.takes(l) {
			return false
		}
		if err := x.p.fits(l); err != nil {
			x.stick(l.entry.Key, err)
			return false
		}
	}
	r.add(l)
	return true
}
