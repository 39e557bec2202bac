// Package catalog is the service that makes published flushes visible to SQL: it
// follows the flush topic, and creates the database, tables, columns and
// partitions in Glue.
//
//	flush topic ─→ gate: judge ─→ Glue: tables, partitions ─→ gate's memory (S3) ─→ offset
//	               pkg/flush      internal/change decides      If-Match              Kafka
//
// A flush passes once, in the order of its partition's seqs, whatever dies or is
// answered late; everything it needs to know is in Glue, in the gate's memory and
// in the flush topic, so a catalog may be started anywhere from nothing. Beside that
// internal/ledger keeps the table of published files, from manifests and gates, and
// internal/views what events have, with a view for each. It writes no events and deletes nothing. Floor 4; owned by whoever operates the lake's tables.
package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/glue"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/ledger"
	"weir/services/catalog/internal/views"
)

// window is how far apart rounds start while the flush topic is busy: it bounds
// the writes of the gate's memory, four a second, and is far below the second in
// which a file should be visible.
const window = 250 * time.Millisecond

// glueBackoff keeps the SDK's own retries short: the pace and the long waits are
// the follower's, and it learns of throttling only when the SDK gives up.
const glueBackoff = time.Second

// maxViews is how many views there may be: so many names are counted.
const maxViews = 2000

// Config of the catalog. Glue's and S3's own settings are the AWS SDK's.
type Config struct {
	Lake             string `name:"lake" default:"s3://weir/lake" help:"Where the lake is."`
	Database         string `name:"database" default:"weir" help:"The Glue database; created if it is missing."`
	FlushTopic       string `name:"flush-topic" default:"weir.flushes" help:"The topic that tells of published flushes; created if it is missing."`
	TopicReplication int16  `name:"topic-replication" default:"3" help:"Replicas of the topics that are created."`

	LedgerEvery    time.Duration `name:"ledger-every" default:"1m" help:"How often the files that were published are written into the table weir_files: each time makes an object for each day that they are of. 1s to 1h."`
	MaxViews       int           `name:"max-views" default:"500" help:"Views over events, one for each name of track calls and each type of calls: at most so many are made, those that come first. None is dropped. 0: none is made."`
	MaxViewColumns int           `name:"max-view-columns" default:"200" help:"Typed columns of a view, one for each property: at most so many, up to 300."`

	Kafka kafka.Config `embed:""`

	// How the lake and Glue are reached, where not as the environment says.
	S3   s3.Config   `kong:"-"`
	Glue glue.Config `kong:"-"`
}

// DefaultConfig is what the defaults in the tags say.
func DefaultConfig() Config {
	return Config{
		Lake: "s3://weir/lake", Database: "weir", FlushTopic: "weir.flushes", TopicReplication: 3, LedgerEvery: time.Minute,
		MaxViews: 500, MaxViewColumns: 200,
		Kafka: kafka.Config{Brokers: []string{"127.0.0.1:9092"}},
	}
}

var (
	glueName   = regexp.MustCompile(`^[a-z0-9_]{1,255}$`)
	kafkaTopic = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
)

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	var f settings.Faults
	_, err := lake.ParseLocation(c.Lake)
	f.AddErr("lake", err)
	f.Check(glueName.MatchString(c.Database), "database", "%q is no name for a database: want up to 255 of a-z, 0-9 and _", c.Database)
	f.Check(kafkaTopic.MatchString(c.FlushTopic), "flush-topic", "%q is no name for a topic: want up to 249 of A-Z, a-z, 0-9, '.', '_' and '-'", c.FlushTopic)
	f.Check(c.TopicReplication > 0, "topic-replication", "must be at least 1")
	f.Check(c.LedgerEvery >= time.Second && c.LedgerEvery <= time.Hour, "ledger-every", "%s is not between 1s and 1h", c.LedgerEvery)
	f.Check(c.MaxViews >= 0 && c.MaxViews <= maxViews, "max-views", "%d is not between 0 and %d", c.MaxViews, maxViews)
	f.Check(c.MaxViewColumns > 0 && c.MaxViewColumns <= views.MaxColumns, "max-view-columns", "%d is not between 1 and %d", c.MaxViewColumns, views.MaxColumns)
	return append(f, c.Kafka.Validate()...)
}

// Group is the name under which the offset on the flush topic is committed: one
// for each database, because each has a gate of its own.
func (c Config) Group() string { return "weir-catalog-" + c.Database }

// tables are those that this catalog keeps. The raw copy's codec shows in the
// names of its objects only, and the catalog does not look at those.
func tables() []lake.Table { return []lake.Table{lake.EventLogs(), lake.EventLogsRaw("zstd")} }

