package produce

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

const (
	lookLimit    = time.Minute // for one reading of the topics
	lookAttempts = 5
	clockSkew    = 10 * time.Second // between this process and brokers whose topics carry their own time
)

// Look is what came of reading the topics back for requests that an earlier process had on their way.
type Look struct {
	Requests int // in doubt
	Found    int // records of them that Kafka has
	Err      error
}

// doubts are the records that Kafka may have.
type doubts struct {
	entries []spill.Entry
	found   []segment.Missing // by entry: bits of the records that Kafka has
	wanted  map[print][]place // identical records are found one after the other
	taken   map[print]int     // how many of them were
	from    int64             // the oldest timestamp, Unix milliseconds
	topics  map[string]bool
}

// print tells records apart: topic, key, value and the request's id.
type print [sha256.Size]byte

type place struct{ entry, record int }

type partition struct {
	topic  string
	number int32
}

// settleDoubts finds out what Kafka has of the requests that a killed process had handed to its client, by reading
// the topics from their time on. Where that cannot be read, they are written again, and may stand twice.
func (x *replay) settleDoubts(ctx context.Context) error {
	if x.p.opts.Spill.Doubts() == 0 || x.p.opts.Reader == nil {
		return nil
	}
	d, err := x.collectDoubts()
	if err != nil {
		return err
	}
	look := Look{Requests: len(d.entries)}
	for attempt := 1; attempt <= lookAttempts && ctx.Err() == nil; attempt++ {
		if look.Err = x.p.look(ctx, d); look.Err == nil || errors.Is(look.Err, kerr.TopicAuthorizationFailed) {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPause):
		}
	}
	if look.Err == nil && ctx.Err() == nil {
		look.Found = x.settleFound(d)
	}
	x.p.opts.Looked(look)
	return nil
}

// collectDoubts reads the spill until it has met every request in doubt, and sets the reader back.
func (x *replay) collectDoubts() (*doubts, error) {
	d := &doubts{wanted: map[print][]place{}, topics: map[string]bool{}, from: math.MaxInt64}
	defer x.p.opts.Spill.Rewind()
	for limit := roundBytes; len(d.entries) < x.p.opts.Spill.Doubts(); {
		list, end, need, err := x.p.opts.Spill.Next(limit)
		if err != nil {
			return nil, err
		}
		limit = max(roundBytes, need)
		for _, e := range list {
			if !e.Doubt {
				continue
			}
			if err := d.add(e); err != nil {
				return nil, err
			}
		}
		if end {
			break
		}
	}
	return d, nil
}

func (d *doubts) add(e spill.Entry) error {
	l := &cargo{entry: e}
	if err := l.unpack(nil); err != nil {
		return err
	}
	for i := range l.records {
		r := &l.records[i]
		p := printOf(r)
		d.wanted[p] = append(d.wanted[p], place{len(d.entries), l.index[i]})
		d.from = min(d.from, r.Timestamp.UnixMilli())
		d.topics[r.Topic] = true
	}
	e.Request = nil
	d.entries = append(d.entries, e)
	return nil
}

func printOf(r *kgo.Record) (p print) {
	h := sha256.New()
	id := ""
	for _, x := range r.Headers {
		if x.Key == event.HeaderRequestID {
			id = string(x.Value)
		}
	}
	fmt.Fprintf(h, "%d %d %d %s%s%s", len(r.Topic), len(r.Key), len(id), r.Topic, r.Key, id)
	h.Write(r.Value)
	return print(h.Sum(nil))
}

// look reads the topics from the time of the oldest doubt to their end.
func (p *Producer) look(ctx context.Context, d *doubts) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	d.taken, d.found = map[print]int{}, make([]segment.Missing, len(d.entries))
	starts, ends, err := p.span(ctx, d)
	if err != nil || len(starts) == 0 {
		return err
	}
	cl, err := p.opts.Reader(kgo.ConsumePartitions(starts), kgo.KeepControlRecords(), kgo.FetchMaxBytes(4<<20), kgo.MaxConcurrentFetches(1))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the topics back: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			d.meet(r)
			at := partition{r.Topic, r.Partition}
			if end, there := ends[at]; there && r.Offset >= end-1 {
				delete(ends, at)
			}
		})
	}
	return nil
}

// span is from where to where each partition has to be read.
func (p *Producer) span(ctx context.Context, d *doubts) (starts map[string]map[int32]kgo.Offset, ends map[partition]int64, err error) {
	cl, err := p.opts.Reader()
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	var topics []string
	for t := range d.topics {
		topics = append(topics, t)
	}
	admin := kadm.NewClient(cl)
	from, err1 := admin.ListOffsetsAfterMilli(ctx, d.from-clockSkew.Milliseconds(), topics...)
	to, err2 := admin.ListEndOffsets(ctx, topics...)
	if err := errors.Join(err1, err2, from.Error(), to.Error()); err != nil {
		return nil, nil, fmt.Errorf("list the offsets of %v: %w", topics, err)
	}
	starts, ends = map[string]map[int32]kgo.Offset{}, map[partition]int64{}
	to.Each(func(o kadm.ListedOffset) {
		start, ok := from.Lookup(o.Topic, o.Partition)
		if !ok || start.Offset >= o.Offset {
			return
		}
		if starts[o.Topic] == nil {
			starts[o.Topic] = map[int32]kgo.Offset{}
		}
		starts[o.Topic][o.Partition] = kgo.NewOffset().At(start.Offset)
		ends[partition{o.Topic, o.Partition}] = o.Offset
	})
	return starts, ends, nil
}

// meet notes a record of the topics that was in doubt.
func (d *doubts) meet(r *kgo.Record) {
	p := printOf(r)
	n := d.taken[p]
	if n == len(d.wanted[p]) {
		return
	}
	at := d.wanted[p][n]
	d.taken[p]++
	d.found[at.entry] = d.found[at.entry].Add(at.record, d.entries[at.entry].Records)
}

// settleFound notes in the spill what Kafka has, and counts it.
func (x *replay) settleFound(d *doubts) (records int) {
	for i, e := range d.entries {
		var missing segment.Missing
		found := 0
		for r := range e.Records {
			switch lacks := e.All || e.Lacks.Has(r); {
			case lacks && d.found[i].Has(r):
				found++
			case lacks:
				missing = missing.Add(r, e.Records)
			}
		}
		if found > 0 {
			x.p.opts.Spill.Settle(e.Ref, missing)
			x.p.opts.Returned(Return{Records: found, Late: true})
			records += found
		}
	}
	return records
}
