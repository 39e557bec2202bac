package produce

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

const (
	lookLimit = time.Minute      // for a reading that gets nothing: the topics may have become other ones
	lookPause = 5 * time.Second  // at most, between a reading that failed and the next
	clockSkew = 10 * time.Second // between this process and brokers whose topics carry their own time
)

// Look is what came of reading the topics back for requests that were on their way when their process, or their client, ended.
type Look struct {
	Requests int   // in doubt
	Found    int   // records of them that Kafka has
	Err      error // why the topics cannot be read: the requests are written again
}

// doubts are the records that Kafka may have.
type doubts struct {
	entries []spill.Entry
	found   []segment.Missing // by entry: bits of the records that Kafka has
	wanted  map[print][]place // identical records are found one after the other
	taken   map[print]int     // how many of them were
	from    int64             // the oldest timestamp, Unix milliseconds
	topics  map[string]bool

	read map[partition]int64 // up to where, over all attempts
	ends map[partition]int64 // up to where each has to be read, as the first attempt saw it
}

// print tells records apart: topic, key, value and the request's id.
type print [sha256.Size]byte

type place struct{ entry, record int }

type partition struct {
	topic  string
	number int32
}

// settleDoubts finds out what Kafka has of the requests in doubt, by reading the topics from their time on, until that is
// done. Only where that is denied they are written again, and may stand twice: nothing else would go away by it.
func (x *replay) settleDoubts(ctx context.Context) error {
	if x.p.opts.Spill.Doubts() == 0 {
		return nil
	}
	x.unturn()
	d, err := x.collectDoubts()
	if err != nil || len(d.entries) == 0 {
		return err
	}
	look := Look{Requests: len(d.entries)}
	if x.p.opts.Reader != nil {
		if look.Err = x.p.lookUntil(ctx, d); ctx.Err() != nil {
			return nil
		}
	}
	if look.Err == nil {
		look.Found = x.settleFound(d)
	}
	x.p.opts.Spill.Clear(d.entries)
	x.p.opts.Looked(look)
	return nil
}

// lookUntil reads the topics until that has succeeded, may not be, or ctx ends.
func (p *Producer) lookUntil(ctx context.Context, d *doubts) error {
	for pause := retryPause; ; pause = min(2*pause, lookPause) {
		err := p.look(ctx, d)
		if err == nil || denied(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// denied says whether the gateway has no right to read.
func denied(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)
}

// collectDoubts reads the spill until it has met every request in doubt, and sets the reader back to the first request:
// what was parked is read again.
func (x *replay) collectDoubts() (*doubts, error) {
	d := &doubts{
		wanted: map[print][]place{}, taken: map[print]int{}, topics: map[string]bool{}, from: math.MaxInt64,
		read: map[partition]int64{}, ends: map[partition]int64{},
	}
	x.rewind()
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
	d.found = append(d.found, nil)
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

// look reads the topics from the time of the oldest doubt to their end, or on from where an earlier attempt came to.
func (p *Producer) look(ctx context.Context, d *doubts) error {
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
		fetches, err := poll(ctx, cl)
		fetches.EachRecord(func(r *kgo.Record) {
			d.meet(r)
			at := partition{r.Topic, r.Partition}
			d.read[at] = r.Offset + 1
			if end, there := ends[at]; there && r.Offset >= end-1 {
				delete(ends, at)
			}
		})
		if err != nil {
			return fmt.Errorf("read the topics back: %w", err)
		}
	}
	return nil
}

// poll gets what comes next.
func poll(ctx context.Context, cl *kgo.Client) (kgo.Fetches, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	fetches := cl.PollFetches(ctx)
	return fetches, fetches.Err()
}

// span is from where to where each partition has to be read still.
func (p *Producer) span(ctx context.Context, d *doubts) (starts map[string]map[int32]kgo.Offset, ends map[partition]int64, err error) {
	from, to, err := p.offsets(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	starts, ends = map[string]map[int32]kgo.Offset{}, map[partition]int64{}
	to.Each(func(o kadm.ListedOffset) {
		at := partition{o.Topic, o.Partition}
		if _, seen := d.ends[at]; !seen {
			d.ends[at] = o.Offset
		}
		start, ok := from.Lookup(o.Topic, o.Partition)
		first, end := max(start.Offset, d.read[at]), min(d.ends[at], o.Offset) // what came later is in no doubt
		if !ok || first >= end {
			return
		}
		if starts[o.Topic] == nil {
			starts[o.Topic] = map[int32]kgo.Offset{}
		}
		starts[o.Topic][o.Partition] = kgo.NewOffset().At(first)
		ends[at] = end
	})
	return starts, ends, nil
}

// offsets lists those of the time of the oldest doubt, and the ends.
func (p *Producer) offsets(ctx context.Context, d *doubts) (from, to kadm.ListedOffsets, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	cl, err := p.opts.Reader()
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	topics := slices.Sorted(maps.Keys(d.topics))
	admin := kadm.NewClient(cl)
	from, err1 := admin.ListOffsetsAfterMilli(ctx, d.from-clockSkew.Milliseconds(), topics...)
	to, err2 := admin.ListEndOffsets(ctx, topics...)
	if err := errors.Join(err1, err2, from.Error(), to.Error()); err != nil {
		return nil, nil, fmt.Errorf("list the offsets of %v: %w", topics, err)
	}
	return from, to, nil
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
