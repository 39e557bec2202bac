package group

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/kafka"
	"weir/services/sink/internal/worker"
)

// headroom is what a batch needs beside its records' bytes.
const headroom = 16 << 10

// letters writes dead letters. The topic's limit may be lowered while the sink runs: it
// is read again before each decision that depends on it, and whenever the topic refuses.
type letters struct {
	client     *kgo.Client
	compressor kgo.Compressor // as the client compresses
	topic      string

	turn chan struct{} // held by who uses what follows, and while a batch goes out: so that none outgrows the topic
	max  int           // bytes of one batch, as last heard
}

func (l *letters) take(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *letters) release() { <-l.turn }

// fit fails with ErrTooLarge where the topic, as it is now, does not take one of them.
func (l *letters) fit(ctx context.Context, list []event.Record) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.release()
	if err := l.look(ctx); err != nil {
		return err
	}
	for i := range list {
		if err := l.fits(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *letters) look(ctx context.Context) error {
	t, _, err := kafka.Describe(ctx, l.client, l.topic)
	l.max = max(t.MaxMessageBytes, 0)
	return err
}

func (l *letters) fits(r *event.Record) error {
	if size := kafka.BatchSize(r, l.compressor, l.max); size > l.max {
		return l.tooLarge(r, size)
	}
	return nil
}

func (l *letters) tooLarge(r *event.Record, size int) error {
	original, reason, err := event.Original(r)
	if err != nil {
		return fmt.Errorf("a dead letter of %d bytes: %w", size, err)
	}
	return fmt.Errorf("%w: the dead letter of %s/%d offset %d (%s) has %d bytes compressed, topic %s takes %d: raise its max.message.bytes to %d at least",
		worker.ErrTooLarge, original.Topic, original.Partition, original.Offset, reason, size, l.topic, l.max, size+headroom)
}

// produce writes them in batches that the topic takes, and tells how many of the first
// are acknowledged. One that alone is larger goes alone: it came in compressed, and is
// compressed again.
func (l *letters) produce(ctx context.Context, list []event.Record) (acked int, err error) {
	if err := l.take(ctx); err != nil {
		return 0, err
	}
	defer l.release()
	for acked < len(list) {
		n := l.batch(list[acked:])
		err := l.send(ctx, list[acked:acked+n])
		if errors.Is(err, kerr.MessageTooLarge) {
			n, err = l.refused(ctx, list[acked:acked+n], err)
		}
		if err != nil {
			return acked, fmt.Errorf("produce %d dead letters to %s: %w", len(list)-acked, l.topic, err)
		}
		acked += n
	}
	return acked, nil
}

// batch is how many of the first may go together.
func (l *letters) batch(list []event.Record) (n int) {
	bytes := 0
	for n < len(list) {
		bytes += letterBytes(&list[n])
		if n > 0 && bytes > l.max-headroom {
			break
		}
		n++
	}
	return n
}

func (l *letters) send(ctx context.Context, list []event.Record) error {
	records := make([]*kgo.Record, len(list))
	for i, r := range list {
		records[i] = kafka.ToKgo(r)
		records[i].Topic = l.topic
	}
	return l.client.ProduceSync(ctx, records...).FirstErr()
}

// refused is a batch that the topic does not take: its limit was lowered. The first goes
// alone; where that was refused too, somebody has to raise the limit.
func (l *letters) refused(ctx context.Context, list []event.Record, refusal error) (n int, err error) {
	if err := l.look(ctx); err != nil {
		return 0, err
	}
	if len(list) > 1 {
		refusal = l.send(ctx, list[:1])
	}
	if errors.Is(refusal, kerr.MessageTooLarge) {
		return 0, fmt.Errorf("%w: %w", l.tooLarge(&list[0], kafka.BatchSize(&list[0], l.compressor, 0)), refusal)
	}
	return 1, refusal
}

func letterBytes(r *event.Record) int {
	size := len(r.Key) + len(r.Value) + 64
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value) + 8
	}
	return size
}
