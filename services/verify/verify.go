// Package verify proves from Kafka, manifests and objects that every record stands
// in exactly one file of every table, or is a dead letter: it says exactly what is
// not so. It reads in an order that makes a sink at work no fault: objects, then
// committed offsets, then manifests, then again the objects that were missing:
//
//	lake's keys ─ listed ──► spool ◄── a decided flush has it ── manifests, from the last to the first
//	                           │                                       │
//	                           ▼                                       ▼
//	               objects: gone, other size, orphans        account: lost, doubled, chain
//
// It changes nothing, and repairs nothing; the arithmetic is internal/account's.
// Floor 4; owned by whoever answers for the lake's completeness.
package verify

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"slices"

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

// store is the lake, read.
type store interface {
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	Head(ctx context.Context, key string) (s3.Object, error)
	Reader(ctx context.Context, key string) (io.ReadCloser, error)
}

// verifier is one run. Its memory is bounded by the sets of offsets of one Kafka
// partition and a part of the lake's keys, not by how many flushes there were.
type verifier struct {
	cfg      Config
	store    store
	location lake.Location
	client   *kgo.Client
	topic    kafka.Topic
	cluster  string
	owned    bool   // the group owns the topic in this lake
	block    uint64 // how many flushes' keys are listed at a time

	spool   *spool        // what is visible, and what the manifests say of it
	pending map[int32]int // by partition whose last flush is being published: its number of files
	ledgers []*account.Ledger
	report  *Report
}

// Run verifies. A nil error means that it could look at everything; what it found
// is in the report. An error that is a settings.Fault means that a setting names
// something that is not there.
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
	temp, err := os.MkdirTemp("", "weir-verify-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for temporary files (TMPDIR says where): %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	rows, err := openRows(cfg, location, temp) // says at once that this build cannot
	if err != nil {
		return nil, err
	}
	defer rows.close()
	spool, err := openSpool(temp)
	if err != nil {
		return nil, err
	}
	defer func() { _ = spool.close() }() // nothing of it is kept
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
	v := &verifier{cfg: cfg, store: store, location: location, client: client, block: blockOfSeqs, spool: spool, pending: make(map[int32]int)}
	return v.run(ctx, rows)
}

func (v *verifier) run(ctx context.Context, rows *rowCheck) (*Report, error) {
	if err := v.describe(ctx); err != nil {
		return nil, err
	}
	if err := v.readOwner(ctx); err != nil {
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
	if err := v.unowned(ctx, partitions); err != nil {
		return nil, err
	}
	for i := range partitions {
		if err := v.partition(ctx, partitions[i]); err != nil {
			return nil, err
		}
	}
	if err := v.objects(ctx); err != nil {
		return nil, err
	}
	if err := v.columns(ctx); err != nil {
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

// partition makes up the partition's account, and settles what Kafka can tell.
func (v *verifier) partition(ctx context.Context, p account.Partition) error {
	v.cfg.Progress(fmt.Sprintf("reading the manifests of partition %d", p.Owner.Partition))
	l := account.Open(p, tableNames())
	if err := v.walk(ctx, l); err != nil {
		return err
	}
	l.Close()
	if !l.Whole {
		if err := v.unproven(ctx, l); err != nil {
			return err
		}
	}
	if l.Twice() {
		err := v.chain(ctx, l, func(m *flush.Manifest) error { l.Name(m); return nil })
		if err != nil {
			return err
		}
		l.Doubles()
	}
	var held account.Ranges
	start := p.LogStart
	if missing := l.Missing(); len(missing) > 0 {
		var err error
		if held, start, err = v.held(ctx, p.Owner.Partition, missing); err != nil {
			return err
		}
	}
	l.Settle(held, start)
	v.ledgers = append(v.ledgers, l)
	return nil
}

// forgive makes a note of the finding that an object has another size.
func (v *verifier) forgive(key string) {
	for i, f := range v.report.Findings {
		if f.Kind == account.WrongSize && f.Key == key {
			v.report.Notes = append(v.report.Notes, account.Forgive(f))
			v.report.Findings = slices.Delete(v.report.Findings, i, i+1)
			return
		}
	}
}
