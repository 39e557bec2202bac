package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committed is what a group has committed for a partition.
type Committed struct {
	Offset      int64
	LeaderEpoch int32 // -1 = unknown
	Metadata    string
}

// FetchCommitted reads what a group has committed for the partitions of a topic, by
// name and id, and only what is stable: no transaction may still change it.
// Partitions without a commit are not in the result.
func FetchCommitted(ctx context.Context, cl *kgo.Client, group string, topic Topic, partitions ...int32) (map[int32]Committed, error) {
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic = topic.Name
	t.TopicID = topic.ID
	t.Partitions = partitions
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	g.Topics = append(g.Topics, t)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("fetch the committed offsets of group %s: %w", group, err)
	}
	if len(resp.Groups) != 1 {
		return nil, fmt.Errorf("fetch the committed offsets of group %s: the answer has %d groups", group, len(resp.Groups))
	}
	answer := resp.Groups[0]
	err = kerr.ErrorForCode(answer.ErrorCode)
	if errors.Is(err, kerr.GroupIDNotFound) { // there is no such group, so it has committed nothing
		return map[int32]Committed{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the committed offsets of group %s: %w", group, err)
	}
	return readCommitted(answer, group, topic, partitions)
}

func readCommitted(answer kmsg.OffsetFetchResponseGroup, group string, topic Topic, partitions []int32) (map[int32]Committed, error) {
	found := make(map[int32]Committed)
	answered := 0
	for _, t := range answer.Topics {
		if t.Topic != topic.Name && t.TopicID != topic.ID {
			continue
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("fetch the committed offset of %s/%d of group %s: %w", topic.Name, p.Partition, group, err)
			}
			answered++
			if p.Offset < 0 {
				continue
			}
			c := Committed{Offset: p.Offset, LeaderEpoch: p.LeaderEpoch}
			if p.Metadata != nil {
				c.Metadata = *p.Metadata
			}
			found[p.Partition] = c
		}
	}
	if answered != len(partitions) { // silence is not "nothing committed"
		return nil, fmt.Errorf("fetch the committed offsets of group %s: asked for %d partitions of %s, answered %d", group, len(partitions), topic.Name, answered)
	}
	return found, nil
}