// Run follows the flush topic until ctx ends; then it returns nil. What it was
// doing is done again by whoever starts next. An error is a wrong setting, or a
// store on which the gate's memory cannot be kept.
func Run(ctx context.Context, cfg Config, tel *telemetry.Telemetry) error {
	if err := settings.Join(cfg.Validate()); err != nil {
		return err
	}
	m, err := newMetrics(tel, cfg)
	if err != nil {
		return err
	}
	defer m.close()
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return err
	}
	cfg.S3.Lake = location
	store, err := s3.Open(ctx, cfg.S3, m.s3Attempt)
	if err != nil {
		return err
	}
	cfg.Glue.MaxBackoff = glueBackoff
	tablesOf, err := glue.Open(ctx, cfg.Glue, m.glueAttempt)
	if err != nil {
		return err
	}
	client, err := newClient(cfg, tel, m)
	if err != nil {
		return err
	}
	defer client.Close()

	ready := func() { tel.Health.SetState(telemetry.Ready) } // from then on what is down is in the body only
	err = follower(ctx, cfg, store, tablesOf, client, m, ready)
	if ctx.Err() != nil {
		tel.Health.SetState(telemetry.Draining)
		tel.Log.Info("catalog stopped")
		return nil
	}
	return err
}

func follower(ctx context.Context, cfg Config, store *s3.Store, g *glue.Catalog, client *kgo.Client, m *metrics, ready func()) error {
	if err := probe(ctx, store, m); err != nil {
		return err
	}
	if err := ensureTopic(ctx, cfg, client, m); err != nil {
		return err
	}
	ready()
	s := follow.Settings{Database: cfg.Database, Lake: change.NewLake(store.Location(), tables()...), Window: window}
	topic := follow.NewFlushTopic(client, cfg.FlushTopic, cfg.Group(), store.Location().String())
	shown := newViews(cfg, store, g, m)
	keeper := newKeeper(cfg, s.Lake, store, g, m, heard(shown, m.ledgerFact))
	tell := func(f follow.Fact) {
		if p, ok := f.(follow.Passed); ok {
			keeper.Passed(p.Manifest)
		}
		m.fact(f)
	}
	ctx, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { keeper.Run(ctx) })
	keeping.Go(func() { shown.Run(ctx) })
	defer keeping.Wait() // what it was doing is done again by whoever starts next
	defer stop()
	return follow.New(s, topic, store, g, g, tell).Run(ctx)
}

// newKeeper wires the ledger beside the follower: neither waits for the other.
func newKeeper(cfg Config, l change.Lake, store *s3.Store, g *glue.Catalog, m *metrics, tell ledger.Observer) *ledger.Keeper {
	var keeper *ledger.Keeper
	registrar := follow.NewRegistrar(g, g, cfg.Database, l, func(f follow.Fact) {
		if c, ok := f.(follow.Created); ok && c.Table == lake.FilesName {
			keeper.Lost()
		}
		m.fact(f)
	})
	m.health.Set(string(ledger.Dependency), nil) // until something is wrong
	s := ledger.Settings{Database: cfg.Database, Lake: l, Every: cfg.LedgerEvery}
	keeper = ledger.New(s, store, registrar, tell, m.fact)
	return keeper
}

// probe refuses a store that is unfit. It waits for everything that can come back or be
// mended meanwhile: a store that is down, a bucket or a permission that is missing.
func probe(ctx context.Context, store *s3.Store, m *metrics) error {
	var unfit error
	err := follow.Retry(ctx, m.fact, follow.Objects, func() error {
		err := store.Probe(ctx)
		if errors.Is(err, s3.ErrUnfit) {
			unfit, err = err, nil
		}
		return err
	})
	return cmp.Or(err, unfit)
}

func newClient(cfg Config, tel *telemetry.Telemetry, m *metrics) (*kgo.Client, error) {
	opts, err := cfg.Kafka.Options(tel.ClientLog())
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(append(opts, follow.ConsumerOptions()...), kafka.Watch(m.brokers))...)
	if err != nil {
		return nil, fmt.Errorf("open the Kafka client: %w", err)
	}
	return client, nil
}

// ensureTopic creates the flush topic if nobody has yet, waiting for Kafka.
func ensureTopic(ctx context.Context, cfg Config, client *kgo.Client, m *metrics) error {
	spec := kafka.Layout{Replication: cfg.TopicReplication}.Flushes(cfg.FlushTopic)
	return follow.Retry(ctx, m.fact, follow.Kafka, func() error {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		return kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{spec})
	})
}
