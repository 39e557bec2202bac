package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/services/verify/internal/account"
)

// scanPatience is how long a scan waits for the next record of a range that the
// brokers said they have.
const scanPatience = time.Minute

// jump is how far apart two ranges must be to be read one by one: a seek costs more
// than some records that nobody asked for. (Each transaction leaves an offset without
// a record.)
const jump = 10_000

// scanOptions make a client that reads ranges. Control records are kept, because
// they show how far reading has come where no record follows.
func scanOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}
}

// scan hands over the records from first (included) to end (excluded), in order.
// end must not be above the log's end.
func (v *verifier) scan(ctx context.Context, partition int32, first, end int64, each func(*kgo.Record) error) error {
	if first >= end {
		return nil
	}
	topic := v.topic.Name
	v.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(first)}})
	defer v.client.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	for at := first; at < end; {
		fetches, err := v.poll(ctx, partition, at)
		if err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			if r.Offset >= end {
				return nil
			}
			at = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) poll(ctx context.Context, partition int32, at int64) (kgo.Fetches, error) {
	wait, cancel := context.WithTimeout(ctx, scanPatience)
	defer cancel()
	fetches := v.client.PollRecords(wait, 0)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if wait.Err() != nil && fetches.NumRecords() == 0 {
		return nil, fmt.Errorf("read %s/%d: nothing came at offset %d for %s", v.topic.Name, partition, at, scanPatience)
	}
	if err := fetches.Err(); err != nil && wait.Err() == nil {
		return nil, fmt.Errorf("read %s/%d at offset %d: %w", v.topic.Name, partition, at, err)
	}
	return fetches, nil
}

// held says for which of the offsets Kafka holds a record, and where its log begins
// now that they were read.
func (v *verifier) held(ctx context.Context, partition int32, wanted account.Ranges) (account.Ranges, int64, error) {
	span, err := v.span(ctx, partition)
	if err != nil {
		return nil, 0, err
	}
	wanted = wanted.And(account.Span(span.Start, span.End))
	var held account.Ranges
	for _, r := range wanted.Join(jump) {
		err := v.scan(ctx, partition, r.First, r.Last+1, func(rec *kgo.Record) error {
			held = held.Add(rec.Offset)
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	held = held.And(wanted)
	span, err = v.span(ctx, partition)
	return held, span.Start, err
}

func (v *verifier) span(ctx context.Context, partition int32) (kafka.Span, error) {
	spans, err := kafka.Spans(ctx, v.client, v.topic.Name, partition)
	if err != nil {
		return kafka.Span{}, err
	}
	return spans[partition], nil
}
