package group

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/services/sink/internal/worker"
)

// deliveryTimeout is how long one attempt at producing may take before it is reported
// and repeated. Repeats are harmless: the gate knows manifests, a dead letter carries
// its offset.
const deliveryTimeout = 30 * time.Second

// producer writes notifications and dead letters, acknowledged by all replicas.
type producer struct {
	client     *kgo.Client
	flushTopic string
	letters    letters
}

func newProducer(c Config) (*producer, error) {
	options := append([]kgo.Opt{kgo.ProducerBatchCompression(codecs()...)}, c.Options...) // which may choose another
	client, err := kgo.NewClient(append(options,
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
			return 255 << 20 // the broker judges the compressed size; see letters
		}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka producer: %w", err)
	}
	compressor, err := kgo.DefaultCompressor(codecs()...)
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &producer{client: client, flushTopic: c.FlushTopic, letters: letters{
		client: client, compressor: compressor, topic: c.DeadLetterTopic, max: c.DeadLetterMax, turn: make(chan struct{}, 1),
	}}, nil
}

func codecs() []kgo.CompressionCodec {
	return []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()}
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
	err = p.client.ProduceSync(ctx, &kgo.Record{Topic: p.flushTopic, Value: value}).FirstErr()
	if errors.Is(err, kerr.MessageTooLarge) {
		return fmt.Errorf("%w: the notification of %s, with %d files: raise max.message.bytes of topic %s to %d: %w", worker.ErrTooLarge,
			n.Manifest, len(n.Files), p.flushTopic, kafka.MaxNotification, err)
	}
	return err
}
