package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/parts"
	"weir/pkg/embedded"
)

// The worlds in which a scenario can run.
const (
	WorldEmbedded = "embedded" // kfake, versitygw and our Glue in this process
	WorldKafka    = "kafka"    // Apache Kafka, a versitygw process, moto
	WorldKafka3   = "kafka3"   // the same with three Kafka nodes
)

var worlds = []string{WorldEmbedded, WorldKafka, WorldKafka3}

const (
	accessKey = "dev"
	secretKey = "dev-secret"
	bucket    = "weir"
	lakeURL   = "s3://" + bucket + "/lake"
	database  = "weir"

	topic           = "weir.events"
	flushTopic      = "weir.flushes"
	deadLetterTopic = "weir.deadletters"
	group           = "weir-sink"
	catalogGroup    = "weir-catalog-" + database
)

// world is what weir stands on. The stores' own addresses are for the auditor; weir gets a proxy's.
type world struct {
	brokers []string
	nodes   []*parts.Kafka  // empty: the embedded one
	kafka   *embedded.Kafka // nil: real ones
	s3URL   string
	glueURL string
	lake    string // the folder of the lake's objects

	closers []func() error
}

func newWorld(ctx context.Context, kind, dir string) (*world, error) {
	w := new(world)
	start := w.startReal
	if kind == WorldEmbedded {
		start = w.startEmbedded
	}
	if err := start(ctx, kind, dir); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) startEmbedded(_ context.Context, _, dir string) error {
	kafka, err := embedded.StartKafka(embedded.KafkaOptions{Dir: filepath.Join(dir, "kafka"), Addr: "127.0.0.1:0", MinSessionTimeout: time.Second})
	if err != nil {
		return err
	}
	w.kafka = kafka
	w.closers = append(w.closers, kafka.Close)
	s3, err := embedded.StartS3(embedded.S3Options{
		Dir: filepath.Join(dir, "s3"), Addr: "127.0.0.1:0", AccessKey: accessKey, SecretKey: secretKey, Buckets: []string{bucket},
	})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, s3.Close)
	glue, err := embedded.StartGlue(embedded.GlueOptions{Dir: filepath.Join(dir, "glue"), Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, glue.Close)
	w.brokers, w.s3URL, w.glueURL = []string{kafka.Addr()}, "http://"+s3.Addr(), "http://"+glue.Addr()
	w.lake = filepath.Join(s3.Root(), bucket, "lake")
	return nil
}

func (w *world) startReal(ctx context.Context, kind, dir string) error {
	nodes := 1
	if kind == WorldKafka3 {
		nodes = 3
	}
	kafka, err := parts.StartKafkaNodes(ctx, filepath.Join(dir, "kafka"), nodes)
	if err != nil {
		return err
	}
	w.nodes = kafka
	for _, k := range kafka {
		w.brokers = append(w.brokers, k.Addr)
		w.closers = append(w.closers, func() error { k.Process.Kill(); return nil }) // the folder is thrown away
	}
	s3, err := parts.StartVersitygw(ctx, filepath.Join(dir, "s3"), accessKey, secretKey, bucket)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() error { s3.Stop(); return nil })
	moto, err := parts.StartMoto(ctx, filepath.Join(dir, "moto"))
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() error { moto.Stop(); return nil })
	w.s3URL, w.glueURL, w.lake = s3.URL, moto.URL, filepath.Join(dir, "s3", "data", bucket, "lake")
	return nil
}

func (w *world) close() error {
	var faults []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		faults = append(faults, w.closers[i]())
	}
	return errors.Join(faults...)
}

// replication is what topics are created with.
func (w *world) replication() int { return max(1, len(w.nodes)) }

// node finds a broker by the name that a scenario gives it: kafka is the first, kafka-2 the second.
func (w *world) node(name string) (*parts.Kafka, error) {
	n := 1
	if number, has := strings.CutPrefix(name, roleKafka+"-"); has {
		if _, err := fmt.Sscanf(number, "%d", &n); err != nil {
			return nil, fmt.Errorf("%q is no broker: %w", name, err)
		}
	}
	if n < 1 || n > len(w.nodes) {
		return nil, fmt.Errorf("there is no broker %s, only %d", name, len(w.nodes))
	}
	return w.nodes[n-1], nil
}

// drained is nil once the sinks have committed the end of every partition and the catalog has read every flush.
func drained(ctx context.Context, admin *kadm.Client) error {
	return errors.Join(caughtUp(ctx, admin, topic, group), caughtUp(ctx, admin, flushTopic, catalogGroup))
}

func caughtUp(ctx context.Context, admin *kadm.Client, topic, group string) error {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the ends of %s: %w", topic, err)
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("fetch the offsets of %s: %w", group, err)
	}
	var behind []string
	ends.Each(func(end kadm.ListedOffset) {
		at, known := committed.Lookup(topic, end.Partition)
		switch {
		case end.Err != nil:
			behind = append(behind, fmt.Sprintf("partition %d: %v", end.Partition, end.Err))
		case end.Offset > 0 && (!known || at.At < end.Offset):
			behind = append(behind, fmt.Sprintf("partition %d at %d of %d", end.Partition, at.At, end.Offset))
		}
	})
	if len(behind) > 0 {
		return fmt.Errorf("%s is behind on %s: %s", group, topic, strings.Join(behind, ", "))
	}
	return nil
}

func newAdmin(brokers []string) (*kadm.Client, func(), error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RetryTimeout(5*time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return nil, nil, fmt.Errorf("open an admin client: %w", err)
	}
	return kadm.NewClient(cl), cl.Close, nil
}
