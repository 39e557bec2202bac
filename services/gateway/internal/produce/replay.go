package produce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

const (
	// roundBytes bounds what is read and handed to Kafka's client at once.
	roundBytes = 1 << 20
	// probeBytes is read where Kafka is away: one request of it asks whether it is back.
	probeBytes = 64 << 10
	// maxParked bounds the requests that were read and have to wait for others of their source.
	maxParked = 64 << 10
	// retryPause is between a round that failed and the next.
	retryPause = 500 * time.Millisecond
	// idlePause is until somebody looks again where nothing is held; whoever spills says so.
	idlePause = time.Hour
	// stuckPause is how long a source waits of which Kafka refuses a record.
	stuckPause = 30 * time.Second
	// markPatience is how long a disk without room holds up what is given back.
	markPatience = 30 * time.Second
)

// replay gives the spill back. One goroutine owns it.
type replay struct {
	p      *Producer
	budget *Budget
	parked []spill.Entry        // in order; not loaded
	turned map[string]bool      // keys whose new requests wait
	out    atomic.Int64         // bytes of the rounds of which the client has not said what became of them
	atEnd  bool                 // everything was read
	alone  int                  // requests to hand one by one, to find the one that Kafka refuses
	stuck  map[string]time.Time // until when a source waits
	passed map[string]bool      // sources of which the first request alone is parked: what follows of them is read again later
	again  bool                 // it is later: one of those requests was taken

	unmarked time.Time // since when the disk takes no marks; zero = it does
}

