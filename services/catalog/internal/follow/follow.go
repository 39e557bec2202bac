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
	"maps"
	"slices"
	"time"

	"weir/pkg/flush"
	"weir/services/catalog/internal/change"
)

// Batch is what one poll of the flush topic gave.
type Batch struct {
	Notes      []flush.Notification
	Unreadable []Unreadable
	First      int64 // offset of the first record
	Next       int64 // offset after the last record; 0 = none was read
}

// Topic is the flush topic. Where it was left off is remembered outside of the
// gate's memory, because one topic carries the flushes of many topic ids; the
// offset only saves reading, the gate knows what has passed.
type Topic interface {
	Resume(ctx context.Context) error             // from the committed offset, or from the start where there is none
	Rewind(ctx context.Context) error             // commits the start, then goes on from there
	Poll(ctx context.Context) (Batch, error)      // waits for the next records; a batch may come with an error
	Commit(ctx context.Context, next int64) error // everything before next has passed, or stands at the gate
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
	columns  time.Time // when the registry of columns was looked at
	unusable time.Time // when it was looked at last and could not be used
	rewind   string    // the table that was found to be gone; "" = none
	read     int64     // of the flush topic: the offset after the last record that was dealt with
	left     int64     // the offset that was committed last; -1 = not known
}

// New wires a follower; Run starts it.
func New(s Settings, topic Topic, store Store, tables Tables, partitions Partitions, tell Observer) *Follower {
	f := &Follower{
		settings: s, topic: topic, tell: tell, left: -1,
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
		batch, err := f.poll(ctx)
		if err != nil {
			return err
		}
		f.gates.look(ctx)
		fillings := f.gates.fill(ctx, time.Now().Add(f.settings.Window))
		if err := f.round(ctx, batch, fillings); err != nil {
			return err
		}
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
	}
}

// poll waits for the next records, or until there is something else to do.
func (f *Follower) poll(ctx context.Context) (Batch, error) {
	patient, cancel := context.WithTimeout(ctx, f.gates.patience())
	defer cancel()
	var batch Batch
	err := Retry(patient, f.tell, Kafka, func() (err error) {
		batch, err = f.topic.Poll(patient)
		if batch.Next > 0 {
			return nil // what was read counts; an error comes back with the next poll
		}
		return err
	})
	if patient.Err() != nil {
		err = ctx.Err()
	}
	return batch, err
}

// start needs nothing but Glue, the gate's memory and the flush topic. Tables
// exist before the first event, so that a query finds them empty and not absent.
func (f *Follower) start(ctx context.Context) error {
	if err := Retry(ctx, f.tell, Objects, func() error { return f.gates.recall(ctx) }); err != nil {
		return err
	}
	if err := f.look(ctx, nil); err != nil {
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

// round takes one batch all the way, and what fills gaps before it. It ends with an
// error only when ctx does.
func (f *Follower) round(ctx context.Context, b Batch, fillings []filling) error {
	for _, u := range b.Unreadable {
		f.tell(u)
	}
	f.read = max(f.read, b.Next)
	b.Notes = f.own(b.Notes)
	for len(b.Notes)+len(fillings) > 0 {
		var j judged
		err := Retry(ctx, f.tell, Objects, func() (err error) {
			j, err = f.gates.judge(ctx, fillings, b.Notes, b.First)
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
	return f.leave(ctx)
}

// own leaves out the notifications of other lakes: their sinks share the flush topic,
// and their catalogs judge them.
func (f *Follower) own(notes []flush.Notification) []flush.Notification {
	here := f.settings.Lake.Location.String()
	var own []flush.Notification
	others := make(map[string]int)
	for _, n := range notes {
		if n.In(here) {
			own = append(own, n)
		} else {
			others[n.Lake]++
		}
	}
	for _, lake := range slices.Sorted(maps.Keys(others)) {
		f.tell(Elsewhere{Lake: lake, Notifications: others[lake]})
	}
	return own
}

// change makes Glue hold what the notifications speak of. Those that passed
// before are included: what is known costs nothing, and after a loss in Glue
// they are what it is rebuilt from.
func (f *Follower) change(ctx context.Context, j judged) error {
	notes := append(append([]flush.Notification(nil), j.accepted...), j.repeats...)
	if err := f.look(ctx, notes); err != nil {
		return err
	}
	plan := f.settings.Lake.PlanOf(f.register.facts(), notes)
	for _, name := range plan.Unknown {
		f.tell(UnknownTable{Table: name})
	}
	return f.register.apply(ctx, plan)
}

// commitAttempts for an offset, before the next round has a later one to commit.
const commitAttempts = 3

// leave commits the offset, but not past what opened a gap. A commit that fails only
// means reading again later.
func (f *Follower) leave(ctx context.Context) error {
	if f.rewind != "" {
		table := f.rewind
		f.rewind = ""
		f.tell(Rewound{Table: table})
		return f.toStart(ctx)
	}
	next := min(f.read, f.gates.held())
	if f.read == 0 || next <= f.left {
		return nil
	}
	var err error
	for n := range commitAttempts {
		if err = f.topic.Commit(ctx, next); err == nil {
			f.left = next
			f.tell(Left{Next: next})
			return nil
		}
		if err := sleep(ctx, backoff(n)); err != nil {
			return err
		}
	}
	f.tell(Fault{Dependency: Kafka, Err: err})
	return nil
}

// toStart goes back to the start of the flush topic.
func (f *Follower) toStart(ctx context.Context) error {
	f.read, f.left = 0, -1
	return Retry(ctx, f.tell, Kafka, func() error { return f.topic.Rewind(ctx) })
}

// tableLost is told before a table that does not exist is created. Its partitions
// are gone with it, and they stand in the flush topic: the offset goes back to the
// start first, so that a crash in the middle cannot leave half of them out.
func (f *Follower) tableLost(ctx context.Context, table string) error {
	if f.rewind != "" {
		return nil
	}
	f.rewind = table
	return f.toStart(ctx)
}

func (f *Follower) visible(accepted []flush.Notification) {
	now := time.Now()
	for _, n := range accepted {
		f.tell(Passed{Manifest: n.Manifest})
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
