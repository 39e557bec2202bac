package redrive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/kafka"
)

const (
	readPatience  = time.Minute // for the next record of a range that the brokers said they have
	progressEvery = 10_000      // records
)

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// reader reads ranges of topics, one after another. One goroutine uses it.
type reader struct {
	client *kgo.Client
	report func(text string)
	count  int64 // records read, for progress
}

// options of every client of ours.
func (c *Look) options() ([]kgo.Opt, error) {
	return c.Kafka.Options(slog.New(slog.DiscardHandler))
}

// openReader: control records are kept, because they show how far reading has come
// where no record follows. Only what is committed is read: a redrive that was cut off
// has not happened.
func openReader(c *Look) (*reader, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // retention overtook the reader: go on where the log begins
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(4<<20),
		kgo.MaxConcurrentFetches(2),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &reader{client: client, report: c.Progress}, nil
}

func (r *reader) close() { r.client.Close() }

func (r *reader) progress(format string, args ...any) {
	if r.report != nil {
		r.report(fmt.Sprintf(format, args...))
	}
}

// letters hands over what is asked for, partition by partition, in order. The letter's
// bytes are the caller's.
func (r *reader) letters(ctx context.Context, c *Look, each func(*Letter) error) error {
	topic, _, err := kafka.Describe(ctx, r.client, c.Aside.Topic)
	if err != nil {
		return err
	}
	ranges, err := r.ranges(ctx, topic, c)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, g := range ranges {
		err := r.scan(ctx, topic, g.partition, g.first, g.end, func(rec *kgo.Record) error {
			if r.count++; r.count%progressEvery == 0 {
				r.progress("reading %s/%d, at offset %d of %d", topic.Name, rec.Partition, rec.Offset, g.end)
			}
			var plain event.Record
			kafka.FromKgo(&plain, rec, topic.ID)
			l := c.Aside.Kind.read(&plain)
			if !c.selects(&l, now) {
				return nil
			}
			return each(&l)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// span is a range of a partition: first included, end not.
type span struct {
	partition  int32
	first, end int64
}

// ranges are what there is to read, as the topic stands now: what is put aside while a
// redrive runs, by its own events too, waits for the next one.
func (r *reader) ranges(ctx context.Context, topic kafka.Topic, c *Look) ([]span, error) {
	for _, p := range c.Partition {
		if p >= topic.Partitions {
			return nil, fmt.Errorf("topic %s has no partition %d: it has %d", topic.Name, p, topic.Partitions)
		}
	}
	all, err := kafka.Spans(ctx, r.client, topic.Name, c.Partition...)
	if err != nil {
		return nil, err
	}
	var since kadm.ListedOffsets
	if c.Since.Set() { // everything before the first record of that time is older
		since, err = kadm.NewClient(r.client).ListOffsetsAfterMilli(ctx, c.Since.Time(time.Now()).UnixMilli(), topic.Name)
		if err == nil {
			err = since.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("list the offsets of %s at %s: %w", topic.Name, c.Since, err)
		}
	}
	var ranges []span
	for _, p := range slices.Sorted(maps.Keys(all)) {
		g := span{p, all[p].Start, all[p].End}
		if at, ok := since.Lookup(topic.Name, p); ok {
			g.first = max(g.first, at.Offset)
		}
		if len(c.Offset) == 0 {
			ranges = append(ranges, g)
		}
		for _, o := range slices.Compact(slices.Sorted(slices.Values(c.Offset))) {
			ranges = append(ranges, span{p, max(o, g.first), min(o+1, g.end)})
		}
	}
	return ranges, nil
}

// scan hands over the records from first to end. end must not be above the log's end.
func (r *reader) scan(ctx context.Context, topic kafka.Topic, partition int32, first, end int64, each func(*kgo.Record) error) error {
	if first >= end {
		return nil
	}
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic.Name: {partition: kgo.NewOffset().At(first)}})
	defer r.client.RemoveConsumePartitions(map[string][]int32{topic.Name: {partition}})
	for at := first; at < end; {
		fetches, err := r.poll(ctx, topic.Name, partition, at)
		if err != nil {
			return err
		}
		for rec := range fetches.RecordsAll() {
			if rec.Topic != topic.Name || rec.Partition != partition || rec.Offset < at {
				continue
			}
			if rec.Offset >= end {
				return nil
			}
			at = rec.Offset + 1
			if rec.Attrs.IsControl() {
				continue
			}
			if err := each(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) poll(ctx context.Context, topic string, partition int32, at int64) (kgo.Fetches, error) {
	wait, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	fetches := r.client.PollRecords(wait, 0)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if wait.Err() != nil && fetches.NumRecords() == 0 {
		return nil, fmt.Errorf("read %s/%d: nothing came at offset %d for %s: a broker is away, or a transaction is open there", topic, partition, at, readPatience)
	}
	if err := fetches.Err(); err != nil && wait.Err() == nil {
		return nil, fmt.Errorf("read %s/%d at offset %d: %w", topic, partition, at, err)
	}
	return fetches, nil
}
