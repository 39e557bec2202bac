package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/worker"
)

// stranger is who commits for a group that has no member: nobody. The broker refuses it
// as soon as there is one.
var stranger = worker.Identity{Generation: -1}

// CommitAsStranger commits for a group without members.
func CommitAsStranger(ctx context.Context, client *kgo.Client, c Config, o lake.Owner, s flush.State) error {
	p := outsider{partition{s: &session{g: &Group{c: c}, control: client}, owner: o}}
	if in := p.Commit(ctx, s, stranger); in.Kind != flush.CommitApplied {
		return fmt.Errorf("%w: nobody knows whether it is applied or will be: try again in %s", in.Err, c.SessionTimeout)
	}
	return nil
}

// Resolve is an ownership of a partition of a group that has no member, under what a
// person accepted: it publishes what is pending, has a flush say what is given up, and
// ends. What is committed is what r says, or plan.State where that was restored.
func Resolve(ctx context.Context, client *kgo.Client, c Config, topic kafka.Topic, r flush.Remains, plan flush.Plan) error {
	g, err := New(c)
	if err != nil {
		return err
	}
	defer g.Close()
	s := &session{g: g, control: client, topic: topic, cluster: r.ClusterID}
	p := &outsider{partition{s: s, owner: r.Owner}}
	w := worker.New(worker.Config{
		Owner: r.Owner, Tables: c.Tables, Readable: c.Readable, Limits: c.Limits,
		Uploaders: c.Uploaders, Pin: worker.NewPin(stranger),
		Store:  worker.RetryStore(c.Store, g.retry),
		Kafka:  worker.RetryKafka(p, g.retry),
		Gather: func(context.Context) (flush.Known, error) { return knownOf(r, plan), nil },
		Start:  startOf(plan),
		Confirm: func(ctx context.Context, want flush.State) (bool, error) {
			return s.confirm(ctx, r.Owner.Partition, want)
		},
		Fit:     func(ctx context.Context, letters []event.Record) error { return s.fit(ctx, letters) },
		Memory:  func(cut.Holder) {},
		Resume:  func() {},
		Observe: c.Observe,
		PinWait: time.Millisecond, // nobody renews it
	})
	w.Go(ctx)
	select {
	case <-w.Ready():
		w.Finish(cut.Drain)
	case <-w.Done():
	}
	<-w.Done()
	return p.outcome(ctx, w.Outcome())
}

func knownOf(r flush.Remains, plan flush.Plan) flush.Known {
	k := r.Known
	if !plan.Forced {
		k.Committed, k.Offset, k.CommittedEpoch, k.Metadata = true, plan.State.Low, plan.State.LeaderEpoch, plan.State.Metadata()
	}
	k.EpochEnd, k.HasEpochEnd = r.EpochEnds[k.CommittedEpoch]
	return k
}

func startOf(plan flush.Plan) func(flush.Known) (*flush.Machine, flush.Effect) {
	if !plan.Forced {
		return flush.Start
	}
	return func(k flush.Known) (*flush.Machine, flush.Effect) { return flush.Force(k, plan.Base, plan.Ahead) }
}

// outsider is the Kafka of a partition that nobody owns. A pin that is refused is not
// renewed: the group has a member again.
type outsider struct{ partition }

func (p *outsider) Commit(ctx context.Context, s flush.State, id worker.Identity) flush.Input {
	in := p.partition.Commit(ctx, s, id)
	if in.Kind == flush.CommitFenced {
		in.Kind = flush.CommitOver
	}
	return in
}

func (p *outsider) outcome(ctx context.Context, out worker.Outcome) error {
	switch {
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), out.Err)
	case out.Op == flush.Rejoin:
		return fmt.Errorf("%w: nobody knows whether it is applied or will be: try again in %s", out.Err, p.s.g.c.SessionTimeout)
	case out.Op == flush.End && out.Err != nil:
		return fmt.Errorf("partition %d was taken over meanwhile: %w", p.owner.Partition, out.Err)
	}
	return out.Err
}
