package redrive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
)

// Entry is what the ledger remembers of one redrive, as the JSON value of a record
// whose key is the Origin. It holds nothing of the event.
type Entry struct {
	Topic     string    `json:"topic"` // where the record stands since
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Attempt   int       `json:"attempt"`
	Reason    string    `json:"reason"` // for which it had been put aside
	Source    string    `json:"source"`
	At        time.Time `json:"at"`
}

// encode makes the ledger's record of a redrive.
func (e Entry) encode(topic string, o Origin) (*kgo.Record, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the ledger's record of %s: %w", o, err)
	}
	return &kgo.Record{Topic: topic, Key: []byte(o.String()), Value: value}, nil
}

// place is one partition of one topic.
type place struct {
	id        lake.TopicID
	partition int32
}

// origins is a set of them. Its memory is that of compressed sets of offsets.
type origins map[place]*flush.Offsets

func (s origins) has(o Origin) bool { return s[place{o.TopicID, o.Partition}].Contains(o.Offset) }

func (s origins) add(o Origin) {
	p := place{o.TopicID, o.Partition}
	if s[p] == nil {
		s[p] = flush.NewOffsets()
	}
	s[p].Add(o.Offset)
}

// judge tells letters apart by what came back before and what it has met itself.
type judge struct {
	redriven    origins
	met         origins
	maxAttempts int
}

// meet is the state of the next letter.
func (j *judge) meet(l *Letter) State {
	if l.Err != nil {
		return Unreadable
	}
	if j.redriven.has(l.Origin) {
		return Redriven
	}
	if j.met.has(l.Origin) {
		return Repeated
	}
	j.met.add(l.Origin)
	if l.Attempts >= j.maxAttempts {
		return Quarantined
	}
	return Waiting
}

// ensureLedger creates the ledger where it is missing: one partition, because it is read
// as a whole, and neither age nor size removes anything. It refuses one that forgets:
// what it forgot would come back twice.
func (r *reader) ensureLedger(ctx context.Context, c *Config) error {
	spec := kafka.Layout{Partitions: 1, Replication: c.TopicReplication, Retention: kafka.Forever}.Events(c.RedrivenTopic)
	spec.Config["retention.bytes"] = "-1"
	if err := kafka.EnsureTopics(ctx, r.client, []kafka.TopicSpec{spec}); err != nil {
		return err
	}
	configs, err := kadm.NewClient(r.client).DescribeTopicConfigs(ctx, c.RedrivenTopic)
	if err == nil {
		_, err = configs.On(c.RedrivenTopic, func(rc *kadm.ResourceConfig) error { return errors.Join(rc.Err, keeps(rc.Configs)) })
	}
	if err != nil {
		return fmt.Errorf("look at the configuration of the ledger %s: %w", c.RedrivenTopic, err)
	}
	return nil
}

// keeps is nil where a topic so configured keeps every record: a compacted one does too,
// because no key stands twice in a ledger.
func keeps(configs []kadm.Config) error {
	set := make(map[string]string)
	for _, c := range configs {
		set[c.Key] = c.MaybeValue()
	}
	if !strings.Contains(set["cleanup.policy"], "delete") {
		return nil
	}
	for _, limit := range []string{"retention.ms", "retention.bytes"} {
		if set[limit] != "-1" {
			return fmt.Errorf("%s is %q, so it would forget what came back: set it to -1", limit, set[limit])
		}
	}
	return nil
}

// readLedger hands over everything that came back. A ledger that does not exist yet is
// empty. A record that is none of the ledger's is an error: what it stands for may have
// come back, and must not come back twice.
func (r *reader) readLedger(ctx context.Context, topic string, each func(Origin, *kgo.Record) error) error {
	t, _, err := kafka.Describe(ctx, r.client, topic)
	if errors.Is(err, kafka.ErrNoTopic) {
		return nil
	}
	if err != nil {
		return err
	}
	spans, err := kafka.Spans(ctx, r.client, topic)
	if err != nil {
		return err
	}
	for p, span := range spans {
		r.progress("reading the ledger %s, %d records at most", topic, span.End-span.Start)
		err := r.scan(ctx, t, p, span.Start, span.End, func(rec *kgo.Record) error {
			o, err := parseOrigin(string(rec.Key))
			if err != nil {
				return fmt.Errorf("read the ledger %s/%d at offset %d: %w: somebody else writes to this topic; name the right one with redriven-topic", topic, p, rec.Offset, err)
			}
			return each(o, rec)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge reads the ledger.
func (r *reader) judge(ctx context.Context, c *Look) (*judge, error) {
	j := &judge{redriven: origins{}, met: origins{}, maxAttempts: c.MaxAttempts}
	err := r.readLedger(ctx, c.RedrivenTopic, func(o Origin, _ *kgo.Record) error {
		j.redriven.add(o)
		return nil
	})
	return j, err
}
