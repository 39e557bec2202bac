package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/glue"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/reconcile"
)

// ReconcileConfig is every setting of a comparison of Glue with the lake.
type ReconcileConfig struct {
	Lake     string `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	Database string `name:"database" default:"weir" help:"The Glue database."`

	Progress func(text string) `kong:"-"` // nil = nobody watches
}

// Validate lists everything that is wrong.
func (c ReconcileConfig) Validate() []error {
	var f settings.Faults
	_, err := lake.ParseLocation(c.Lake)
	f.AddErr("lake", err)
	f.Check(glueName.MatchString(c.Database), "database", "%q is no name for a database: want up to 255 of a-z, 0-9 and _", c.Database)
	return f
}

// RepairConfig is every setting of a repair.
type RepairConfig struct {
	ReconcileConfig `embed:""`
	Kafka           kafka.Config `embed:""`

	Topic     string  `name:"topic" help:"Only what stands at the gates of this topic of events. Empty: of every topic of the lake."`
	Partition []int32 `name:"partition" help:"Only these partitions' gates, and nothing else in Glue. Empty: all that stands, and all that the lake holds and Glue lacks. A gate that cannot be read is made anew for all partitions."`
	DryRun    bool    `name:"dry-run" help:"Say what would be done, and do nothing."`
}

// Validate lists everything that is wrong.
func (c RepairConfig) Validate() []error {
	f := append(settings.Faults(c.ReconcileConfig.Validate()), c.Kafka.Validate()...)
	f.Check(c.Topic == "" || kafkaTopic.MatchString(c.Topic), "topic", "%q is no name for a topic: want up to 249 of A-Z, a-z, 0-9, '.', '_' and '-'", c.Topic)
	for _, p := range c.Partition {
		f.Check(p >= 0, "partition", "%d is no partition", p)
	}
	return f
}

// Difference, Report and Repaired are what the commands print.
type (
	Difference = reconcile.Difference
	Report     = reconcile.Report
	Repaired   = reconcile.Repaired
)

// Refused is the result of a repair that cannot be proved.
const Refused = reconcile.Refused

// Reconcile compares Glue with the lake, and changes nothing.
func Reconcile(ctx context.Context, cfg ReconcileConfig) (*Report, error) {
	l, err := cfg.open(ctx)
	if err != nil {
		return nil, err
	}
	return l.Reconcile(ctx)
}

// Repair lets pass what stands at the gates, and puts back into Glue what it lacks, as
// far as the lake proves it. What was done before an error is in the result.
func Repair(ctx context.Context, cfg RepairConfig) ([]Repaired, error) {
	l, err := cfg.open(ctx)
	if err != nil {
		return nil, err
	}
	options, err := cfg.Kafka.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("open the Kafka client: %w", err)
	}
	defer client.Close()
	r := reconcile.Repair{
		Lake: l, Committed: committed{client: client, lake: l.Lake.Location},
		Topic: cfg.Topic, Partitions: cfg.Partition, DryRun: cfg.DryRun,
	}
	return r.Run(ctx)
}

func (c ReconcileConfig) open(ctx context.Context) (reconcile.Lake, error) {
	location, err := lake.ParseLocation(c.Lake)
	if err != nil {
		return reconcile.Lake{}, err
	}
	store, err := s3.Open(ctx, s3.Config{Lake: location}, nil)
	if err != nil {
		return reconcile.Lake{}, err
	}
	g, err := glue.Open(ctx, glue.Config{MaxBackoff: glueBackoff}, nil)
	if err != nil {
		return reconcile.Lake{}, err
	}
	l := change.NewLake(location, tables()...)
	promoted, _, err := stored.Read(ctx, store, promote.Registry{})
	if err != nil {
		return reconcile.Lake{}, err
	}
	l.Promoted = promoted.Registry
	progress := c.Progress
	if progress == nil {
		progress = func(string) {}
	}
	return reconcile.Lake{
		Store: store, Tables: g, Partitions: g, Database: c.Database, Progress: progress,
		Lake: l,
	}, nil
}

// committed reads what sinks' groups have committed, from Kafka.
type committed struct {
	client *kgo.Client
	lake   lake.Location
}

func (c committed) Standing(ctx context.Context, group, topic string, id lake.TopicID, partitions []int32) (map[int32]reconcile.Standing, string, error) {
	t, cluster, err := kafka.Describe(ctx, c.client, topic)
	if errors.Is(err, kafka.ErrNoTopic) {
		return nil, fmt.Sprintf("topic %s is not in Kafka: nothing says what group %s has committed", topic, group), nil
	}
	if err != nil {
		return nil, "", err
	}
	if t.ID != id {
		return nil, fmt.Sprintf("topic %s was made anew: this gate is of %s, which is gone with its committed offsets, the topic is %s now", topic, id, t.ID), nil
	}
	all := make(map[int32]reconcile.Standing, len(partitions))
	var there []int32
	for p := range t.Partitions {
		if len(partitions) == 0 || slices.Contains(partitions, p) {
			there = append(there, p)
		}
	}
	for _, p := range partitions {
		if p >= t.Partitions {
			all[p] = reconcile.Standing{Why: fmt.Sprintf("topic %s has no partition %d: it has %d", topic, p, t.Partitions)}
		}
	}
	if len(there) == 0 {
		return all, "", nil
	}
	offsets, err := kafka.FetchCommitted(ctx, c.client, group, t, there...)
	if err != nil {
		return nil, "", err
	}
	home := flush.Home(cluster, id, c.lake.Bucket, c.lake.Prefix)
	for _, p := range there {
		all[p] = standing(offsets, p, group, home)
	}
	return all, "", nil
}

func standing(offsets map[int32]kafka.Committed, p int32, group, home string) reconcile.Standing {
	at, ok := offsets[p]
	if !ok {
		return reconcile.Standing{Why: fmt.Sprintf("group %s has committed nothing for it; see weir sink recover", group)}
	}
	state, err := flush.ParseMetadata(at.Offset, at.LeaderEpoch, at.Metadata)
	switch {
	case err != nil:
		return reconcile.Standing{Why: fmt.Sprintf("what group %s has committed, offset %d, is not of weir's sink (%v); see weir sink recover", group, at.Offset, err)}
	case state.Home != home:
		return reconcile.Standing{Why: fmt.Sprintf("what group %s has committed is for another lake or cluster (home %s, here %s)", group, state.Home, home)}
	}
	return reconcile.Standing{State: state}
}
