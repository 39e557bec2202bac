package produce

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

// round is what is handed to Kafka's client at once: requests in order.
type round struct {
	cargos  []*cargo
	bytes   int
	limit   int
	most    int // requests
	records int
	left    atomic.Int32 // requests whose outcome is not there
	failure atomic.Pointer[error]
	done    chan struct{}
	epochs  map[string]int64 // of the fan-out of each source's requests
}

func newRound(limit int) *round {
	return &round{limit: limit, most: 1 << 20, done: make(chan struct{}), epochs: map[string]int64{}}
}

// cargo is one request of a round.
type cargo struct {
	entry   spill.Entry
	records []kgo.Record
	index   []int // of each record in its request
	pending atomic.Int32
	unread  error       // why it could not be unpacked
	doubt   atomic.Bool // Kafka may have a record that its client failed
}

func (r *round) full() bool { return r.bytes >= r.limit || len(r.cargos) >= r.most }

// cost is what a round holds until Kafka's client let go of it.
func (r *round) cost() int64 { return int64(r.bytes) + int64(r.records)*recordOverhead }

// takes says whether the request may go to Kafka together with what the round has of its source: not where the source's
// fan-out changed between them. In another partition it could overtake them.
func (r *round) takes(l *cargo) bool {
	epoch, there := r.epochs[l.entry.Key]
	return !there || epoch == l.epoch()
}

func (r *round) add(l *cargo) {
	r.epochs[l.entry.Key] = l.epoch()
	r.cargos = append(r.cargos, l)
	r.bytes += l.entry.Size
	r.records += l.entry.Records
}

// epoch is that of the fan-out which the request went by. Of its records the events come first.
func (c *cargo) epoch() int64 {
	if len(c.records) == 0 {
		return 0
	}
	for _, h := range c.records[0].Headers {
		if h.Key == event.HeaderFanout {
			l, _ := event.ParseLane(h.Value)
			return l.Epoch
		}
	}
	return 0
}

func (r *round) fail(err error) {
	if r.failure.Load() == nil {
		r.failure.CompareAndSwap(nil, &err)
	}
}

// missing says which records of the request Kafka does not have, and how many it took now.
func (c *cargo) missing() (m segment.Missing, delivered int) {
	if c.records == nil { // it could not be read
		for i := range c.entry.Records {
			if c.entry.All || c.entry.Lacks.Has(i) {
				m = m.Add(i, c.entry.Records)
			}
		}
		return m, 0
	}
	for i := range c.records {
		if c.records[i].Offset == undelivered {
			m = m.Add(c.index[i], c.entry.Records)
			continue
		}
		delivered++
	}
	return m, delivered
}

// unpack makes the records of a request that Kafka lacks.
func (c *cargo) unpack(topics []string) error {
	var rec segment.Record
	var headers []Header
	for i := 0; ; i++ {
		ok, err := c.entry.Request.Next(&rec)
		if !ok || err != nil {
			return err
		}
		if !rec.Shared {
			headers = headersOf(rec.Headers)
		}
		if !c.entry.All && !c.entry.Lacks.Has(i) {
			continue
		}
		c.index = append(c.index, i)
		c.records = append(c.records, kgo.Record{Topic: topicOf(rec.Topic, topics), Key: c.entry.Request.Key, Value: rec.Value, Timestamp: time.UnixMilli(rec.At), Headers: headers})
	}
}

func headersOf(list []segment.Header) []Header {
	headers := make([]Header, len(list))
	for i, h := range list {
		headers[i] = Header{Key: string(h.Key), Value: h.Value}
	}
	return headers
}

// topicOf gives the name of a topic, without a copy where it is one of ours. The spill may
// hold records for others, of a time when the settings were others.
func topicOf(name []byte, topics []string) string {
	for _, t := range topics {
		if t == string(name) {
			return t
		}
	}
	return string(name)
}
