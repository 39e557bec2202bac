package follow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// What a round may spend on gaps: the partitions that have none wait for it.
const (
	gapsAtOnce  = 8
	gapReads    = 256    // manifests of one gap in one round
	gapFiles    = 10_000 // files of one gap that pass in one round, unless one flush has more
	headsAtOnce = 16
	gapPatience = 5 * time.Second // for one request, then the gap tries again later
)

// noHold: whatever the gap is about is passed on the flush topic already.
const noHold = math.MaxInt64

// partition is one partition of a source topic.
type partition struct {
	topic  lake.TopicID
	number int32
}

func partitionOf(n flush.Notification) partition { return partition{n.TopicID, n.Partition} }

// gap is a partition whose notifications leave flushes out. Manifests fill the hole, a
// few a round, while the other partitions go on; what is read of it meanwhile is put
// off: of that only the newest is remembered, because the chain leads there too.
type gap struct {
	partition partition
	chain     *flush.Chain
	end       flush.Notification // where the chain ends; without files
	newest    flush.Notification // that was read since; without files
	from      uint64             // first seq that was missing
	hold      int64              // offset of the flush topic that is not left before it is closed

	failures int
	due      time.Time // when it is tried again
	worked   time.Time
}

// filling is what a round has made of a gap.
type filling struct {
	gap     *gap
	notes   []flush.Notification // follow what was accepted, in order
	missing []MissingObject
	reads   int
	alarm   string // why the chain cannot be passed; "" = it can
	err     error  // what ended the work early; the next time it goes on from there
}

func light(n flush.Notification) flush.Notification {
	n.Files = nil
	return n
}

// open begins a gap before n. An alarm is why there is no way to n.
func (g *gates) open(gate *flush.Gate, n flush.Notification, hold int64) (alarm string) {
	mark := gate.Marks[n.Partition]
	chain, err := flush.NewChain(mark, n)
	if err != nil {
		return err.Error()
	}
	now := time.Now()
	g.gaps[partitionOf(n)] = &gap{
		partition: partitionOf(n), chain: chain, end: light(n), newest: light(n), from: mark.Seq + 1, hold: hold, due: now, worked: now,
	}
	return ""
}

// putOff notes what was read of a partition while its gap is open.
func (p *gap) putOff(n flush.Notification) {
	if n.Seq > p.newest.Seq {
		p.newest = light(n)
	}
}

// held is the first offset of the flush topic that a gap holds.
func (g *gates) held() int64 {
	held := int64(noHold)
	for _, p := range g.gaps {
		held = min(held, p.hold)
	}
	return held
}

// fill works on the gaps that are due, those that have waited longest, for as long as
// until.
func (g *gates) fill(ctx context.Context, until time.Time) []filling {
	var due []*gap
	for _, p := range g.gaps {
		if !p.due.After(time.Now()) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b *gap) int {
		return cmp.Or(a.worked.Compare(b.worked), slices.Compare(a.partition.topic[:], b.partition.topic[:]), cmp.Compare(a.partition.number, b.partition.number))
	})
	fillings := make([]filling, min(len(due), gapsAtOnce))
	var group errgroup.Group
	for i := range fillings {
		group.Go(func() error {
			fillings[i] = g.work(ctx, due[i], until)
			return nil
		})
	}
	_ = group.Wait() // nothing in it fails
	for _, f := range fillings {
		g.worked(ctx, f)
	}
	return fillings
}

// worked tells what came of a gap's turn, and when the next is.
func (g *gates) worked(ctx context.Context, f filling) {
	p, now := f.gap, time.Now()
	p.worked, p.due = now, now
	for _, m := range f.missing {
		g.tell(m)
	}
	switch {
	case f.err == nil && p.failures > 0:
		p.failures = 0
		g.tell(Fault{Dependency: Objects})
	case f.err != nil && ctx.Err() == nil:
		if f.reads > 0 { // it gets on
			p.failures = 0
		}
		wait := backoff(p.failures)
		p.failures++
		p.due = now.Add(wait)
		g.tell(Fault{Dependency: Objects, Err: f.err, Wait: wait})
	}
	g.tell(Closing{Topic: p.end.Topic, TopicID: p.partition.topic, Partition: p.partition.number, Progress: p.chain.Progress()})
}

