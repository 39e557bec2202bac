// Package follow reads the notifications of published flushes in their order and
// makes them visible in the catalog, each once. Its invariant is the order of a
// round: the gate judges, Glue is changed (which may happen twice without harm),
// then the gate's memory is written, then the offset on the flush topic; so
// whatever dies in between is done again and nothing is passed over. What must
// change in Glue is decided by internal/change, what may pass by pkg/flush.
// Floor 3, SHELL; owned by the catalog service.
package follow

import (
	"context"
	"time"

	"weir/pkg/flush"
	"weir/services/catalog/internal/change"
)

// Batch is what one poll of the flush topic gave.
type Batch struct {
	Notes      []flush.Notification
	Unreadable []Unreadable
	Next       int64 // offset after the last record; 0 = none was read
}

// Topic is the flush topic. Where it was left off is remembered outside of the
// gate's memory, because one topic carries the flushes of many topic ids; the
// offset only saves reading, the gate knows what has passed.
type Topic interface {
	Resume(ctx context.Context) error             // from the committed offset, or from the start where there is none
	Rewind(ctx context.Context) error             // commits the start, then goes on from there
	Poll(ctx context.Context) (Batch, error)      // waits for the next records; a batch may come with an error
	Commit(ctx context.Context, next int64) error // everything before next has passed, or has raised an alarm
}

// Settings of a follower.
type Settings struct {
	Database string
	Lake     change.Lake
	Window   time.Duration // rounds start at least so far apart: a quiet topic is followed at once, a busy one in batches
}

// Follower is one catalog at work. It belongs to the goroutine that calls Run.
type Follower struct {
	settings Settings
	topic    Topic
	gates    *gates
	register *registrar
	tell     Observer
	rewind   string // the table that was found to be gone; "" = none
}

// New wires a follower; Run starts it.
func New(s Settings, topic Topic, store Store, tables Tables, partitions Partitions, tell Observer) *Follower {
	f := &Follower{
		settings: s, topic: topic, tell: tell,
		gates:    newGates(store, s.Database, tell),
		register: newRegistrar(tables, partitions, s.Database, s.Lake, tell),
	}
	f.register.lost = f.tableLost
	return f
}

// Run follows until ctx ends. It gives up on nothing else: faults are retried.
func (f *Follower) Run(ctx context.Context) error {
	if err := f.start(ctx); err != nil {
		return err
	}
	for {
		next := time.Now().Add(f.settings.Window)
		var batch Batch
		err := Retry(ctx, f.tell, Kafka, func() (err error) {
			batch, err = f.topic.Poll(ctx)
			if len(batch.Notes)+len(batch.Unreadable) > 0 {
				return nil // what was read counts; an error comes back with the next poll
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := f.round(ctx, batch); err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
	}
}

// start needs nothing but Glue, the gate's memory and the flush topic. Tables
// exist before the first event, so that a query finds them empty and not absent.
func (f *Follower) start(ctx context.Context) error {
	if err := Retry(ctx, f.tell, Objects, func() error { return f.gates.recall(ctx) }); err != nil {
		return err
	}
	plan := change.Plan{Tables: f.settings.Lake.Specs()}
	if err := f.register.apply(ctx, plan); err != nil {
		return err
	}
	for _, spec := range plan.Tables {
		if err := f.register.warm(ctx, f.settings.Lake.Tables[spec.Name]); err != nil {
			return err
		}
	}
	if f.rewind != "" && len(f.gates.memories) > 0 { // tableLost has committed the start
		f.tell(Rewound{Table: f.rewind})
	}
	f.rewind = ""
	return Retry(ctx, f.tell, Kafka, func() error {
		if len(f.gates.memories) == 0 { // new, or lost: an offset without a memory proves nothing
			return f.topic.Rewind(ctx)
		}
		return f.topic.Resume(ctx)
	})
}

// round takes one batch all the way. It ends with an error only when ctx does.
func (f *Follower) round(ctx context.Context, b Batch) error {
	for _, u := range b.Unreadable {
		f.tell(u)
	}
	for {
		var j judged
		err := Retry(ctx, f.tell, Objects, func() (err error) {
			j, err = f.gates.judge(ctx, b.Notes)
			return err
		})
		if err != nil {
			return err
		}
		f.tell(pendingOf(j.accepted))
		if err := f.change(ctx, j); err != nil {
			return err
		}
		var settled bool
		err = Retry(ctx, f.tell, Objects, func() (err error) {
			settled, err = f.gates.put(ctx, j)
			return err
		})
		if err != nil {
			return err
		}
		if settled {
			f.visible(j.accepted)
			break
		}
	}
	return f.leave(ctx, b)
}

// change makes Glue hold what the notifications speak of. Those that passed
// before are included: what is known costs nothing, and after a loss in Glue
// they are what it is rebuilt from.
func (f *Follower) change(ctx context.Context, j judged) error {
	notes := append(append([]flush.Notification(nil), j.accepted...), j.repeats...)
	plan := f.settings.Lake.PlanOf(f.register.facts(), notes)
	for _, name := range plan.Unknown {
		f.tell(UnknownTable{Table: name})
	}
	return f.register.apply(ctx, plan)
}

// commitAttempts for an offset, before the next round has a later one to commit.
const commitAttempts = 3

// leave commits the offset. A commit that fails only means reading again later.
func (f *Follower) leave(ctx context.Context, b Batch) error {
	if f.rewind != "" {
		table := f.rewind
		f.rewind = ""
		f.tell(Rewound{Table: table})
		return Retry(ctx, f.tell, Kafka, func() error { return f.topic.Rewind(ctx) })
	}
	if b.Next == 0 {
		return nil
	}
	var err error
	for n := range commitAttempts {
		if err = f.topic.Commit(ctx, b.Next); err == nil {
			f.tell(Left{Next: b.Next})
			return nil
		}
		if err := sleep(ctx, backoff(n)); err != nil {
			return err
		}
	}
	f.tell(Fault{Dependency: Kafka, Err: err})
	return nil
}

// tableLost is told before a table that does not exist is created. Its partitions
// are gone with it, and they stand in the flush topic: the offset goes back to the
// start first, so that a crash in the middle cannot leave half of them out.
func (f *Follower) tableLost(ctx context.Context, table string) error {
	if f.rewind != "" {
		return nil
	}
	if err := Retry(ctx, f.tell, Kafka, func() error { return f.topic.Rewind(ctx) }); err != nil {
		return err
	}
	f.rewind = table
	return nil
}

func (f *Follower) visible(accepted []flush.Notification) {
	now := time.Now()
	for _, n := range accepted {
		for _, file := range n.Files {
			f.tell(Visible{Table: file.Table, Delay: now.Sub(n.CommittedAt)})
		}
	}
	f.tell(Pending(nil))
}

func pendingOf(notes []flush.Notification) Pending {
	p := make(Pending)
	for _, n := range notes {
		for _, file := range n.Files {
			b := p[file.Table]
			if b.Files == 0 || n.CommittedAt.Before(b.Oldest) {
				b.Oldest = n.CommittedAt
			}
			b.Files++
			p[file.Table] = b
		}
	}
	return p
}