// Replay gives what the spill holds to Kafka, in the order of each source, until ctx
// ends. What it holds at once is charged to the budget.
func (p *Producer) Replay(ctx context.Context, budget *Budget) error {
	x := &replay{p: p, budget: budget, turned: map[string]bool{}, stuck: map[string]time.Time{}, passed: map[string]bool{}}
	for ctx.Err() == nil {
		pause, err := x.step(ctx)
		if errors.Is(err, spill.ErrUnread) { // what was read of the round is read again
			pause = retryPause
			x.rewind()
		} else if err != nil {
			return err
		}
		if pause == 0 {
			continue
		}
		more := p.opts.Spill.More()
		if p.away.Load() && pause == retryPause {
			more = nil // every request that is spilled would wake it
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-more:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// step plays one round, and says how long to wait before the next; 0 = not at all.
func (x *replay) step(ctx context.Context) (pause time.Duration, err error) {
	if x.out.Load() > x.budget.Limit()/4 {
		return retryPause, nil
	}
	if err := x.settleDoubts(ctx); err != nil {
		return 0, err
	}
	r, err := x.gather()
	if err != nil {
		return 0, err
	}
	if len(r.cargos) == 0 {
		if len(x.parked) > 0 || !x.atEnd || x.again {
			return retryPause, nil
		}
		clear(x.turned)
		return idlePause, nil // until there is more
	}
	if !x.budget.Take(r.cost()) {
		x.park(r.cargos)
		return retryPause, nil
	}
	if err := x.mark(ctx, r); err != nil {
		x.budget.Give(r.cost())
		x.back(r)
		return retryPause, nil
	}
	start := time.Now()
	x.send(r)
	err = x.await(ctx, r)
	if x.alone = max(x.alone-1, 0); err == nil || ctx.Err() != nil {
		x.taken(r)
		return 0, nil
	}
	x.back(r)
	if refused(err) {
		x.refuse(r, err)
		return 0, nil
	}
	x.p.lose(start, err)
	return retryPause, nil
}

// gather reads the next round: what was parked first, then what follows.
func (x *replay) gather() (*round, error) {
	r := newRound(int(min(roundBytes, x.budget.Limit()/16)))
	if x.p.away.Load() {
		r.limit, r.most = min(probeBytes, r.limit), 1
	}
	if x.alone > 0 {
		r.most = 1
	}
	x.atEnd = false
	if x.again {
		x.rewind()
	}
	blocked := map[string]bool{}
	for key, until := range x.stuck {
		if blocked[key] = time.Now().Before(until); !blocked[key] {
			delete(x.stuck, key)
		}
	}
	err := x.unpark(r, blocked)
	if err == nil {
		err = x.readOn(r, blocked)
	}
	x.tellOldest(r)
	return r, err
}

// tellOldest tells the spill how long its oldest request waits.
func (x *replay) tellOldest(r *round) {
	oldest := int64(math.MaxInt64)
	if len(x.parked) > 0 {
		oldest = x.parked[0].At
	}
	if len(r.cargos) > 0 {
		oldest = min(oldest, r.cargos[0].entry.At)
	}
	if oldest < math.MaxInt64 {
		x.p.opts.Spill.Oldest(oldest)
	}
}

// unpark takes what was parked and has not to wait any more.
func (x *replay) unpark(r *round, blocked map[string]bool) error {
	keep := x.parked[:0]
	met := map[string]bool{} // of the sources that are passed over
	for i := range x.parked {
		e := x.parked[i]
		if met[e.Key] {
			continue
		}
		met[e.Key] = x.passed[e.Key]
		if blocked[e.Key] || r.full() {
			blocked[e.Key] = true
			keep = append(keep, e)
			continue
		}
		held, err := x.p.opts.Spill.Load(&e)
		if err != nil {
			return err
		}
		x.again = x.again || !held && x.passed[e.Key]
		if held && (e.Open || e.Doubt || !x.admit(r, &cargo{entry: e})) {
			blocked[e.Key] = true
			e.Request = nil
			keep = append(keep, e)
		}
	}
	clear(x.parked[len(keep):])
	x.parked = keep
	return nil
}

// readOn reads what follows what was read last.
func (x *replay) readOn(r *round, blocked map[string]bool) error {
	for limit := r.limit - r.bytes; limit > 0 && !r.full() && len(x.parked) < maxParked; {
		list, end, need, err := x.p.opts.Spill.Next(limit)
		if err != nil {
			return err
		}
		if x.atEnd = end; need > 0 {
			limit = need // a request that is larger than a round
			continue
		}
		for _, e := range list {
			if x.passes(e.Key) {
				continue
			}
			if blocked[e.Key] || e.Open || e.Doubt || r.full() || !x.admit(r, &cargo{entry: e}) {
				blocked[e.Key] = true
				e.Request = nil
				x.parked = append(x.parked, e)
			}
		}
		return nil
	}
	return nil
}

// mark notes on the disk that the round is handed to Kafka's client. A disk that the spill itself has filled gets room only
// by what is given back: after a while that goes without the note.
func (x *replay) mark(ctx context.Context, r *round) error {
	ids := make([]segment.ID, len(r.cargos))
	for i, l := range r.cargos {
		ids[i] = l.entry.ID
	}
	err := x.p.opts.Spill.Hand(ctx, ids)
	switch {
	case err == nil:
		x.unmarked = time.Time{}
	case ctx.Err() != nil:
	case x.unmarked.IsZero():
		x.unmarked = time.Now()
	case time.Since(x.unmarked) > markPatience:
		x.p.opts.Spill.Open(ids)
		return nil
	}
	return err
}

// send hands a round to Kafka's client.
func (x *replay) send(r *round) {
	x.out.Add(r.cost())
	r.left.Store(int32(len(r.cargos)))
	if x.atEnd && !x.p.away.Load() {
		x.turn(r)
	}
	for _, l := range r.cargos {
		if l.unread != nil {
			r.fail(l.unread)
			l.records, l.index = nil, nil
		}
		x.hand(r, l)
	}
}

// hand gives a request's records to Kafka's client; none after one that failed, which it must not overtake.
func (x *replay) hand(r *round, l *cargo) {
	l.pending.Store(int32(len(l.records)) + 1) // one for this goroutine
	promise := func(rec *kgo.Record, err error) {
		if err != nil {
			rec.Offset = undelivered
			if inDoubt(err) {
				l.doubt.Store(true)
			}
			r.fail(fmt.Errorf("produce to topic %s from the spill: %w", rec.Topic, err))
		}
		x.landed(r, l)
	}
	for i := range l.records {
		if r.failure.Load() == nil {
			x.p.opts.Replayer.TryProduce(context.Background(), &l.records[i], promise)
			continue
		}
		l.records[i].Offset = undelivered
		x.landed(r, l)
	}
	x.landed(r, l)
}

// turn makes new requests of the round's sources wait: behind the round there is nothing
// but what is being spilled now.
func (x *replay) turn(r *round) {
	waits := maps.Clone(x.passed)
	for _, e := range x.parked {
		waits[e.Key] = true
	}
	for _, l := range r.cargos {
		if waits[l.entry.Key] {
			continue
		}
		x.turned[l.entry.Key] = true
		x.p.opts.Spill.Turn(l.entry.Key)
	}
}

// landed counts the outcomes of a request; the last one settles it.
func (x *replay) landed(r *round, l *cargo) {
	if l.pending.Add(-1) > 0 {
		return
	}
	missing, n := l.missing()
	if l.doubt.Load() {
		x.p.opts.Spill.DoubtRef(l.entry.Ref)
		n = 0
	} else {
		x.p.opts.Spill.Settle(l.entry.Ref, missing)
	}
	if n > 0 {
		x.p.note(nil)
		x.p.opts.Returned(Return{Records: n})
	}
	if r.left.Add(-1) == 0 {
		x.budget.Give(r.cost())
		x.out.Add(-r.cost())
		close(r.done)
	}
}

// await waits for a round, as long as a request would.
func (x *replay) await(ctx context.Context, r *round) error {
	timer := time.NewTimer(x.p.opts.Deadline)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		return ErrLate
	case <-ctx.Done():
		return ctx.Err()
	}
	if failure := r.failure.Load(); failure != nil {
		return domainError(*failure)
	}
	return nil
}

// back parks what a round did not bring to Kafka, and lets those go on who wait for it.
func (x *replay) back(r *round) {
	x.park(r.cargos)
	x.unturn()
}

func (x *replay) unturn() {
	for key := range x.turned {
		x.p.opts.Spill.Return(key)
	}
	clear(x.turned)
}

func (x *replay) park(cargos []*cargo) {
	for _, l := range cargos {
		e := l.entry
		e.Request = nil
		x.parked = append(x.parked, e)
	}
	slices.SortFunc(x.parked, func(a, b spill.Entry) int { return cmp.Compare(a.ID, b.ID) })
}
