package group

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/manifests"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// batch is what the partitions of one assignment need to know and can be asked for
// once: the first worker that comes asks for all.
type batch struct {
	s          *session
	partitions []int32

	turn  chan struct{} // held by who gathers; the others wait for it, or for the end of their ownership
	known *facts
}

type facts struct {
	committed map[int32]kafka.Committed
	spans     map[int32]kafka.Span
	marks     map[int32]flush.Mark // the newest of all databases
}

// gathering asks for what is known to all partitions of an assignment at once, and later
// for this partition alone.
func (s *session) gathering(b *batch, owner lake.Owner) func(context.Context) (flush.Known, error) {
	return func(ctx context.Context) (flush.Known, error) {
		k, err := b.gather(ctx, owner)
		b = &batch{s: s, partitions: []int32{owner.Partition}, turn: make(chan struct{}, 1)}
		return k, err
	}
}

// gather finds out what a partition's start has to know. The committed offset comes
// first: what is read after it cannot be older than it.
func (b *batch) gather(ctx context.Context, owner lake.Owner) (flush.Known, error) {
	f, err := b.facts(ctx)
	if err != nil {
		return flush.Known{}, err
	}
	s, c, p := b.s, b.s.g.c, owner.Partition
	span, mark := f.spans[p], f.marks[p]
	k := flush.Known{
		Owner: owner, ClusterID: s.cluster, Bucket: c.Lake.Bucket, Prefix: c.Lake.Prefix,
		Home:         flush.Home(s.cluster, s.topic.ID, c.Lake.Bucket, c.Lake.Prefix),
		GateSeq:      mark.Seq,
		GateManifest: mark.Manifest,
		GateLow:      mark.Low,
		LogStart:     span.Start,
		LogEnd:       span.End,
		LeaderEpoch:  span.LeaderEpoch,

		OwnedPartitions: s.owners.Partitions,
		ResetOffset:     span.Start,
	}
	k.Tables = c.tableNames()
	committed, ok := f.committed[p]
	if ok {
		k.Committed, k.Offset, k.CommittedEpoch, k.Metadata = true, committed.Offset, committed.LeaderEpoch, committed.Metadata
	}
	if k.HasEpochEnd = ok && committed.LeaderEpoch >= 0; k.HasEpochEnd {
		k.EpochEnd, err = s.epochEnd(ctx, p, committed.LeaderEpoch)
		if err != nil {
			return flush.Known{}, err
		}
	}
	state, foreign := flush.ParseMetadata(k.Offset, k.CommittedEpoch, k.Metadata)
	if ok && foreign == nil && state.Home == k.Home {
		k.Later, err = s.later(ctx, owner, state)
		return k, err
	}
	if k.NewestManifest, err = s.newestManifest(ctx, owner); err != nil {
		return flush.Known{}, err
	}
	if k.HasStarted, err = s.hasStarted(ctx, owner); err != nil {
		return flush.Known{}, err
	}
	return k, nil
}

func (s *session) hasStarted(ctx context.Context, owner lake.Owner) (bool, error) {
	_, _, err := worker.RetryStore(s.g.c.Store, s.g.retry).Get(ctx, owner.StartedKey())
	if errors.Is(err, s3.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (b *batch) facts(ctx context.Context) (*facts, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if b.known != nil {
		return b.known, nil
	}
	s, f := b.s, new(facts)
	err := s.g.retry.Do(ctx, worker.DependencyKafka, "fetch the committed offsets", func() (err error) {
		f.committed, err = kafka.FetchCommitted(ctx, s.control, s.g.c.Group, s.topic, b.partitions...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if f.spans, err = s.spans(ctx, b.partitions...); err != nil {
		return nil, err
	}
	err = s.g.retry.Do(ctx, worker.DependencyS3, "read the gate's memory", func() (err error) {
		f.marks, err = s.marks(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.known = f
	return f, nil
}

func (s *session) epochEnd(ctx context.Context, p, epoch int32) (end int64, err error) {
	err = s.g.retry.Do(ctx, worker.DependencyKafka, "ask for the end of a leader epoch", func() (err error) {
		end, err = kafka.EpochEnd(ctx, s.control, s.topic.Name, p, epoch)
		return err
	})
	return end, err
}

// marks reads the gates of every catalog that follows this lake, and keeps for each
// partition the one that is furthest.
func (s *session) marks(ctx context.Context) (map[int32]flush.Mark, error) {
	newest := make(map[int32]flush.Mark)
	suffix := "/gate/" + s.topic.ID.String() + ".json"
	for o, err := range s.g.c.Store.List(ctx, lake.CatalogDir(), "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(o.Key, suffix) {
			continue
		}
		body, _, err := s.g.c.Store.Get(ctx, o.Key)
		if errors.Is(err, s3.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		gate, err := codec.DecodeGate(body)
		if err != nil {
			return nil, fmt.Errorf("read the gate %s, which weir catalog repair writes anew: %w", o.Key, err)
		}
		for p, m := range gate.Marks {
			if m.Group == s.g.c.Group && m.Seq >= newest[p].Seq {
				newest[p] = m
			}
		}
	}
	return newest, nil
}

// newestManifest finds the key of the manifest with the highest seq, "" where there is none.
func (s *session) newestManifest(ctx context.Context, owner lake.Owner) (key string, err error) {
	err = s.g.retry.Do(ctx, worker.DependencyS3, "look for manifests", func() error {
		key, _, err = manifests.Newest(ctx, s.g.c.Store, owner)
		return err
	})
	return key, err
}

// confirm tells whether want is still what is committed for a partition.
func (s *session) confirm(ctx context.Context, p int32, want flush.State) (ok bool, err error) {
	err = s.g.retry.Do(ctx, worker.DependencyKafka, "fetch the committed offset again", func() error {
		committed, err := kafka.FetchCommitted(ctx, s.control, s.g.c.Group, s.topic, p)
		ok = committed[p].Offset == want.Low && committed[p].Metadata == want.Metadata()
		return err
	})
	return ok, err
}

// fit asks whether the dead-letter topic takes the letters, as it is configured now.
func (s *session) fit(ctx context.Context, letters []event.Record) error {
	return s.g.retry.Do(ctx, worker.DependencyKafka, "describe "+s.g.c.DeadLetterTopic, func() error {
		return s.g.produce.letters.fit(ctx, letters)
	}, worker.ErrTooLarge)
}
