package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/group"
	"weir/services/sink/internal/worker"
)

// RecoverConfig is every setting of the recovery of stopped partitions.
type RecoverConfig struct {
	Kafka kafka.Config `embed:""`

	Group           string        `name:"group" default:"weir-sink" help:"Consumer group of the sink; it must have no member."`
	Topic           string        `name:"topic" default:"weir.events" help:"Topic of the events."`
	FlushTopic      string        `name:"flush-topic" default:"weir.flushes" help:"Topic that names the flushes that were published."`
	DeadLetterTopic string        `name:"dead-letter-topic" default:"weir.deadletters" help:"Topic of records that are no events."`
	Lake            string        `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	Partition       []int32       `name:"partition" help:"The partitions to recover. Empty: all of the topic; those that are sound are left alone."`
	After           time.Duration `name:"after" default:"1h" help:"How old a partition's newest manifest must be, so that nobody who wrote it still publishes."`
	AcceptLoss      bool          `name:"accept-loss" help:"Go on without what is lost: records that retention took before they were flushed, files that can be neither completed nor written again. The next manifest names it."`
	From            int64         `name:"from" default:"-1" help:"Go on at this offset, whatever was flushed: rows at it and above that are in the lake already will stand there twice. For one --partition. -1: where the partition stands."`
	DryRun          bool          `name:"dry-run" help:"Say what would be done, and do nothing."`
	Yes             bool          `name:"yes" help:"Do what loses or doubles rows; without it --accept-loss and --from only say what they would do."`

	S3   s3.Config         `kong:"-"` // how the lake is reached, where not as the environment says
	Tell func(text string) `kong:"-"` // hears what is waited for; nil = nobody
}

// Validate lists everything that is wrong.
func (c RecoverConfig) Validate() []error {
	f := settings.Faults(c.Kafka.Validate())
	names := DefaultConfig()
	names.Group, names.Topic, names.FlushTopic, names.DeadLetterTopic, names.Lake = c.Group, c.Topic, c.FlushTopic, c.DeadLetterTopic, c.Lake
	names.checkNames(&f)
	f.Check(c.After >= 0, "after", "%s is negative", c.After)
	for _, p := range c.Partition {
		f.Check(p >= 0, "partition", "%d is no partition", p)
	}
	f.Check(c.From >= -1, "from", "%d is no offset", c.From)
	f.Check(c.From < 0 || len(c.Partition) == 1, "from", "is an offset of one partition: name it with --partition")
	return f
}

// acceptance is what of it a person accepts, nil where nothing.
func (c RecoverConfig) acceptance(now time.Time) *flush.Acceptance {
	if !c.AcceptLoss && c.From < 0 {
		return nil
	}
	return &flush.Acceptance{Loss: c.AcceptLoss, From: c.From, FlushID: uuid.Must(uuid.NewV7()).String(), At: now}
}

// Recovered is what became of one partition.
type Recovered struct {
	Partition int32
	Result    string // kept, restored, went on, refused; would restore and would go on where nothing was done
	Was       string // committed before
	Stands    string // committed now; where nothing was done: what would be
	Lost      int64  // records that some table will never have
	Doubled   int64  // records whose rows may stand twice, at most
	Why       string
}

// Why Recover fails although it did what it could.
var (
	ErrUnrecovered = errors.New("not everything could be recovered") // at least one partition is as it was
	ErrUnconfirmed = errors.New("nothing is given up without --yes")
)

// commitTimeout is how long a commit is waited for.
const commitTimeout = 30 * time.Second

// Recover gives stopped partitions the committed state of their last decided flush
// back. It changes nothing but committed offsets, and those only while the group has no
// member: what is pending then is published by the next start. What a person accepts
// beyond that is done here, and a flush without files says so. What was done before an
// error is in the result.
func Recover(ctx context.Context, cfg RecoverConfig) ([]Recovered, error) {
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return nil, settings.Fault{Setting: "lake", Reason: err.Error()}
	}
	cfg.S3.Lake = location
	store, err := s3.Open(ctx, cfg.S3, nil)
	if err != nil {
		return nil, err
	}
	options, err := cfg.Kafka.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, kgo.RequestTimeoutOverhead(commitTimeout+time.Second))...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	r := recovery{cfg: cfg, client: client, admin: kadm.NewClient(client), store: store}
	if err := r.requireEmpty(ctx); err != nil {
		return nil, err
	}
	registry := newColumns(store, worker.Retry{Observe: r.observe})
	if err := registry.Read(ctx); err != nil {
		return nil, err
	}
	if err := registry.Complete(ctx); err != nil { // what is written again has the columns that it had
		return nil, err
	}
	events, err := registry.eventLogs(0, registry.Known().All())
	if err != nil {
		return nil, err
	}
	r.group = group.Config{
		Group: cfg.Group, Topic: cfg.Topic, FlushTopic: cfg.FlushTopic, DeadLetterTopic: cfg.DeadLetterTopic,
		Lake: location, SessionTimeout: commitTimeout, Options: options, Store: store,
		Tables: []*worker.Table{events, eventLogsRaw("zstd")}, Readable: readable("zstd"),
		Limits: cut.Limits{OpenFiles: 1}, Uploaders: worker.NewUploaders(uploaders, partSize), Observe: r.observe,
	}
	remains, topic, err := group.Survey(ctx, client, r.group, cfg.Partition)
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
	store  *s3.Store
	group  group.Config
	topic  kafka.Topic
}

// observe says what is waited for.
func (r recovery) observe(fact any) {
	if r.cfg.Tell == nil {
		return
	}
	switch f := fact.(type) {
	case worker.Retried:
		r.cfg.Tell(fmt.Sprintf("waiting for %s: %s: %s", f.Dependency, f.What, f.Err))
	case worker.Blocked:
		if f.Err != nil {
			r.cfg.Tell(fmt.Sprintf("partition %d waits: %s", f.Partition, f.Err))
		}
	case worker.Repaired:
		r.cfg.Tell(fmt.Sprintf("%s is lost and was to be written again: %s", f.Key, f.Kind))
	}
}

// requireEmpty: an owner that is at work would be overtaken. A broker refuses the commit
// of a stranger to a group that has members by itself; here they are named.
func (r recovery) requireEmpty(ctx context.Context) error {
	state, members, err := r.members(ctx)
	if errors.Is(err, kerr.GroupIDNotFound) { // it has neither members nor offsets
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe group %s: %w", r.cfg.Group, err)
	}
	if len(members) == 0 && (state == "Empty" || state == "Dead") {
		return nil
	}
	return fmt.Errorf("group %s is in use, stop its members first: it is %s, with %d: %s; one that was killed, or is static, is a member until its session-timeout has passed",
		r.cfg.Group, state, len(members), strings.Join(members, ", "))
}

// members names those of the group. Brokers do not find a group of the consumer protocol
// (KIP-848) when they are asked for a classic one, and the other way round.
func (r recovery) members(ctx context.Context) (state string, members []string, err error) {
	name := func(instance *string, id, host string) {
		if instance != nil {
			id = *instance + " (" + id + ")"
		}
		members = append(members, id+" at "+host)
	}
	classic, err := r.admin.DescribeGroups(ctx, r.cfg.Group)
	g := classic[r.cfg.Group]
	for _, m := range g.Members {
		name(m.InstanceID, m.MemberID, m.ClientHost)
	}
	if err = cmp.Or(err, g.Err); len(members) > 0 || err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return g.State, members, err
	}
	consumer, other := r.admin.DescribeConsumerGroups(ctx, r.cfg.Group)
	c := consumer[r.cfg.Group]
	if cmp.Or(other, c.Err) != nil { // there is none, or the broker knows no such groups
		return g.State, nil, err
	}
	for _, m := range c.Members {
		name(m.InstanceID, m.MemberID, m.ClientHost)
	}
	return c.State, members, nil
}

func (r recovery) all(ctx context.Context, remains []flush.Remains) ([]Recovered, error) {
	var done []Recovered
	var refused, unconfirmed int
	for _, found := range remains {
		found.Now, found.MinAge = time.Now(), r.cfg.After
		found.Accept = r.cfg.acceptance(found.Now)
		one, err := r.one(ctx, found)
		if err != nil {
			return done, err
		}
		switch {
		case one.Result == "refused":
			refused++
		case one.Result == "would go on" && !r.cfg.DryRun:
			unconfirmed++
		}
		done = append(done, one)
	}
	var err error
	if refused > 0 {
		err = fmt.Errorf("%w: %d of %d partitions are as they were", ErrUnrecovered, refused, len(done))
	}
	if unconfirmed > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d of %d partitions are as they were", ErrUnconfirmed, unconfirmed, len(done)))
	}
	return done, err
}

func (r recovery) one(ctx context.Context, found flush.Remains) (Recovered, error) {
	plan := flush.Recover(found)
	before := kafka.Committed{Offset: found.Offset, LeaderEpoch: found.CommittedEpoch, Metadata: found.Metadata}
	out := Recovered{
		Partition: found.Owner.Partition, Was: describe(before, found.Committed), Why: plan.Why,
		Lost: plan.Lost.Len(), Doubled: plan.Again.Len(),
	}
	out.Stands = out.Was
	switch {
	case plan.Recovery == flush.Refuse:
		out.Result = "refused"
	case plan.GivesUp && (r.cfg.DryRun || !r.cfg.Yes):
		out.Result = "would go on"
	case plan.GivesUp:
		return r.goOn(ctx, found, plan, before, out)
	case plan.Recovery == flush.Keep:
		out.Result = "kept"
	case r.cfg.DryRun:
		out.Result = "would restore"
		out.Stands = describe(kafka.Committed{Offset: plan.State.Low, LeaderEpoch: plan.State.LeaderEpoch, Metadata: plan.State.Metadata()}, true)
	default:
		now, err := r.restore(ctx, found, plan.State, before)
		if err != nil {
			return out, err
		}
		out.Result, out.Stands = "restored", describe(now, true)
	}
	return out, nil
}

// goOn does what a person accepted, from the state that the plan restores or keeps.
func (r recovery) goOn(ctx context.Context, found flush.Remains, plan flush.Plan, before kafka.Committed, out Recovered) (Recovered, error) {
	var err error
	if plan.Recovery == flush.Restore {
		_, err = r.restore(ctx, found, plan.State, before)
	} else {
		err = r.unchanged(ctx, out.Partition, before, found.Committed)
	}
	if err != nil {
		return out, err
	}
	if plan.Forced {
		found.Accept.Again = plan.Again
	}
	letters, _, err := kafka.Describe(ctx, r.client, r.cfg.DeadLetterTopic)
	if err != nil {
		return out, err
	}
	r.group.DeadLetterMax = letters.MaxMessageBytes
	if err := group.Resolve(ctx, r.client, r.group, r.topic, found, plan); err != nil {
		return out, err
	}
	return r.wentOn(ctx, out)
}

// wentOn reads what stands now, and what the flush that says so gave up.
func (r recovery) wentOn(ctx context.Context, out Recovered) (Recovered, error) {
	now, ok, err := r.committed(ctx, out.Partition)
	if err != nil {
		return out, err
	}
	out.Result, out.Stands, out.Lost, out.Doubled = "went on", describe(now, ok), 0, 0
	s, err := flush.ParseMetadata(now.Offset, now.LeaderEpoch, now.Metadata)
	if err != nil {
		return out, fmt.Errorf("partition %d went on, and was committed by somebody else meanwhile: %w", out.Partition, err)
	}
	body, _, err := r.store.Get(ctx, s.Manifest)
	if err != nil {
		return out, err
	}
	m, err := codec.DecodeManifest(s.Manifest, body)
	if err != nil {
		return out, err
	}
	out.Lost, out.Doubled = m.Lost.Len(), m.Again.Len()
	return out, nil
}

// unchanged looks again right before the commit: the plan is only as good as what it
// was made of.
func (r recovery) unchanged(ctx context.Context, p int32, want kafka.Committed, committed bool) error {
	if err := r.requireEmpty(ctx); err != nil {
		return err
	}
	now, ok, err := r.committed(ctx, p)
	if err != nil {
		return err
	}
	if ok != committed || ok && now != want {
		return fmt.Errorf("partition %d was committed by somebody else meanwhile (%s): stop that and try again", p, describe(now, ok))
	}
	return nil
}

func (r recovery) committed(ctx context.Context, p int32) (kafka.Committed, bool, error) {
	all, err := kafka.FetchCommitted(ctx, r.client, r.cfg.Group, r.topic, p)
	now, ok := all[p]
	return now, ok, err
}

// restore commits s and reads it again.
func (r recovery) restore(ctx context.Context, found flush.Remains, s flush.State, before kafka.Committed) (kafka.Committed, error) {
	p := found.Owner.Partition
	if err := r.unchanged(ctx, p, before, found.Committed); err != nil {
		return kafka.Committed{}, err
	}
	if err := group.CommitAsStranger(ctx, r.client, r.group, found.Owner, s); err != nil {
		return kafka.Committed{}, err
	}
	now, ok, err := r.committed(ctx, p)
	if err != nil {
		return kafka.Committed{}, err
	}
	if now.Offset != s.Low || now.Metadata != s.Metadata() {
		return now, fmt.Errorf("partition %d was restored to offset %d, and %s stands there now", p, s.Low, describe(now, ok))
	}
	return now, nil
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
