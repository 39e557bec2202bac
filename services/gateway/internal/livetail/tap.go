// Package livetail lets people watch what a gateway takes in, as it does: a Tap that the requests pass, and a handler that
// streams what it keeps as server-sent events. Its invariants: while nobody watches, a request pays for one look at a
// counter and nothing is kept of it; and however many watch, whatever they ask for and however slow they are, what they
// cost and hold is bounded. What may be seen is decided in shown; nothing is shown that it masks.
// It decides nothing about a request and never makes one wait for a watcher. Owned by the gateway.
package livetail

import (
	"sync"
	"sync/atomic"
	"time"

	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/livetail/shown"
)

const (
	maxWatchers = 8
	perSecond   = 50     // entries of a gateway, shared among its watchers
	looks       = 10_000 // times a second that a filter looks at an event, all watchers together
	maxShown    = 8 << 10
)

// Tap is where requests pass. The zero Tap is not usable.
type Tap struct {
	run     string // of this gateway, so that numbers of an earlier one are known as such
	count   atomic.Int32
	entries atomic.Int64 // put into the ring
	over    atomic.Int64 // events that were not shown, or not looked at, for their number
	missed  atomic.Int64 // entries that a watcher was too slow for

	mu       sync.Mutex
	ring     shown.Ring
	budget   shown.Rate
	watchers []*watcher
	closed   chan struct{}
	closing  bool
}

// watcher is one who watches. Its fields belong to the Tap's lock but for wake.
type watcher struct {
	filter shown.Filter
	rate   shown.Rate
	after  uint64        // the newest entry that it has been given
	over   int64         // what of Tap.over it has been told
	wake   chan struct{} // has room for one
}

// New makes a Tap; run differs from one start of the gateway to the next.
func New(run string) *Tap { return &Tap{run: run, closed: make(chan struct{})} }

// Watchers says how many watch.
func (t *Tap) Watchers() int { return int(t.count.Load()) }

// Totals counts since the start: entries shown to whoever asked for them, events passed over because there were too many,
// and entries missed by watchers that were too slow.
func (t *Tap) Totals() (entries, passedOver, missed int64) {
	return t.entries.Load(), t.over.Load(), t.missed.Load()
}

// Note passes what became of a request. It keeps nothing of it but copies.
func (t *Tap) Note(o ingest.Outcome) {
	if t.count.Load() > 0 {
		seen := o // so that o itself need not be on the heap when nobody watches
		t.look(&seen, time.Now())
	}
}

func (t *Tap) look(o *ingest.Outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.ring.Last()
	if o.Refusal != nil {
		t.offer(refusalLine(o), now)
	} else {
		for i := range o.Events {
			t.offer(eventLine(o, i), now)
		}
		for i := range o.Rejected {
			t.offer(rejectionLine(o, i), now)
		}
	}
	if t.ring.Last() == before {
		return
	}
	for _, w := range t.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// offer puts a line into the ring if a watcher asks for it and has not had too many.
func (t *Tap) offer(l line, now time.Time) {
	share := float64(perSecond) / float64(max(len(t.watchers), 1))
	wanted, admitted := false, false
	for _, w := range t.watchers {
		if !t.budget.Take(now, looks) {
			wanted = true // for all that is known
			break
		}
		if w.filter.Match(&l.seen) {
			wanted = true
			admitted = w.rate.Take(now, share) || admitted
		}
	}
	switch {
	case admitted:
		t.ring.Add(l.entry())
		t.entries.Add(1)
	case wanted:
		t.over.Add(1)
	}
}

// join lets one more watch, from the entry after a number on; false where there are as many as there may be, or the tap is
// closed.
func (t *Tap) join(f shown.Filter, resume func(last uint64) uint64) (*watcher, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || len(t.watchers) == maxWatchers {
		return nil, false
	}
	w := &watcher{filter: f, after: resume(t.ring.Last()), over: t.over.Load(), wake: make(chan struct{}, 1)}
	w.wake <- struct{}{} // there may be something already
	t.watchers = append(t.watchers, w)
	t.count.Store(int32(len(t.watchers)))
	return w, true
}

func (t *Tap) leave(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, other := range t.watchers {
		if other == w {
			t.watchers = append(t.watchers[:i], t.watchers[i+1:]...)
			break
		}
	}
	t.count.Store(int32(len(t.watchers)))
}

// news is what a watcher has not had yet.
type news struct {
	entries    []shown.Entry
	missed     uint64 // entries of the ring that are gone; whether they were for it nobody knows
	passedOver int64
}

func (t *Tap) next(w *watcher) (n news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n.entries, n.missed = t.ring.After(w.after, &w.filter, nil)
	w.after = t.ring.Last()
	over := t.over.Load()
	n.passedOver, w.over = over-w.over, over
	t.missed.Add(int64(n.missed))
	return n
}

// Close ends every stream, and lets nobody in any more.
func (t *Tap) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closing {
		t.closing = true
		close(t.closed)
	}
}
