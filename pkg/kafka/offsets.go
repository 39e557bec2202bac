package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Span is what a partition holds: offsets from Start up to, but not including, End,
// which is the high watermark.
type Span struct {
	Start, End  int64
	LeaderEpoch int32 // now; -1 = unknown
}

// Spans asks for the first and the next offset of partitions of a topic, of all where
// none is named. The result has every one of them.
func Spans(ctx context.Context, cl *kgo.Client, topic string, partitions ...int32) (map[int32]Span, error) {
	if len(partitions) == 0 {
		d, _, err := detail(ctx, cl, topic)
		if err != nil {
			return nil, err
		}
		for _, p := range d.Partitions {
			partitions = append(partitions, p.Partition)
		}
	}
	starts, err := listOffsets(ctx, cl, topic, partitions, -2)
	if err != nil {
		return nil, fmt.Errorf("list the start offsets of %s: %w", topic, err)
	}
	ends, err := listOffsets(ctx, cl, topic, partitions, -1)
	if err != nil {
		return nil, fmt.Errorf("list the end offsets of %s: %w", topic, err)
	}
	spans := make(map[int32]Span, len(partitions))
	for _, p := range partitions {
		spans[p] = Span{Start: starts[p].Offset, End: ends[p].Offset, LeaderEpoch: ends[p].LeaderEpoch}
	}
	return spans, nil
}

// listOffsets asks by Kafka's special timestamps: -2 the first offset, -1 the next.
func listOffsets(ctx context.Context, cl *kgo.Client, topic string, partitions []int32, at int64) (map[int32]kmsg.ListOffsetsResponseTopicPartition, error) {
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, number := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = number, at
		t.Partitions = append(t.Partitions, p)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.Topics = append(req.Topics, t)
	found := make(map[int32]kmsg.ListOffsetsResponseTopicPartition, len(partitions))
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("partition %d: %w", p.Partition, err)
				}
				found[p.Partition] = p
			}
		}
	}
	for _, p := range partitions {
		if _, ok := found[p]; !ok {
			return nil, fmt.Errorf("the answer leaves partition %d out", p)
		}
	}
	return found, nil
}

// EpochEnd asks where the log of a partition ended under a leader epoch. It is below
// what was read under that epoch only if the log was cut back since; -1 where the
// brokers know no such epoch.
func EpochEnd(ctx context.Context, cl *kgo.Client, topic string, partition, epoch int32) (int64, error) {
	var req kadm.OffsetForLeaderEpochRequest
	req.Add(topic, partition, epoch)
	resp, err := kadm.NewClient(cl).OffsetForLeaderEpoch(ctx, req)
	if err != nil {
		return 0, fmt.Errorf("ask for the end of epoch %d of %s/%d: %w", epoch, topic, partition, err)
	}
	r, found := resp[topic][partition]
	if !found {
		return 0, fmt.Errorf("ask for the end of epoch %d of %s/%d: the answer leaves the partition out", epoch, topic, partition)
	}
	if r.Err != nil {
		return 0, fmt.Errorf("ask for the end of epoch %d of %s/%d: %w", epoch, topic, partition, r.Err)
	}
	return r.EndOffset, nil
}
