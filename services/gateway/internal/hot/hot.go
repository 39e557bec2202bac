// Package hot spreads sources that send more than one partition should take. It measures what each source gives to Kafka,
// follows the topic in which the fleet's gateways say over how many partitions each source goes, writes there what fanout
// decides, and switches a source when it reads that, its own words too: so all gateways switch within a fetch of each
// other. Its invariant: nothing is switched and nothing is written before the whole topic is known. What a fan-out should
// be is fanout's to decide, how a switch keeps the order of users is produce's. Owned by the gateway.
package hot

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/services/gateway/internal/compacted"
	"weir/services/gateway/internal/fanout"
)

// window is over what time rates are measured, and how long the topic may take to be written.
const window = 10 * time.Second

// Options of a Follower. Its functions are called by the one goroutine that runs it.
type Options struct {
	Open       func(context.Context) (*compacted.Topic, error)
	Lane       float64                            // what a lane of a source may take of this gateway, in bytes/s; 0 = it only follows
	Partitions func() int                         // of the topic of the events; 0 = not known yet
	Measure    func(func(source string, n int64)) // bytes given to Kafka since it was called last
	Switch     func(source string, size int, epoch int64)
	Switched   func(Change)
	Ignored    func(error) // a record of the topic is junk
	Report     func(error) // how it goes; nil = the topic is followed
}

// Change is a switch of one source.
type Change struct {
	Source   string
	From, To fanout.Record
}

// Follower is what a gateway knows of hot sources.
type Follower struct {
	opts     Options
	fleet    *fanout.Fleet
	inForce  map[string]fanout.Record // what sources were switched to; bounded as what the fleet knows
	touched  map[string]struct{}      // sources of which something was read that is not in force yet
	measured time.Time
	refused  error // why the topic took no record of late
	known    chan struct{}
	isKnown  bool
}

// New makes a Follower, which knows nothing before it runs.
func New(o Options) *Follower {
	return &Follower{
		opts: o, fleet: fanout.New(o.Lane), known: make(chan struct{}),
		inForce: map[string]fanout.Record{}, touched: map[string]struct{}{},
	}
}

// Known is closed once all is in force that the topic said when it was opened.
func (f *Follower) Known() <-chan struct{} { return f.known }

// Run follows the topic until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	f.measured = time.Now()
	compacted.Follow(ctx, f.follow, f.opts.Report)
}

// follow ends with an error. Who cannot read the topic writes nothing: others may have written.
func (f *Follower) follow(ctx context.Context) error {
	t, err := f.opts.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	f.fleet.Reread()
	for {
		if t.Known() {
			f.apply()
			f.opts.Report(f.refused)
		}
		if err := f.read(ctx, t); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(f.measured) >= window {
			f.judge(ctx, t, now)
		}
	}
}

// read takes in what comes until rates are to be measured.
func (f *Follower) read(ctx context.Context, t *compacted.Topic) error {
	waiting, cancel := context.WithDeadline(ctx, f.measured.Add(window))
	defer cancel()
	err := t.Read(waiting, f.take)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && waiting.Err() != nil {
		return nil
	}
	return err
}

func (f *Follower) take(r *kgo.Record) {
	source := string(r.Key)
	if err := f.fleet.Read(source, r.Value, r.Timestamp, time.Now()); err != nil {
		f.opts.Ignored(err)
		return
	}
	if f.fleet.Of(source) != f.inForce[source] {
		f.touched[source] = struct{}{}
	}
}

// apply switches the sources of which something was read.
func (f *Follower) apply() {
	for source := range f.touched {
		f.change(source)
	}
	clear(f.touched)
	if !f.isKnown {
		f.isKnown = true
		close(f.known)
	}
}

func (f *Follower) change(source string) {
	from, there := f.inForce[source]
	if !there {
		from = fanout.Record{Fanout: 1}
	}
	to := f.fleet.Of(source)
	if f.inForce[source] = to; to.Epoch == 0 { // it was forgotten
		delete(f.inForce, source)
	}
	if from.Fanout != to.Fanout || from.Epoch != to.Epoch {
		f.opts.Switch(source, to.Fanout, to.Epoch)
		f.opts.Switched(Change{source, from, to})
	}
}

// judge writes what has to be written by the rates of late.
func (f *Follower) judge(ctx context.Context, t *compacted.Topic, now time.Time) {
	seconds := now.Sub(f.measured).Seconds()
	rates := make(map[string]float64)
	f.opts.Measure(func(source string, n int64) { rates[source] = float64(n) / seconds })
	f.measured = now
	if !t.Known() {
		return
	}
	records := make(map[string][]byte)
	for _, w := range f.fleet.Judge(rates, f.opts.Partitions(), now) {
		records[w.Source] = w.Record.Value()
	}
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	f.refused = t.Write(ctx, records)
}
