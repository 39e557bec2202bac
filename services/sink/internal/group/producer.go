package group

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
)

// deliveryTimeout is how long one attempt at producing may take before it is reported
// and repeated. Repeats are harmless: the gate knows manifests, a dead letter carries
// its offset.
const deliveryTimeout = 30 * time.Second

// headroom is what a batch needs beside its records' bytes.
const headroom = 16 << 10

// producer writes notifications and dead letters, acknowledged by all replicas.
type producer struct {
	client     *kgo.Client
	flushTopic string
	letters    string
	lettersMax int

	one chan struct{} // held while dead letters go out: one batch at a time, so that none outgrows its topic
}

func newProducer(c Config) (*producer, error) {
	client, err := kgo.NewClient(append(slices.Clip(c.Options),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// Without it a record whose fate is unknown holds its caller for as long as the leader is away, revoke and
		// drain included; that it may be written twice is harmless.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
			return func(r *kgo.Record, n int) int { return partitionOf(c, topic, r) % n }
		})),
		kgo.BrokerMaxWriteBytes(256<<20),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if topic == c.FlushTopic {
				return kafka.MaxNotification
			}
			return 255 << 20 // the broker judges the compressed size; see deadLetters
		}),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka producer: %w", err)
	}
	return &producer{client: client, flushTopic: c.FlushTopic, letters: c.DeadLetterTopic, lettersMax: c.DeadLetterMax, one: make(chan struct{}, 1)}, nil
}

func (p *producer) close() { p.client.Close() }

// partitionOf puts notifications into partition 0 and a dead letter into its record's
// partition, as far as there are as many.
func partitionOf(c Config, topic string, r *kgo.Record) int {
	if topic == c.FlushTopic {
		return 0
	}
	for _, h := range r.Headers {
		if h.Key == event.HeaderDeadLetterPartition {
			if n, err := strconv.Atoi(string(h.Value)); err == nil && n >= 0 {
				return n
			}
		}
	}
	return 0
}

func (p *producer) notify(ctx context.Context, n flush.Notification) error {
	value, err := codec.EncodeCommitted(n)
	if err != nil {
		return fmt.Errorf("encode the notification of %s: %w", n.Manifest, err)
	}
	return p.client.ProduceSync(ctx, &kgo.Record{Topic: p.flushTopic, Value: value}).FirstErr()
}

// deadLetters produces them in batches that the topic takes. One that alone is larger
// goes alone: it came in compressed, and is compressed again.
func (p *producer) deadLetters(ctx context.Context, letters []event.Record) error {
	select {
	case p.one <- struct{}{}:
		defer func() { <-p.one }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for len(letters) > 0 {
		n, bytes := 0, 0
		for n < len(letters) {
			bytes += sizeOf(&letters[n])
			if n > 0 && bytes > p.lettersMax-headroom {
				break
			}
			n++
		}
		records := make([]*kgo.Record, n)
		for i, l := range letters[:n] {
			records[i] = kafka.ToKgo(l)
			records[i].Topic = p.letters
		}
		if err := p.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return fmt.Errorf("produce %d dead letters to %s: %w", n, p.letters, err)
		}
		letters = letters[n:]
	}
	return nil
}

func sizeOf(r *event.Record) int {
	size := len(r.Key) + len(r.Value) + 64
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value) + 8
	}
	return size
}
