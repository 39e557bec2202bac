package follow

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
)

const (
	pollRecords   = 1000 // of one round: bounds the notifications held at once
	commitTimeout = 10 * time.Second
)

// FlushTopic is the flush topic in Kafka, its one partition read without a group:
// an assignment would add a rebalance to every start and protect nothing that the
// gate's If-Match does not. The offset is committed under a group's name all the
// same, where every Kafka tool shows the lag.
type FlushTopic struct {
	client *kgo.Client // a consumer of nothing yet
	admin  *kadm.Client
	name   string
	group  string
	lake   string // whose offset it is: stands in the commit's metadata
}

// NewFlushTopic reads with client, which must not be consuming.
func NewFlushTopic(client *kgo.Client, name, group, lake string) *FlushTopic {
	return &FlushTopic{client: client, admin: kadm.NewClient(client), name: name, group: group, lake: lake}
}

// ConsumerOptions are what the client of a FlushTopic needs: an offset that the
// topic no longer holds leads to its start, where the gate knows what has passed.
func ConsumerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(time.Second),
	}
}

// Resume goes on from the committed offset. One that a catalog of another lake has
// left, whose database has the same name, says nothing about this lake's flushes.
func (t *FlushTopic) Resume(ctx context.Context) error {
	topic, _, err := kafka.Describe(ctx, t.client, t.name)
	if err != nil {
		return err
	}
	committed, err := kafka.FetchCommitted(ctx, t.client, t.group, topic, 0)
	if err != nil {
		return err
	}
	at := kgo.NewOffset().AtStart()
	if c, ok := committed[0]; ok && (c.Metadata == t.lake || c.Metadata == "") { // older catalogs did not say
		at = kgo.NewOffset().At(c.Offset)
	}
	t.seek(at)
	return nil
}

// Rewind goes back to the first record there is.
func (t *FlushTopic) Rewind(ctx context.Context) error {
	spans, err := kafka.Spans(ctx, t.client, t.name, 0)
	if err != nil {
		return err
	}
	if err := t.Commit(ctx, spans[0].Start); err != nil {
		return err
	}
	t.seek(kgo.NewOffset().At(spans[0].Start))
	return nil
}

func (t *FlushTopic) seek(at kgo.Offset) {
	t.client.RemoveConsumePartitions(map[string][]int32{t.name: {0}})
	t.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.name: {0: at}})
}

// Poll waits for the next records.
func (t *FlushTopic) Poll(ctx context.Context) (Batch, error) {
	var b Batch
	fetches := t.client.PollRecords(ctx, pollRecords)
	for r := range fetches.RecordsAll() {
		if b.Next == 0 {
			b.First = r.Offset
		}
		b.Next = r.Offset + 1
		n, err := codec.DecodeCommitted(r.Value)
		if err != nil {
			b.Unreadable = append(b.Unreadable, Unreadable{Offset: r.Offset, Err: err})
			continue
		}
		b.Notes = append(b.Notes, n)
	}
	if err := ctx.Err(); err != nil {
		return b, err
	}
	if err := fetches.Err(); err != nil {
		return b, fmt.Errorf("read %s: %w", t.name, err)
	}
	return b, nil
}

// Commit remembers where to go on.
func (t *FlushTopic) Commit(ctx context.Context, next int64) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: t.name, Partition: 0, At: next, LeaderEpoch: -1, Metadata: t.lake})
	resp, err := t.admin.CommitOffsets(ctx, t.group, o)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		return fmt.Errorf("commit offset %d of %s for group %s: %w", next, t.name, t.group, err)
	}
	return nil
}
