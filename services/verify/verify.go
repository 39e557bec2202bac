// Package verify proves from Kafka, manifests and objects that every record stands
// in exactly one file of every table, or is a dead letter: it says exactly what is
// not so. It reads in an order that makes a sink at work no fault: objects, then
// committed offsets, then manifests, then again the objects that were missing. It
// changes nothing, and repairs nothing; the arithmetic is internal/account's.
// Floor 4; owned by whoever answers for the lake's completeness.
package verify

import (
	"context"
	"fmt"
	"os"
	"regexp"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/verify/internal/account"
)

// Config of a verification. S3's own settings are the AWS SDK's.
type Config struct {
	Lake  string `name:"lake" default:"s3://weir/lake" help:"Where the lake is."`
	Topic string `name:"topic" default:"weir.events" help:"The topic that the lake is made from."`
	Group string `name:"group" default:"weir-sink" help:"The sink's consumer group."`

	Rows      bool   `name:"rows" help:"Read every file, and compare its rows with Kafka's records."`
	LocalRoot string `name:"local-root" help:"Directory in which the bucket is a folder: files are read from there and not by S3. Empty: by S3."`

	Kafka kafka.Config `embed:""`

	Progress func(text string) `kong:"-" json:"-"` // hears now and then what is being done; nil = nobody
}

// DefaultConfig is what the defaults in the tags say.
func DefaultConfig() Config {
	return Config{
		Lake: "s3://weir/lake", Topic: "weir.events", Group: "weir-sink",
		Kafka: kafka.Config{Brokers: []string{"127.0.0.1:9092"}},
	}
}

var kafkaName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	var f settings.Faults
	_, err := lake.ParseLocation(c.Lake)
	f.AddErr("lake", err)
	f.Check(kafkaName.MatchString(c.Topic), "topic", "%q is no name for a topic", c.Topic)
	f.Check(c.Group != "", "group", "must name the sink's consumer group")
	if c.LocalRoot != "" {
		info, err := os.Stat(c.LocalRoot)
		f.Check(err == nil && info.IsDir(), "local-root", "%s is no directory", c.LocalRoot)
	}
	return append(f, c.Kafka.Validate()...)
}

func tables() []lake.Table { return []lake.Table{lake.EventLogs(), lake.EventLogsRaw("zstd")} }

func tableNames() []string {
	var names []string
	for _, t := range tables() {
		names = append(names, t.Name)
	}
	return names
}

// verifier is one run.
type verifier struct {
	cfg     Config
	store   *s3.Store
	client  *kgo.Client
	topic   kafka.Topic
	cluster string

	objects account.Objects
	named   map[string]struct{} // keys of files of decided flushes, or of those that may be
	claimed map[string]string   // keys of files that only attempts name: by which manifest
	ledgers []*account.Ledger
	report  *Report
}

// Run verifies. A nil error means that it could look at everything; what it found
// is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := settings.Join(cfg.Validate()); err != nil {
		return nil, err
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return nil, err
	}
	rows, err := openRows(cfg) // says at once that this build cannot
	if err != nil {
		return nil, err
	}
	defer rows.close()
	store, err := s3.Open(ctx, s3.Config{Lake: location}, nil)
	if err != nil {
		return nil, err
	}
	opts, err := cfg.Kafka.Options(telemetry.Discard().Log)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, scanOptions()...)...)
	if err != nil {
		return nil, fmt.Errorf("open the Kafka client: %w", err)
	}
	defer client.Close()
	v := &verifier{
		cfg: cfg, store: store, client: client,
		objects: make(account.Objects), named: make(map[string]struct{}), claimed: make(map[string]string),
	}
	return v.run(ctx, rows)
}

func (v *verifier) run(ctx context.Context, rows *rowCheck) (*Report, error) {
	var err error
	if v.topic, v.cluster, err = kafka.Describe(ctx, v.client, v.cfg.Topic); err != nil {
		return nil, err
	}
	v.report = newReport(v.cfg, v.topic)
	if err := v.listObjects(ctx); err != nil {
		return nil, err
	}
	partitions, err := v.gather(ctx)
	if err != nil {
		return nil, err
	}
	for i := range partitions {
		if err := v.partition(ctx, &partitions[i]); err != nil {
			return nil, err
		}
	}
	if err := v.orphans(ctx); err != nil {
		return nil, err
	}
	if v.cfg.Rows {
		for _, l := range v.ledgers {
			if err := rows.check(ctx, v, l); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range v.ledgers {
		v.report.add(l)
	}
	return v.report, nil
}

// partition opens the partition's books and settles what Kafka can tell.
func (v *verifier) partition(ctx context.Context, p *account.Partition) error {
	v.cfg.Progress(fmt.Sprintf("reading the manifests of partition %d", p.Owner.Partition))
	if err := v.manifests(ctx, p); err != nil {
		return err
	}
	l := account.Open(*p, tableNames())
	if err := v.lookAgain(ctx, l); err != nil {
		return err
	}
	l.Objects(v.objects, func(key string) { v.named[key] = struct{}{} })
	for _, m := range l.Unproven() {
		v.name(m)
	}
	v.claim(p, l)
	if missing := l.Missing(); len(missing) > 0 {
		held, start, err := v.held(ctx, p.Owner.Partition, missing)
		if err != nil {
			return err
		}
		l.Settle(held, start)
	}
	v.ledgers = append(v.ledgers, l)
	return nil
}

func (v *verifier) name(m *flush.Manifest) {
	for i := range m.Files {
		v.named[m.Files[i].Key] = struct{}{}
	}
}

// claim remembers what attempts wanted to write, for the text of a finding.
func (v *verifier) claim(p *account.Partition, l *account.Ledger) {
	decided := make(map[string]struct{})
	for _, m := range l.Chain {
		decided[m.Key] = struct{}{}
	}
	for key, m := range p.Manifests {
		if _, ok := decided[key]; ok {
			continue
		}
		for i := range m.Files {
			v.claimed[m.Files[i].Key] = key
		}
	}
}
