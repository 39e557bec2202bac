package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/lake"
)

// ErrNoTopic is what describing a topic that does not exist gives.
var ErrNoTopic = errors.New("no such topic")

// Margin is how much larger than the events topic's records those of the
// dead-letter and rejected topics may be: room for the headers that are added.
const Margin = 64 << 10

// TopicSpec is a topic as it is created when it is missing.
type TopicSpec struct {
	Name        string
	Partitions  int32
	Replication int16
	Config      map[string]string
}

// Layout is what the topics of one deployment have in common.
type Layout struct {
	Partitions  int32 // of the events, rejected and dead-letter topics
	Replication int16
	Retention   Retention // of all but the flush topic
}

func (l Layout) spec(name string, partitions int32, keep Retention) TopicSpec {
	config := map[string]string{
		"cleanup.policy": "delete",
		"retention.ms":   strconv.FormatInt(keep.Milliseconds(), 10),
	}
	if l.Replication >= 3 {
		config["min.insync.replicas"] = "2"
	}
	return TopicSpec{Name: name, Partitions: partitions, Replication: l.Replication, Config: config}
}

// Events is the topic that holds the events.
func (l Layout) Events(name string) TopicSpec { return l.spec(name, l.Partitions, l.Retention) }

// MaxNotification is how large a record of the flush topic may be: one flush of some
// ten thousand files.
const MaxNotification = 8 << 20

// Flushes is the flush topic: one partition, because its order counts, kept for ever.
func (l Layout) Flushes(name string) TopicSpec {
	s := l.spec(name, 1, Forever)
	s.Config["max.message.bytes"] = strconv.Itoa(MaxNotification)
	return s
}

// Compacted is a topic of what is known of sources, one record each: one partition, of which
// the last record of each source is kept for ever.
func (l Layout) Compacted(name string) TopicSpec {
	s := l.spec(name, 1, Forever)
	s.Config["cleanup.policy"] = "compact"
	return s
}

// Aside is the dead-letter or the rejected topic of an events topic whose records
// may have eventsMax bytes.
func (l Layout) Aside(name string, eventsMax int) TopicSpec {
	s := l.spec(name, l.Partitions, l.Retention)
	s.Config["max.message.bytes"] = strconv.Itoa(eventsMax + Margin)
	return s
}

// EnsureTopics creates the topics that are missing, never by auto-creation, and
// waits until each can be described with an id and every partition has a leader.
// Topics that exist are left as they are.
func EnsureTopics(ctx context.Context, cl *kgo.Client, specs []TopicSpec) error {
	for _, s := range specs {
		if err := ensure(ctx, cl, s); err != nil {
			return err
		}
	}
	for _, s := range specs {
		if err := await(ctx, cl, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func ensure(ctx context.Context, cl *kgo.Client, s TopicSpec) error {
	if _, _, err := detail(ctx, cl, s.Name); !errors.Is(err, ErrNoTopic) {
		return err
	}
	config := make(map[string]*string, len(s.Config))
	for k, v := range s.Config {
		config[k] = &v
	}
	resp, err := kadm.NewClient(cl).CreateTopics(ctx, s.Partitions, s.Replication, config, s.Name)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", s.Name, err)
	}
	r := resp[s.Name]
	if r.Err == nil || errors.Is(r.Err, kerr.TopicAlreadyExists) {
		return nil
	}
	if r.ErrMessage != "" {
		return fmt.Errorf("create topic %s (%d partitions, replication %d): %w: %s", s.Name, s.Partitions, s.Replication, r.Err, r.ErrMessage)
	}
	return fmt.Errorf("create topic %s (%d partitions, replication %d): %w", s.Name, s.Partitions, s.Replication, r.Err)
}

// await polls: a broker answers a creation before every broker knows of the topic.
func await(ctx context.Context, cl *kgo.Client, name string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		t, _, err := detail(ctx, cl, name)
		if err == nil && usable(t) {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNoTopic) && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for topic %s: %w", name, errors.Join(ctx.Err(), err))
		}
	}
}

func usable(t kmsg.MetadataResponseTopic) bool {
	if t.TopicID == ([16]byte{}) || len(t.Partitions) == 0 {
		return false
	}
	for _, p := range t.Partitions {
		if p.ErrorCode != 0 || p.Leader < 0 {
			return false
		}
	}
	return true
}

// detail asks a broker anew: the client's own metadata may be seconds old, and remembers
// that a topic was missing.
func detail(ctx context.Context, cl kmsg.Requestor, name string) (kmsg.MetadataResponseTopic, string, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &name
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return kmsg.MetadataResponseTopic{}, "", fmt.Errorf("describe topic %s: %w", name, advised(err))
	}
	cluster := ""
	if resp.ClusterID != nil {
		cluster = *resp.ClusterID
	}
	for _, d := range resp.Topics {
		if d.Topic == nil || *d.Topic != name {
			continue
		}
		err := kerr.ErrorForCode(d.ErrorCode)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = ErrNoTopic
		}
		if err != nil {
			return d, cluster, fmt.Errorf("describe topic %s: %w", name, err)
		}
		return d, cluster, nil
	}
	return kmsg.MetadataResponseTopic{}, cluster, fmt.Errorf("describe topic %s: %w", name, ErrNoTopic)
}

// Topic is a topic as the cluster describes it.
type Topic struct {
	Name            string
	ID              lake.TopicID
	Partitions      int32
	Compacted       bool // its cleanup.policy names compact: offsets may vanish in the middle
	MaxMessageBytes int  // of one batch
}

// Describe tells what a topic is and which cluster holds it.
func Describe(ctx context.Context, cl *kgo.Client, name string) (Topic, string, error) {
	d, cluster, err := detail(ctx, cl, name)
	if err != nil {
		return Topic{}, "", err
	}
	t := Topic{Name: name, ID: lake.TopicID(d.TopicID), Partitions: int32(len(d.Partitions))}
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, name)
	if err != nil {
		return Topic{}, "", fmt.Errorf("describe the configuration of topic %s: %w", name, err)
	}
	c, err := configs.On(name, nil)
	if err == nil {
		err = c.Err
	}
	if err != nil {
		return Topic{}, "", fmt.Errorf("describe the configuration of topic %s: %w", name, err)
	}
	values := make(map[string]string)
	for _, v := range c.Configs {
		values[v.Key] = v.MaybeValue()
	}
	t.Compacted = slices.Contains(strings.Split(strings.ReplaceAll(values["cleanup.policy"], " ", ""), ","), "compact")
	if t.MaxMessageBytes, err = strconv.Atoi(values["max.message.bytes"]); err != nil {
		return Topic{}, "", fmt.Errorf("describe the configuration of topic %s: max.message.bytes: %w", name, err)
	}
	return t, cluster, nil
}
