// Package sink moves events from Kafka into the lake, exactly once:
//
//	Kafka ── group ──┬─ worker (partition 0) ── open files ── uploads ──▶ S3
//	                 ├─ worker (partition 1)        │ cut
//	                 └─ …                    flush.Machine ── commits, notifications ──▶ Kafka
//
// Its invariant is the flush protocol's: a record below the committed offset stands in
// exactly one visible object of every table, or is one dead letter. This package only
// wires: what a flush is stands in pkg/flush, when it is due in internal/cut, who owns
// which partition in internal/group, and what the objects mean to readers is the
// catalog's business. Owned by whoever owns the sink.
package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/rawcopy"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/group"
	"weir/services/sink/internal/worker"
)

// Bounds that are no settings.
const (
	uploaders          = 8        // parts on their way at once
	partSize           = 8 << 20  // bytes: above S3's least of 5 MiB, and small enough that an open file holds little of what is encoded already
	maxOpenFiles       = 2_000    // of one partition: their notification fits into 1 MiB, Kafka's default for a topic
	maxBehind          = 4 << 20  // records; the sets of what is flushed above one table's oldest file stay below 0.6 MiB
	maxDeadLetters     = 10_000   // of one partition before they are cut
	maxDeadLetterBytes = 16 << 20 // of one partition before they are cut
)

// Run is the sink until ctx ends; then it drains and returns nil. It fails where a
// setting, the store or the topic makes exactly once impossible, and waits for
// everything that can come back.
func Run(ctx context.Context, cfg Config, tel *telemetry.Telemetry) error {
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return settings.Fault{Setting: "lake", Reason: err.Error()}
	}
	m, err := newMetrics(tel, cfg)
	if err != nil {
		return err
	}
	defer m.close()
	retry := worker.Retry{Observe: m.observe}

	cfg.S3.Lake = location
	store, err := s3.Open(ctx, cfg.S3, m.s3Attempt)
	if err != nil {
		return err
	}
	options, err := cfg.Kafka.Options(tel.ClientLog())
	if err != nil {
		return err
	}
	options = append(options, kafka.Watch(m.kafkaAnswer))
	if err := probe(ctx, store, retry); err != nil {
		return drained(ctx, err)
	}
	letters, err := topics(ctx, cfg, options, retry, m)
	if err != nil {
		return drained(ctx, err)
	}
	registry := newColumns(store, retry)
	kept, err := registry.Open(ctx, cfg.Promote.Paths)
	if err != nil {
		return drained(ctx, err)
	}
	m.kept(kept)
	events, err := registry.eventLogs(int64(cfg.memory()), registry.Known().Promoted(cfg.Promote.Paths))
	if err != nil {
		return err
	}
	again, err := registry.eventLogs(0, registry.Known().All())
	if err != nil {
		return err
	}
	g, err := group.New(group.Config{
		Group: cfg.Group, Topic: cfg.Topic, FlushTopic: cfg.FlushTopic,
		DeadLetterTopic: cfg.DeadLetterTopic, DeadLetterMax: letters,
		Lake: location, InstanceID: cfg.PodName, Protocol: cfg.GroupProtocol, Leave: cfg.Leave, SessionTimeout: cfg.SessionTimeout, Memory: int64(cfg.memory()),
		Options: options, Store: store,
		Tables: []*worker.Table{events, eventLogsRaw(cfg.RawCodec)}, Readable: append(readable(cfg.RawCodec), again),
		Limits: cut.Limits{
			FileSize: int64(cfg.FileSize), FileAge: cfg.FileAge, OpenFiles: maxOpenFiles, Behind: maxBehind,
			DeadLetters: maxDeadLetters, DeadLetterBytes: maxDeadLetterBytes,
		},
		Uploaders: worker.NewUploaders(uploaders, cmp.Or(cfg.PartSize, partSize)),
		Observe:   m.observe,
	})
	if err != nil {
		return err
	}
	defer g.Close()
	m.watch(g)
	stop := context.AfterFunc(ctx, func() { tel.Health.SetState(telemetry.Draining) })
	defer stop()
	if err := g.Run(ctx); err != nil {
		return err
	}
	tel.Log.Info("sink stopped")
	return nil
}

// drained makes the end of ctx no failure.
func drained(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// probe refuses a store on which the flush protocol does not hold.
func probe(ctx context.Context, store *s3.Store, retry worker.Retry) error {
	return retry.Do(ctx, worker.DependencyS3, "probe the store", func() error { return store.Probe(ctx) }, s3.ErrUnfit)
}

// topics creates what is missing, and gives the largest batch that the dead-letter
// topic takes.
func topics(ctx context.Context, cfg Config, options []kgo.Opt, retry worker.Retry, m *metrics) (lettersMax int, err error) {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return 0, fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	layout := cfg.layout()
	var events, letters kafka.Topic
	err = retry.Do(ctx, worker.DependencyKafka, "create the topics", func() (err error) {
		if err = kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{layout.Events(cfg.Topic), layout.Flushes(cfg.FlushTopic)}); err != nil {
			return err
		}
		if events, _, err = kafka.Describe(ctx, client, cfg.Topic); err != nil {
			return err
		}
		if err = kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{layout.Aside(cfg.DeadLetterTopic, events.MaxMessageBytes)}); err != nil {
			return err
		}
		letters, _, err = kafka.Describe(ctx, client, cfg.DeadLetterTopic)
		return err
	})
	if err == nil && letters.MaxMessageBytes < events.MaxMessageBytes+kafka.Margin {
		m.smallDeadLetters(events, letters)
	}
	return letters.MaxMessageBytes, err
}

// eventLogs has one layout for all its files. Of rows that are no pages yet they hold a quarter of memory together; 0 is
// the encoder's own bound.
func (c *columns) eventLogs(memory int64, promoted []lake.Promoted) (*worker.Table, error) {
	t := lake.EventLogs()
	build := telemetry.ReadBuild()
	layout, err := columnar.NewLayout(t.Schema, columnar.Options{
		Codec: "zstd", RowsBytes: memory / 4, Promoted: promoted,
		CreatedBy: fmt.Sprintf("weir version %s (build %s)", build.Version, cmp.Or(build.Commit, "unknown")),
	})
	if err != nil {
		return nil, err
	}
	return &worker.Table{
		Table:       t,
		ContentType: "application/vnd.apache.parquet",
		Promotion:   event.NewPromotion(promoted),
		New:         func(out io.Writer) (worker.Encoder, error) { return layout.NewFile(out), nil },
		Register:    c.register,
		Shapes:      true,
		Sizes:       func(e worker.Encoder) []lake.ColumnBytes { return e.(*columnar.File).ColumnBytes() },
	}, nil
}

func eventLogsRaw(codec string) *worker.Table {
	t := lake.EventLogsRaw(codec)
	return &worker.Table{
		Table:       t,
		ContentType: "application/" + codec,
		New:         func(out io.Writer) (worker.Encoder, error) { return rawcopy.NewFile(codec, out) },
	}
}

// readable are the raw copies of the other codecs: a flush that was decided before the
// setting changed may have to be repaired in its own.
func readable(codec string) []*worker.Table {
	var others []*worker.Table
	for _, c := range slices.DeleteFunc([]string{"zstd", "gzip"}, func(c string) bool { return c == codec }) {
		others = append(others, eventLogsRaw(c))
	}
	return others
}

var errNoGroup = errors.New("not a member of the group yet")
