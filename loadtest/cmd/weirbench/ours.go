package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/rawcopy"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/gateway"
	"weir/services/sink"
)

const (
	rowGroupRows = 100_000
	gatewayTopic = "weir.bench"
)

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// consume reads the row's number of events from the topic's start.
func consume(ctx context.Context, c child, each func(*kgo.Record) error) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.broker), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := c.meter.start(); err != nil {
		return err
	}
	for left := c.row.events; left > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return err
		}
		for iter := fetches.RecordIter(); !iter.Done() && left > 0; left-- {
			if err := each(iter.Next()); err != nil {
				return err
			}
		}
	}
	return nil
}

// appender is a file of one of the lake's tables.
type appender interface {
	Append(*event.Record, *event.View) error
	Close() error
}

// runParquet is the sink's path of an event without its protocol: decode, columns, Parquet; one file.
func runParquet(ctx context.Context, c child) (int64, error) {
	var size counter
	file, err := parquetFile(&size)
	if err != nil {
		return 0, err
	}
	err = appendAll(ctx, c, file)
	return int64(size), err
}

// runParquetRaw writes the raw copy too.
func runParquetRaw(ctx context.Context, c child) (int64, error) {
	var size counter
	file, err := parquetFile(&size)
	if err != nil {
		return 0, err
	}
	raw, err := rawcopy.NewFile("zstd", &size)
	if err != nil {
		return 0, err
	}
	err = appendAll(ctx, c, file, raw)
	return int64(size), err
}

func parquetFile(out io.Writer) (*columnar.File, error) {
	layout, err := columnar.NewLayout(lake.EventLogs().Schema, columnar.Options{RowGroupRows: rowGroupRows})
	if err != nil {
		return nil, err
	}
	return layout.NewFile(out), nil
}

func appendAll(ctx context.Context, c child, files ...appender) error {
	view, record := new(event.View), new(event.Record)
	err := consume(ctx, c, func(r *kgo.Record) error {
		kafka.FromKgo(record, r, lake.TopicID{1})
		if reason := view.Decode(record); reason != "" {
			return fmt.Errorf("the corpus holds what is no event: %s", reason)
		}
		for _, f := range files {
			if err := f.Append(record, view); err != nil {
				return err
			}
		}
		return nil
	})
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// wholeSink cuts as often as the short run needs to end.
func wholeSink(c *sink.Config) { c.FileAge = 2 * time.Second }

// manySink has a budget that a thousand lake partitions soon reach: what it holds then is cut by size.
func manySink(c *sink.Config) {
	c.Topic, c.FileAge, c.Memory = manyTopic, 30*time.Second, settings.Memory{Bytes: 768 * settings.MiB}
}

// runSink is the service as it runs: group, Parquet and raw copy, uploads, manifests, commits, notifications. It ends
// when everything that the topic holds is committed.
func runSink(change func(*sink.Config)) func(context.Context, child) (int64, error) {
	return func(ctx context.Context, c child) (int64, error) {
		cfg := sink.DefaultConfig()
		change(&cfg)
		return sinkAll(ctx, c, cfg)
	}
}

func sinkAll(ctx context.Context, c child, cfg sink.Config) (int64, error) {
	settings.BoundHeap()
	settings.CollectAt(30) // as weir sink does
	cfg.Kafka.Brokers = []string{c.broker}
	cfg.TopicReplication = 1
	own := filepath.Base(c.dir) // each round has a lake and a group of its own
	cfg.Lake, cfg.Group = "s3://weir/"+own, own
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.broker))
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	if err := c.meter.start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- sink.Run(ctx, cfg, telemetry.Discard()) }()
	if err := awaitCommitted(ctx, kadm.NewClient(cl), cfg.Topic, cfg.Group, ended); err != nil {
		return 0, err
	}
	stop()
	if err := <-ended; err != nil {
		return 0, err
	}
	return lakeBytes(filepath.Join(os.Getenv("WEIRBENCH_BUCKET"), own))
}

// lakeBytes is what stands in both tables.
func lakeBytes(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/_weir") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

func awaitCommitted(ctx context.Context, admin *kadm.Client, topic, group string, ended <-chan error) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("the sink ended: %w", err)
		case <-tick.C:
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		committed, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			continue // the group does not exist yet
		}
		behind := false
		ends.Each(func(end kadm.ListedOffset) {
			at, known := committed.Lookup(topic, end.Partition)
			behind = behind || !known || at.At < end.Offset
		})
		if !behind {
			return nil
		}
	}
}

// runGateway is the service as it runs.
func runGateway(ctx context.Context, c child) (int64, error) {
	sourcesFile := filepath.Join(c.dir, "sources.yaml")
	yaml := "sources: [{id: source1, enabled: true, write_keys: [" + writeKey + "]}]\n"
	if err := os.WriteFile(sourcesFile, []byte(yaml), 0o600); err != nil {
		return 0, err
	}
	settings.BoundHeap() // as weir gateway does
	cfg := gateway.DefaultConfig()
	cfg.Brokers, cfg.Listen, cfg.Sources, cfg.Topic, cfg.TopicReplication = []string{c.broker}, "127.0.0.1:0", sourcesFile, gatewayTopic, 1
	cfg.TopicPartitions = partitions
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- gateway.Run(ctx, cfg, telemetry.Discard(), func(addr string) { ready <- addr }) }()
	select {
	case err := <-ended:
		return 0, fmt.Errorf("the gateway ended: %w", err)
	case addr := <-ready:
		fmt.Println(addr)
	}
	if err := c.meter.start(); err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // until the load is through
		return 0, err
	}
	stop()
	return 0, <-ended
}

func createGatewayTopic(ctx context.Context, cl *kgo.Client) error {
	return kafka.EnsureTopics(ctx, cl, []kafka.TopicSpec{{Name: gatewayTopic, Partitions: partitions, Replication: 1}})
}
