package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
	"weir/pkg/kafka"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/catalog"
	"weir/services/dev/screen"
	"weir/services/gateway"
	"weir/services/sink"
)

const (
	bucket     = "weir"
	partitions = 4 // of a topic

	// ledgerEvery makes what was sent a minute ago stand in weir_files when somebody asks.
	ledgerEvery = 5 * time.Second
	// startWithin bounds the start of everything.
	startWithin = 30 * time.Second
	// topicBytes bounds a partition of the events topic on disk: the embedded
	// Kafka reads its whole log at a start.
	topicBytes = 256 * settings.MiB
)

// process is everything that one Run has started, in the order of the data.
type process struct {
	cfg       Config
	tel       *telemetry.Telemetry
	out       *screen.Screen
	addresses Addresses
	sender    sender

	stops  []func() error // in the order of starting
	failed chan error     // a service that ended by itself
}

func (d *process) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	sources, err := writeFirstSources(d.cfg.Dir)
	if err != nil {
		return err
	}
	if d.sender, err = readSender(sources); err != nil {
		return err
	}
	if err := d.startParts(); err != nil {
		return err
	}
	PointSDK(d.addresses)
	if err := d.createEvents(ctx); err != nil {
		return err
	}
	return d.startServices(ctx, sources)
}

// startParts starts the stores. They are stopped after the services.
func (d *process) startParts() error {
	k, err := embedded.StartKafka(embedded.KafkaOptions{Dir: filepath.Join(d.cfg.Dir, "kafka"), Addr: d.cfg.KafkaAddr, Log: d.tel.ClientLog()})
	if err != nil {
		return movable(err, "kafka-addr")
	}
	d.stops = append(d.stops, k.Close)
	d.addresses.Kafka = k.Addr()
	s, err := embedded.StartS3(embedded.S3Options{
		Dir: filepath.Join(d.cfg.Dir, "s3"), Addr: d.cfg.S3Addr, AccessKey: AccessKey, SecretKey: SecretKey, Buckets: []string{bucket},
		Log: d.tel.ClientLog(),
	})
	if err != nil {
		return movable(err, "s3-addr")
	}
	d.stops = append(d.stops, s.Close)
	d.addresses.S3 = s.Addr()
	g, err := embedded.StartGlue(embedded.GlueOptions{Dir: filepath.Join(d.cfg.Dir, "glue"), Addr: d.cfg.GlueAddr})
	if err != nil {
		return movable(err, "glue-addr")
	}
	d.stops = append(d.stops, g.Close)
	d.addresses.Glue = g.Addr()
	return nil
}

// movable names the flag that moves a part away from a port that is taken.
func movable(err error, flag string) error {
	if errors.Is(err, embedded.ErrBusy) || errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: move it with --%s (port 0 picks a free one)", err, flag)
	}
	return err
}

// PointSDK sends this process's AWS clients to the embedded parts, whatever
// account the shell is set up for.
func PointSDK(a Addresses) {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL"} {
		_ = os.Unsetenv(name) // it cannot fail on the systems that weir builds for
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": "http://" + a.S3, "AWS_ENDPOINT_URL_GLUE": "http://" + a.Glue, "AWS_REGION": Region,
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		_ = os.Setenv(name, value)
	}
}

// createEvents makes the events topic with a bound on its size; the other topics
// are made by whoever needs them.
func (d *process) createEvents(ctx context.Context) error {
	opts, err := d.kafka().Options(d.tel.ClientLog())
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	events := kafka.Layout{Partitions: partitions, Replication: 1, Retention: gateway.DefaultConfig().TopicRetention}.Events(gateway.DefaultConfig().Topic)
	events.Config["retention.bytes"] = strconv.FormatInt(int64(topicBytes), 10)
	events.Config["segment.bytes"] = strconv.FormatInt(int64(topicBytes/8), 10)
	return kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{events})
}

func (d *process) kafka() kafka.Config { return kafka.Config{Brokers: []string{d.addresses.Kafka}} }

// startServices starts what reads before what writes, so that the first event
// finds everybody at work. They are stopped the other way round: nothing new comes
// in, then what is in files becomes visible, then the catalog hears of it.
func (d *process) startServices(ctx context.Context, sources string) error {
	d.serve("catalog", func(ctx context.Context, tel *telemetry.Telemetry) error {
		cfg := catalog.DefaultConfig()
		cfg.Kafka, cfg.TopicReplication, cfg.LedgerEvery = d.kafka(), 1, ledgerEvery
		return catalog.Run(ctx, cfg, tel)
	})
	d.serve("sink", func(ctx context.Context, tel *telemetry.Telemetry) error {
		cfg := sink.DefaultConfig()
		cfg.Kafka, cfg.TopicPartitions, cfg.TopicReplication, cfg.FileAge = d.kafka(), partitions, 1, d.cfg.FileAge
		return sink.Run(ctx, cfg, tel)
	})
	opened := make(chan string, 1)
	d.serve("gateway", func(ctx context.Context, tel *telemetry.Telemetry) error {
		cfg := gateway.DefaultConfig()
		cfg.Config, cfg.TopicPartitions, cfg.TopicReplication = d.kafka(), partitions, 1
		cfg.Listen, cfg.Sources = d.cfg.GatewayAddr, sources
		cfg.Spill = filepath.Join(d.cfg.Dir, "spill")
		return movable(gateway.Run(ctx, cfg, tel, func(addr string) { opened <- addr }), "gateway-addr")
	})
	admin, err := d.tel.ServeAdmin(d.cfg.AdminAddr)
	if err != nil {
		return movable(err, "admin-addr")
	}
	d.stops = append(d.stops, admin.Close)
	d.addresses.Admin = admin.Addr()
	select {
	case d.addresses.Gateway = <-opened:
	case err := <-d.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the gateway: %w", ctx.Err())
	}
	return d.awaitReady(ctx)
}

// serve runs a service until stop, which waits for its end.
func (d *process) serve(name string, run func(context.Context, *telemetry.Telemetry) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	tel := d.tel.Service(name)
	go func() {
		err := run(ctx, tel)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if ctx.Err() == nil { // nobody stopped it
			d.failed <- cmp.Or(err, fmt.Errorf("%s ended by itself", name))
			err = nil // told once
		}
		done <- err
	}()
	d.stops = append(d.stops, func() error {
		cancel()
		return <-done
	})
}

func (d *process) awaitReady(ctx context.Context) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		report := d.tel.Health.Report()
		if report.Ready {
			return nil
		}
		select {
		case err := <-d.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("wait until everything is ready (%s %s): %w", report.State, report.Reason, ctx.Err())
		case <-poll.C:
		}
	}
}

// stop ends everything in the reverse order of its start.
func (d *process) stop() error {
	var errs []error
	for _, stop := range slices.Backward(d.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}