// work reads on from where the gap has come to. Only it may use f's gap meanwhile.
func (g *gates) work(ctx context.Context, p *gap, until time.Time) filling {
	f := filling{gap: p}
	for files := 0; f.reads == 0 || f.reads < gapReads && files < gapFiles && time.Now().Before(until); f.reads++ {
		l, forward := p.chain.Next()
		if l.Seq == 0 {
			break
		}
		m, alarm, err := g.manifest(ctx, l)
		if alarm != "" || err != nil {
			f.alarm, f.err = alarm, err
			break
		}
		var missing []MissingObject
		if forward {
			if missing, f.err = g.sizes(ctx, m); f.err != nil {
				break
			}
		}
		n, err := p.chain.Read(m)
		if err != nil {
			f.alarm = err.Error()
			break
		}
		if n != nil {
			f.notes, f.missing = append(f.notes, *n), append(f.missing, missing...)
			files += len(n.Files)
		}
	}
	return f
}

// reopen leads a gap to the newest flush that was read meanwhile.
func (g *gates) reopen(gate *flush.Gate, p *gap) (alarm string) {
	delete(g.gaps, p.partition)
	alarm = g.open(gate, p.newest, p.hold)
	if next := g.gaps[p.partition]; next != nil {
		next.from = p.from
	}
	return alarm
}

// settle looks whether a gap is closed by what passed of it. It goes on if more was
// notified meanwhile. An alarm is why it cannot.
func (g *gates) settle(gate *flush.Gate, p *gap) (alarm string) {
	l, _ := p.chain.Next()
	if g.gaps[p.partition] != p || l.Seq > 0 {
		return ""
	}
	if p.newest.Seq > gate.Marks[p.partition.number].Seq {
		return g.reopen(gate, p)
	}
	delete(g.gaps, p.partition)
	g.tell(GapClosed{Topic: p.end.Topic, TopicID: p.partition.topic, Partition: p.partition.number, From: p.from, To: p.end.Seq - 1})
	return ""
}

func (g *gates) manifest(ctx context.Context, l flush.Link) (m *flush.Manifest, alarm string, err error) {
	ctx, cancel := context.WithTimeout(ctx, gapPatience)
	defer cancel()
	body, _, err := g.store.Get(ctx, l.Manifest)
	if errors.Is(err, s3.ErrNotFound) {
		return nil, fmt.Sprintf("the notification of flush %d is missing, and its manifest %s is not there", l.Seq, l.Manifest), nil
	}
	if err != nil {
		return nil, "", err
	}
	m, err = codec.DecodeManifest(l.Manifest, body)
	if err != nil {
		return nil, fmt.Sprintf("the notification of flush %d is missing, and its manifest %s cannot be read: %v", l.Seq, l.Manifest, err), nil
	}
	return m, "", nil
}

// sizes looks at the files of a flush. One that is gone is reported and keeps the
// manifest's size: that the flush took place is not in doubt, and the rows after it
// must not wait.
func (g *gates) sizes(ctx context.Context, m *flush.Manifest) ([]MissingObject, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headsAtOnce)
	gone := make([]bool, len(m.Files))
	for i := range m.Files {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, gapPatience)
			defer cancel()
			o, err := g.store.Head(ctx, m.Files[i].Key)
			if gone[i] = errors.Is(err, s3.ErrNotFound); gone[i] {
				return nil
			}
			m.Files[i].Bytes = o.Bytes
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var missing []MissingObject
	for i := range m.Files {
		if gone[i] {
			missing = append(missing, MissingObject{Manifest: m.Key, Key: m.Files[i].Key})
		}
	}
	return missing, nil
}
