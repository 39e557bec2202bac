// Package compacted reads a compacted topic from its beginning to its end, follows it from there on, and writes to it. Its
// invariant: what stood in a topic when it was opened is known to be read before anything is made of it, because a part of
// it would be another thing. What the records say is their readers' to judge: source has the list of sources in one, hot
// the fan-out of sources in another. Owned by the gateway.
package compacted

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
)

// openLimit is how long Kafka has to say what a topic is.
const openLimit = 30 * time.Second

// Topic is a compacted topic: of each key the last record counts. One goroutine uses it.
type Topic struct {
	name   string
	client *kgo.Client
	behind map[int32]int64 // partition → how far it has to be read until all is known
}

// Create is Open, for a topic that may be missing: it is made.
func Create(ctx context.Context, opts []kgo.Opt, spec kafka.TopicSpec) (*Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client of topic %s: %w", spec.Name, err)
	}
	err = kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{spec})
	client.Close()
	if err != nil {
		return nil, err
	}
	return Open(ctx, opts, spec.Name)
}

// Open stands at the beginning of a topic, with a client of the options.
func Open(ctx context.Context, opts []kgo.Opt, name string) (*Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	opts = append(opts[:len(opts):len(opts)], kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), // they count as read: one may be the last before the end
		// Of a record that stands twice the last counts: nothing has to be idempotent, and a write can be given up at any time.
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client of topic %s: %w", name, err)
	}
	t := &Topic{name: name, client: client, behind: make(map[int32]int64)}
	if err := t.measure(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return t, nil
}

// measure notes how far the topic has to be read.
func (t *Topic) measure(ctx context.Context) error {
	described, _, err := kafka.Describe(ctx, t.client, t.name)
	if err != nil {
		return err
	}
	if !described.Compacted {
		return fmt.Errorf("topic %s is not compacted: what it holds would vanish with time; set its cleanup.policy to compact", t.name)
	}
	admin := kadm.NewClient(t.client)
	starts, err := admin.ListStartOffsets(ctx, t.name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("look where topic %s begins: %w", t.name, err)
	}
	ends, err := admin.ListEndOffsets(ctx, t.name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("look where topic %s ends: %w", t.name, err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if start, ok := starts.Lookup(t.name, o.Partition); ok && start.Offset < o.Offset {
			t.behind[o.Partition] = o.Offset
		}
	})
	return nil
}

// Close ends the client.
func (t *Topic) Close() { t.client.Close() }

// Known tells that all is read that stood in the topic when it was opened.
func (t *Topic) Known() bool { return len(t.behind) == 0 }

// Read waits for records and hands each to take; its error is also that of a ctx that ended before any came.
func (t *Topic) Read(ctx context.Context, take func(*kgo.Record)) error {
	fetches := t.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil && fetches.NumRecords() == 0 {
		return err
	}
	var failed error
	fetches.EachError(func(_ string, p int32, err error) {
		failed = errors.Join(failed, fmt.Errorf("read topic %s partition %d: %w", t.name, p, err))
	})
	fetches.EachRecord(func(r *kgo.Record) {
		if !r.Attrs.IsControl() {
			take(r)
		}
		if r.Offset+1 >= t.behind[r.Partition] {
			delete(t.behind, r.Partition)
		}
	})
	return failed
}

// Write writes the records of some keys, and waits until all of them are durable. A key that failed may have been written.
func (t *Topic) Write(ctx context.Context, byKey map[string][]byte) error {
	records := make([]*kgo.Record, 0, len(byKey))
	for key, value := range byKey {
		records = append(records, &kgo.Record{Topic: t.name, Key: []byte(key), Value: value})
	}
	for _, r := range t.client.ProduceSync(ctx, records...) {
		if r.Err != nil {
			return fmt.Errorf("write the record of %s to topic %s: %w", r.Record.Key, t.name, r.Err)
		}
	}
	return nil
}

// longestPause bounds the time between attempts.
const longestPause = 5 * time.Second

// Follow lets follow open a topic and use it, again and again until ctx ends. What follow ends with is told; each attempt
// begins with another client and at the topic's beginning, as a topic that was made anew needs it.
func Follow(ctx context.Context, follow func(context.Context) error, told func(error)) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		if err := follow(ctx); ctx.Err() == nil {
			told(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
