package group

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/services/sink/internal/worker"
)

// partition is a worker's Kafka.
type partition struct {
	s     *session
	owner lake.Owner
}

var _ worker.Kafka = (*partition)(nil)

func (p *partition) Commit(ctx context.Context, s flush.State, id worker.Identity) flush.Input {
	c := p.s.g.c
	return kafka.CommitOffset(ctx, p.s.control, kafka.CommitRequest{
		Group: c.Group, Topic: p.owner.Topic, TopicID: p.owner.TopicID, Partition: p.owner.Partition,
		Offset: s.Low, LeaderEpoch: s.LeaderEpoch, Metadata: s.Metadata(),
		MemberID: id.MemberID, Generation: id.Generation, InstanceID: c.InstanceID,
		Timeout: c.SessionTimeout,
	})
}

func (p *partition) ProduceDeadLetters(ctx context.Context, letters []event.Record) (acked int, err error) {
	return p.s.g.produce.letters.produce(ctx, letters)
}

func (p *partition) Notify(ctx context.Context, n flush.Notification) error {
	n.Lake = p.s.g.c.Lake.String()
	return p.s.g.produce.notify(ctx, n)
}

// Reread reads with a client of its own: the member's position stays where it is.
func (p *partition) Reread(ctx context.Context, offsets *flush.Offsets, begin func() error, each func(*event.Record) error) error {
	if err := begin(); err != nil {
		return err
	}
	if err := p.holds(ctx, offsets); err != nil {
		return err
	}
	cl, err := kgo.NewClient(append(slices.Clip(p.s.g.c.Options),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.owner.Topic: {p.owner.Partition: kgo.NewOffset().At(offsets.Min())}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(4<<20),
	)...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer cl.Close()
	return p.read(ctx, cl, offsets, each)
}

// holds checks that the log still has the first and the last of them.
func (p *partition) holds(ctx context.Context, offsets *flush.Offsets) error {
	t, _, err := kafka.Describe(ctx, p.s.control, p.owner.Topic)
	if err != nil && !errors.Is(err, kafka.ErrNoTopic) {
		return err
	}
	if err != nil || t.ID != p.owner.TopicID {
		return fmt.Errorf("%w: topic %s is another one", worker.ErrGone, p.owner.Topic)
	}
	spans, err := kafka.Spans(ctx, p.s.control, p.owner.Topic, p.owner.Partition)
	if err != nil {
		return err
	}
	if span := spans[p.owner.Partition]; span.Start > offsets.Min() || span.End <= offsets.Max() {
		return fmt.Errorf("%w: offsets %s are needed, Kafka holds %d to %d", worker.ErrGone, offsets, span.Start, span.End-1)
	}
	return nil
}

// unfetched says why records could not be fetched. A leader that is behind for a moment denies offsets, and the topic, that
// are there: whether they are gone is for the log's bounds to say.
func (p *partition) unfetched(ctx context.Context, offsets *flush.Offsets, e kgo.FetchError) error {
	var loss *kgo.ErrDataLoss
	switch {
	case errors.As(e.Err, &loss):
		return fmt.Errorf("%w: %w", worker.ErrGone, e.Err)
	case errors.Is(e.Err, kerr.OffsetOutOfRange), errors.Is(e.Err, kerr.UnknownTopicID):
		if err := p.holds(ctx, offsets); err != nil {
			return err
		}
	}
	return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
}

// read gives each wanted record until the last has passed.
func (p *partition) read(ctx context.Context, cl *kgo.Client, offsets *flush.Offsets, each func(*event.Record) error) error {
	var r event.Record
	found, last := int64(0), offsets.Max()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			return p.unfetched(ctx, offsets, e)
		}
		for k := range fetches.RecordsAll() {
			if offsets.Contains(k.Offset) {
				kafka.FromKgo(&r, k, p.owner.TopicID)
				if err := each(&r); err != nil {
					return err
				}
				found++
			}
			if k.Offset < last {
				continue
			}
			if found != offsets.Len() {
				return fmt.Errorf("%w: %d of offsets %s are there", worker.ErrGone, found, offsets)
			}
			return nil
		}
	}
}
