package group

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/worker"
)

// startWait is how long assigning waits for workers to say where they begin. A worker
// that needs longer ignores what it has already flushed.
const startWait = 5 * time.Second

func (s *session) identity() worker.Identity {
	<-s.made
	member, generation := s.client.GroupMetadata()
	return worker.Identity{MemberID: member, Generation: generation}
}

// assigned runs at every generation, also when nothing is added: what was retained is
// pinned to the new one.
func (s *session) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	id := s.identity()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent = absence{}
	for _, o := range s.owned {
		o.pin.Renew(id)
	}
	if s.ending {
		return
	}
	partitions := added[s.topic.Name]
	b := &batch{s: s, partitions: partitions, turn: make(chan struct{}, 1)}
	for _, p := range partitions {
		s.owned[p] = s.take(p, id, b)
	}
	s.g.c.Observe(worker.Recovered{Dependency: worker.DependencyGroup})
	s.g.c.Observe(Rebalanced{Kind: "assigned", Partitions: partitions})
}

// revoked runs while this member still counts as the owner: the generation that it
// reads there is valid until it returns.
func (s *session) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	began := time.Now()
	partitions := gone[s.topic.Name]
	if len(partitions) == 0 {
		return
	}
	id := s.identity()
	s.each(partitions, func(o *ownership) {
		o.pin.Renew(id)
		o.worker.Finish(cut.Revoke)
		timer := time.AfterFunc(s.rebalanceTimeout()/2, o.cancel)
		defer timer.Stop()
		<-o.worker.Done()
	})
	s.giveUp(partitions)
	s.g.c.Observe(Rebalanced{Kind: "revoked", Partitions: partitions, Took: time.Since(began)})
}

// lost runs when this member no longer counts: nothing may be committed.
func (s *session) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	began := time.Now()
	partitions := gone[s.topic.Name]
	s.each(partitions, func(o *ownership) {
		o.pin.End()
		o.cancel()
		<-o.worker.Done()
	})
	s.giveUp(partitions)
	s.g.c.Observe(Rebalanced{Kind: "lost", Partitions: partitions, Took: time.Since(began)})
}

// each does something to the ownerships of partitions, side by side, and waits.
func (s *session) each(partitions []int32, do func(*ownership)) {
	var all sync.WaitGroup
	for _, p := range partitions {
		s.mu.Lock()
		o := s.owned[p]
		s.mu.Unlock()
		if o != nil {
			all.Go(func() { do(o) })
		}
	}
	all.Wait()
}

func (s *session) giveUp(partitions []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions {
		if o := s.owned[p]; o != nil {
			delete(s.owned, p)
			o.giveUp()
		}
	}
}

// startAt tells the client where to fetch from: where the worker will consume from, or
// below that, never above it.
func (s *session) startAt(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	wait, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for p, committed := range offsets[s.topic.Name] {
		s.mu.Lock()
		o := s.owned[p]
		s.mu.Unlock()
		if o == nil || !o.begins(wait) && o.ended() {
			delete(offsets[s.topic.Name], p) // it is stopped, or about to be given up
			continue
		}
		at := committed.EpochOffset().Offset
		if low, ok := o.low(); ok {
			at = low
		} else if at < 0 {
			spans, err := s.spans(ctx, p)
			if err != nil {
				return nil, err
			}
			at = spans[p].Start
		}
		o.fetchesFrom(at)
		offsets[s.topic.Name][p] = kgo.NewOffset().At(at)
	}
	return offsets, ctx.Err()
}

func (s *session) spans(ctx context.Context, partitions ...int32) (spans map[int32]kafka.Span, err error) {
	err = s.g.retry.Do(ctx, worker.DependencyKafka, fmt.Sprintf("list the offsets of %s", s.topic.Name), func() (err error) {
		spans, err = kafka.Spans(ctx, s.control, s.topic.Name, partitions...)
		return err
	})
	return spans, err
}
