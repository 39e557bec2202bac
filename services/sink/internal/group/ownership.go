package group

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/worker"
)

// Reasons to pause the fetching of a partition. It goes on when none is left.
type reason uint8

const (
	full   reason = 1 << iota // the worker has enough
	budget                    // the process has too much
	halted                    // the partition is stopped
)

// ownership is one partition for as long as this member has it.
type ownership struct {
	s         *session
	partition int32
	pin       *worker.Pin
	worker    *worker.Worker
	cancel    context.CancelFunc
	given     chan struct{} // closed when it is given up

	mu      sync.Mutex
	paused  reason
	gone    bool
	from    int64 // where fetching began
	cannot  error // why fetching failed before the worker consumed
	stopped error
	stuck   error
	seen    sight
}

// take starts the worker of a partition. The session is locked.
func (s *session) take(p int32, id worker.Identity, b *batch) *ownership {
	c := s.g.c
	o := &ownership{s: s, partition: p, pin: worker.NewPin(id), given: make(chan struct{})}
	ctx, cancel := context.WithCancel(s.workers)
	o.cancel = cancel
	owner := lake.Owner{Group: c.Group, Topic: s.topic.Name, TopicID: s.topic.ID, Partition: p}
	o.worker = worker.New(worker.Config{
		Owner: owner, Tables: c.Tables, Readable: c.Readable, Limits: c.Limits, Uploaders: c.Uploaders, Pin: o.pin,
		Store:     worker.RetryStore(c.Store, s.g.retry),
		Kafka:     worker.RetryKafka(&partition{s: s, owner: owner}, s.g.retry),
		Gather:    s.gathering(b, owner),
		Confirm:   func(ctx context.Context, want flush.State) (bool, error) { return s.confirm(ctx, p, want) },
		Fit:       func(ctx context.Context, letters []event.Record) error { return s.fit(ctx, letters) },
		Memory:    func(h cut.Holder) { s.g.memory.report(o, h) },
		Resume:    func() { o.resume(full) },
		Observe:   c.Observe,
		FeedLimit: feedLimit(c.Memory, s.topic.Partitions),
		PinWait:   2 * c.SessionTimeout,
	})
	o.worker.Go(ctx)
	go func() {
		defer cancel()
		select {
		case <-o.worker.Ready():
			o.checkStart()
		case <-o.worker.Done():
		}
		<-o.worker.Done()
		s.outcome(o)
	}()
	return o
}

// feedLimit is how much one partition may have queued: an eighth of the budget over
// all partitions of the topic, within reason.
func feedLimit(memory int64, partitions int32) int64 {
	return min(max(memory/8/int64(max(partitions, 1)), 256<<10), 8<<20)
}

func (o *ownership) feed(records []*kgo.Record, highWatermark int64) {
	if o.worker.Feed(records, highWatermark) {
		o.pause(full)
		if !o.worker.Full() { // it took them in between, and its resume came too early
			o.resume(full)
		}
	}
}

// begins waits until the worker consumes, its ownership has ended, or ctx has.
func (o *ownership) begins(ctx context.Context) bool {
	select {
	case <-o.worker.Ready():
		return true
	case <-o.worker.Done():
	case <-ctx.Done():
	}
	return false
}

func (o *ownership) ended() bool {
	select {
	case <-o.worker.Done():
		return true
	default:
		return false
	}
}

// low is where the worker began to consume, once it does.
func (o *ownership) low() (int64, bool) {
	select {
	case <-o.worker.Ready():
		return o.worker.Began(), true
	default:
		return 0, false
	}
}

func (o *ownership) fetchesFrom(offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from = offset
}

// unreadable is a fetch that cannot go on. While the worker still finishes an earlier
// flush that need not mean anything: fetching began below where it will consume.
func (o *ownership) unreadable(err error) {
	o.mu.Lock()
	o.cannot = err
	o.mu.Unlock()
	if _, ok := o.low(); ok {
		o.checkStart()
	}
}

func (o *ownership) checkStart() {
	o.mu.Lock()
	err, from := o.cannot, o.from
	o.mu.Unlock()
	low, ok := o.low()
	switch {
	case err == nil || !ok:
	case from < low:
		o.s.end(err) // fetched from below: join again and fetch from low
	default:
		o.worker.Fail(err)
	}
}

func (o *ownership) stop(err error) {
	o.pause(halted)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = err
}

func (o *ownership) pause(r reason) { o.set(r, true) }

func (o *ownership) resume(r reason) { o.set(r, false) }

// set adds or takes a reason to pause. The client is told under the lock, so that two
// changes reach it in their order.
func (o *ownership) set(r reason, on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return
	}
	before := o.paused
	if on {
		o.paused |= r
	} else {
		o.paused &^= r
	}
	this := map[string][]int32{o.s.topic.Name: {o.partition}}
	switch {
	case before == 0 && o.paused != 0:
		o.s.client.PauseFetchPartitions(this)
	case before != 0 && o.paused == 0:
		o.s.client.ResumeFetchPartitions(this)
	}
}

// giveUp ends the ownership for good. The client would remember a pause until the
// partition comes back, so it is lifted. The session is locked.
func (o *ownership) giveUp() {
	o.pin.End()
	o.s.g.memory.forget(o) // before the lock: the budget pauses and resumes under its own
	o.set(full|budget|halted, false)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	close(o.given)
}

func (o *ownership) status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Status{Status: o.worker.Status(), Paused: o.paused != 0, Stopped: o.stopped, Stuck: o.stuck}
}
