package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/sink/internal/group"
)

// RecoverConfig is every setting of the recovery of stopped partitions.
type RecoverConfig struct {
	Kafka kafka.Config `embed:""`

	Group      string        `name:"group" default:"weir-sink" help:"Consumer group of the sink; it must have no member."`
	Topic      string        `name:"topic" default:"weir.events" help:"Topic of the events."`
	FlushTopic string        `name:"flush-topic" default:"weir.flushes" help:"Topic that names the flushes that were published."`
	Lake       string        `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	Partition  []int32       `name:"partition" help:"The partitions to recover. Empty: all of the topic; those that are sound are left alone."`
	After      time.Duration `name:"after" default:"1h" help:"How old a partition's newest manifest must be, so that nobody who wrote it still publishes."`
	DryRun     bool          `name:"dry-run" help:"Say what would be committed, and commit nothing."`
}

// Validate lists everything that is wrong.
func (c RecoverConfig) Validate() []error {
	f := settings.Faults(c.Kafka.Validate())
	names := DefaultConfig()
	names.Group, names.Topic, names.FlushTopic, names.Lake = c.Group, c.Topic, c.FlushTopic, c.Lake
	names.checkNames(&f)
	f.Check(c.After >= 0, "after", "%s is negative", c.After)
	for _, p := range c.Partition {
		f.Check(p >= 0, "partition", "%d is no partition", p)
	}
	return f
}

// Recovered is what became of one partition.
type Recovered struct {
	Partition int32
	Result    string // kept, restored, refused; with dry-run: would restore
	Was       string // committed before
	Stands    string // committed now; with dry-run: what would be
	Why       string
}

// ErrUnrecovered: at least one partition cannot be recovered, and is as it was.
var ErrUnrecovered = errors.New("not everything could be recovered")

// Recover gives stopped partitions the committed state of their last decided flush
// back. It changes nothing but committed offsets, and those only while the group has no
// member: what is pending then is published by the next start. What was done before an
// error is in the result.
func Recover(ctx context.Context, cfg RecoverConfig) ([]Recovered, error) {
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return nil, settings.Fault{Setting: "lake", Reason: err.Error()}
	}
	store, err := s3.Open(ctx, s3.Config{Lake: location}, nil)
	if err != nil {
		return nil, err
	}
	options, err := cfg.Kafka.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	r := recovery{cfg: cfg, client: client, admin: kadm.NewClient(client)}
	if err := r.requireEmpty(ctx); err != nil {
		return nil, err
	}
	remains, topic, err := group.Survey(ctx, client, group.Config{
		Group: cfg.Group, Topic: cfg.Topic, FlushTopic: cfg.FlushTopic, Lake: location, Options: options, Store: store,
	}, cfg.Partition)
	if err != nil {
		return nil, err
	}
	r.topic = topic
	return r.all(ctx, remains)
}

type recovery struct {
	cfg    RecoverConfig
	client *kgo.Client
	admin  *kadm.Client
	topic  kafka.Topic
}

// requireEmpty: an owner that is at work would be overtaken. A broker refuses the commit
// of a stranger to a group that has members by itself; here they are named.
func (r recovery) requireEmpty(ctx context.Context) error {
	groups, err := r.admin.DescribeGroups(ctx, r.cfg.Group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", r.cfg.Group, err)
	}
	g := groups[r.cfg.Group]
	if errors.Is(g.Err, kerr.GroupIDNotFound) { // it has neither members nor offsets
		return nil
	}
	if g.Err != nil {
		return fmt.Errorf("describe group %s: %w", r.cfg.Group, g.Err)
	}
	if len(g.Members) == 0 && (g.State == "Empty" || g.State == "Dead") {
		return nil
	}
	var members []string
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID + " (" + m.MemberID + ")"
		}
		members = append(members, name+" at "+m.ClientHost)
	}
	return fmt.Errorf("group %s is in use, stop its members first: it is %s, with %d: %s; one that was killed, or is static, is a member until its session-timeout has passed",
		r.cfg.Group, g.State, len(members), strings.Join(members, ", "))
}

func (r recovery) all(ctx context.Context, remains []flush.Remains) ([]Recovered, error) {
	var done []Recovered
	refused := 0
	for _, found := range remains {
		found.Now, found.MinAge = time.Now(), r.cfg.After
		one, err := r.one(ctx, found)
		if err != nil {
			return done, err
		}
		if one.Result == "refused" {
			refused++
		}
		done = append(done, one)
	}
	if refused > 0 {
		return done, fmt.Errorf("%w: %d of %d partitions are as they were", ErrUnrecovered, refused, len(done))
	}
	return done, nil
}

func (r recovery) one(ctx context.Context, found flush.Remains) (Recovered, error) {
	plan := flush.Recover(found)
	before := kafka.Committed{Offset: found.Offset, LeaderEpoch: found.CommittedEpoch, Metadata: found.Metadata}
	out := Recovered{Partition: found.Owner.Partition, Was: describe(before, found.Committed), Why: plan.Why}
	out.Stands = out.Was
	switch {
	case plan.Recovery == flush.Refuse:
		out.Result = "refused"
	case plan.Recovery == flush.Keep:
		out.Result = "kept"
	case r.cfg.DryRun:
		out.Result = "would restore"
		out.Stands = describe(kafka.Committed{Offset: plan.State.Low, LeaderEpoch: plan.State.LeaderEpoch, Metadata: plan.State.Metadata()}, true)
	default:
		if err := r.unchanged(ctx, out.Partition, before, found.Committed); err != nil {
			return out, err
		}
		now, err := r.commit(ctx, out.Partition, plan.State)
		if err != nil {
			return out, err
		}
		out.Result, out.Stands = "restored", describe(now, true)
	}
	return out, nil
}

// unchanged looks again right before the commit: the plan is only as good as what it
// was made of.
func (r recovery) unchanged(ctx context.Context, p int32, want kafka.Committed, committed bool) error {
	if err := r.requireEmpty(ctx); err != nil {
		return err
	}
	all, err := kafka.FetchCommitted(ctx, r.client, r.cfg.Group, r.topic, p)
	if err != nil {
		return err
	}
	if now, ok := all[p]; ok != committed || ok && now != want {
		return fmt.Errorf("partition %d was committed by somebody else meanwhile (%s): stop that and try again", p, describe(now, ok))
	}
	return nil
}

// commit restores s and reads it again.
func (r recovery) commit(ctx context.Context, p int32, s flush.State) (kafka.Committed, error) {
	var o kadm.Offsets
	o.Add(kadm.Offset{
		Topic: r.topic.Name, Partition: p, At: s.Low, LeaderEpoch: s.LeaderEpoch, Metadata: s.Metadata(),
	})
	answer, err := r.admin.CommitOffsets(ctx, r.cfg.Group, o)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		return kafka.Committed{}, fmt.Errorf("commit offset %d of partition %d: %w", s.Low, p, err)
	}
	all, err := kafka.FetchCommitted(ctx, r.client, r.cfg.Group, r.topic, p)
	if err != nil {
		return kafka.Committed{}, err
	}
	if now := all[p]; now.Offset != s.Low || now.Metadata != s.Metadata() {
		return now, fmt.Errorf("partition %d was restored to offset %d, and %s stands there now", p, s.Low, describe(now, true))
	}
	return all[p], nil
}

// describe is a committed offset in words.
func describe(c kafka.Committed, committed bool) string {
	if !committed {
		return "nothing"
	}
	s, err := flush.ParseMetadata(c.Offset, c.LeaderEpoch, c.Metadata)
	if err != nil {
		return fmt.Sprintf("offset %d, by another tool", c.Offset)
	}
	if s.Seq == 0 {
		return fmt.Sprintf("offset %d, before flush 1", s.Low)
	}
	return fmt.Sprintf("offset %d, flush %d %s, %s", s.Low, s.Seq, s.Phase, s.Manifest)
}
