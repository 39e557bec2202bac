package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// MaxMetadata is how many characters of metadata a broker stores with an offset by
// default (offset.metadata.max.bytes).
const MaxMetadata = 4096

// CommitRequest is one offset commit of one partition under one pin.
type CommitRequest struct {
	Group     string
	Topic     string
	TopicID   lake.TopicID
	Partition int32

	Offset      int64
	LeaderEpoch int32 // -1 = unknown
	Metadata    string

	MemberID   string
	Generation int32
	InstanceID string        // "" = a dynamic member
	Timeout    time.Duration // how long to wait for the answer; then it is CommitUnanswered
}

// CommitOffset sends the commit to the group's coordinator, once: a second sending
// is the protocol's decision. It carries the topic's name and id: version 10 sends
// the id, so that a topic that was created anew refuses the commit. Brokers that do
// not know it read the name, and are asked right before whether it still means the
// same topic. What became of it is the Input's Kind; its Err says why wherever that is
// not CommitApplied.
func CommitOffset(ctx context.Context, cl *kgo.Client, r CommitRequest) flush.Input {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	if err := checkMetadata(r.Metadata); err != nil {
		return flush.Input{Kind: flush.CommitUnanswered, Err: err}
	}
	broker, err := r.coordinator(ctx, cl)
	if errors.Is(err, kerr.UnknownTopicID) {
		return flush.Input{Kind: flush.CommitOver, Err: err}
	}
	if err != nil { // nothing was sent
		return flush.Input{Kind: flush.CommitUncertain, Err: err}
	}
	resp, err := broker.Request(ctx, r.message())
	if err != nil {
		return flush.Input{Kind: classifyTransport(err), Err: fmt.Errorf("commit offset %d of %s/%d: %w", r.Offset, r.Topic, r.Partition, err)}
	}
	return r.classify(resp)
}

func (r CommitRequest) message() *kmsg.OffsetCommitRequest {
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition = r.Partition
	p.Offset = r.Offset
	p.LeaderEpoch = r.LeaderEpoch
	p.Metadata = &r.Metadata
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = r.Topic
	t.TopicID = r.TopicID
	t.Partitions = append(t.Partitions, p)
	m := kmsg.NewPtrOffsetCommitRequest()
	m.Group = r.Group
	m.MemberID = r.MemberID
	m.Generation = r.Generation
	if r.InstanceID != "" {
		m.InstanceID = &r.InstanceID
	}
	m.Topics = append(m.Topics, t)
	return m
}

func (r CommitRequest) classify(resp kmsg.Response) flush.Input {
	answer, ok := resp.(*kmsg.OffsetCommitResponse)
	if !ok {
		return flush.Input{Kind: flush.CommitUnanswered, Err: fmt.Errorf("commit offset %d of %s/%d: the answer is a %T", r.Offset, r.Topic, r.Partition, resp)}
	}
	for _, t := range answer.Topics {
		if t.Topic != r.Topic && t.TopicID != r.TopicID {
			continue
		}
		for _, p := range t.Partitions {
			if p.Partition != r.Partition {
				continue
			}
			err := kerr.ErrorForCode(p.ErrorCode)
			if err == nil {
				return flush.Input{Kind: flush.CommitApplied}
			}
			return flush.Input{Kind: Classify(err), Err: fmt.Errorf("commit offset %d of %s/%d: %w", r.Offset, r.Topic, r.Partition, err)}
		}
	}
	return flush.Input{Kind: flush.CommitUnanswered, Err: fmt.Errorf("commit offset %d of %s/%d: the answer leaves the partition out", r.Offset, r.Topic, r.Partition)}
}

// Classify says what a coordinator's answer to a commit proves.
func Classify(err error) flush.InputKind {
	switch {
	case errors.Is(err, kerr.RebalanceInProgress):
		return flush.CommitNotApplied
	case errors.Is(err, kerr.CoordinatorNotAvailable),
		errors.Is(err, kerr.CoordinatorLoadInProgress),
		errors.Is(err, kerr.NotCoordinator):
		return flush.CommitUncertain
	case errors.Is(err, kerr.IllegalGeneration):
		return flush.CommitFenced
	case errors.Is(err, kerr.UnknownMemberID),
		errors.Is(err, kerr.FencedInstanceID),
		errors.Is(err, kerr.StaleMemberEpoch),
		errors.Is(err, kerr.UnknownTopicID):
		return flush.CommitOver
	}
	return flush.CommitUnanswered
}

// classifyTransport tells a request that never left (no connection could be made)
// from one that may have: only the first can be sent again as it is.
func classifyTransport(err error) flush.InputKind {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return flush.CommitUncertain
	}
	return flush.CommitUnanswered
}

func checkMetadata(md string) error {
	if len(md) > MaxMetadata {
		return fmt.Errorf("commit metadata of %d characters: a broker stores %d", len(md), MaxMetadata)
	}
	for i := range len(md) {
		if md[i] < ' ' || md[i] > '~' {
			return fmt.Errorf("commit metadata has byte %#x at %d: only printable ASCII survives", md[i], i)
		}
	}
	return nil
}

// coordinator finds the group's coordinator and opens the connection to it. It does
// so for each commit: commits are rare, a remembered coordinator that moved would
// cost a refused one, and whatever fails in here proves that nothing was sent.
func (r CommitRequest) coordinator(ctx context.Context, cl *kgo.Client) (*kgo.Broker, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey = r.Group
	req.CoordinatorKeys = []string{r.Group}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, fmt.Errorf("find the coordinator of group %s: %w", r.Group, err)
	}
	node, code := resp.NodeID, resp.ErrorCode
	for _, c := range resp.Coordinators {
		if c.Key == r.Group {
			node, code = c.NodeID, c.ErrorCode
		}
	}
	if err := kerr.ErrorForCode(code); err != nil {
		return nil, fmt.Errorf("find the coordinator of group %s: %w", r.Group, err)
	}
	broker := cl.Broker(int(node))
	byID, err := commitsByID(ctx, broker)
	if err != nil {
		return nil, fmt.Errorf("reach broker %d, the coordinator of group %s: %w", node, r.Group, err)
	}
	if byID {
		return broker, nil
	}
	return broker, r.sameTopic(ctx, broker)
}

// commitByID is the first version of the request that names a topic by its id.
const commitByID = 10

func commitsByID(ctx context.Context, broker *kgo.Broker) (bool, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1" // brokers refuse a nameless client
	resp, err := req.RequestWith(ctx, broker)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return false, err
	}
	for _, k := range resp.ApiKeys {
		if k.ApiKey == int16(kmsg.OffsetCommit) {
			return k.MaxVersion >= commitByID, nil
		}
	}
	return false, errors.New("it takes no commits")
}

// sameTopic asks the broker that is to store a commit by name which topic has that name:
// one that was deleted and created again must not get the offsets of the one before it.
func (r CommitRequest) sameTopic(ctx context.Context, broker *kgo.Broker) error {
	d, _, err := detail(ctx, broker, r.Topic)
	switch {
	case errors.Is(err, ErrNoTopic):
		return fmt.Errorf("commit offset %d of %s/%d: %w: %w", r.Offset, r.Topic, r.Partition, kerr.UnknownTopicID, err)
	case err != nil:
		return err
	case lake.TopicID(d.TopicID) != r.TopicID:
		return fmt.Errorf("commit offset %d of %s/%d: %w: its id was %s and is %s", r.Offset, r.Topic, r.Partition, kerr.UnknownTopicID, r.TopicID, lake.TopicID(d.TopicID))
	}
	return nil
}
