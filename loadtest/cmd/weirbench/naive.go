package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	kzstd "github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/corpus"
)

// naiveRow is the table as one first writes it in Go.
type naiveRow struct {
	AnonymousID       string            `parquet:"anonymousid,optional"`
	MessageID         string            `parquet:"messageid,optional"`
	Type              string            `parquet:"type,optional,dict"`
	UserID            string            `parquet:"userid,optional"`
	Event             string            `parquet:"event,optional,dict"`
	Timestamp         time.Time         `parquet:"timestamp,timestamp(microsecond)"`
	OriginalTimestamp time.Time         `parquet:"originaltimestamp,timestamp(microsecond)"`
	SentAt            time.Time         `parquet:"sentat,timestamp(microsecond)"`
	ReceivedAt        time.Time         `parquet:"receivedat,timestamp(microsecond)"`
	Context           map[string]string `parquet:"context"`
	Traits            map[string]string `parquet:"traits"`
	Properties        map[string]string `parquet:"properties"`
	Integrations      map[string]string `parquet:"integrations"`
	Topic             string            `parquet:"kafkatopic,dict"`
	Partition         int32             `parquet:"kafkapartition"`
	Offset            int64             `parquet:"kafkaoffset"`
}

// naiveFile is the usual way: encoding/json into maps, parquet-go's GenericWriter by reflection.
type naiveFile struct {
	size   counter
	writer *parquet.GenericWriter[naiveRow]
}

func newNaiveFile() *naiveFile {
	f := new(naiveFile)
	f.writer = parquet.NewGenericWriter[naiveRow](&f.size, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.MaxRowsPerRowGroup(rowGroupRows))
	return f
}

func (f *naiveFile) add(value []byte, received time.Time, partition int32, offset int64) error {
	var event map[string]any
	if err := json.Unmarshal(value, &event); err != nil {
		return err
	}
	_, err := f.writer.Write([]naiveRow{{
		AnonymousID: text(event["anonymousId"]), MessageID: text(event["messageId"]), Type: text(event["type"]),
		UserID: text(event["userId"]), Event: text(event["event"]), Timestamp: clock(event["timestamp"]),
		OriginalTimestamp: clock(event["originalTimestamp"]), SentAt: clock(event["sentAt"]), ReceivedAt: received,
		Context: texts(event["context"]), Traits: texts(event["traits"]), Properties: texts(event["properties"]),
		Integrations: texts(event["integrations"]), Topic: topic, Partition: partition, Offset: offset,
	}})
	return err
}

// runNaiveEncode is the usual way from an event's bytes to a file's.
func runNaiveEncode(_ context.Context, c child) (int64, error) {
	values := corpus.Generate(corpusSeed, c.row.events)
	if err := c.meter.start(); err != nil {
		return 0, err
	}
	f := newNaiveFile()
	for i, value := range values {
		if err := f.add(value, time.Now(), 3, int64(i)); err != nil {
			return 0, err
		}
	}
	err := f.writer.Close()
	return int64(f.size), err
}

// runNaiveSink is the same from Kafka.
func runNaiveSink(ctx context.Context, c child) (int64, error) {
	f := newNaiveFile()
	err := consume(ctx, c, func(r *kgo.Record) error { return f.add(r.Value, r.Timestamp, r.Partition, r.Offset) })
	if err == nil {
		err = f.writer.Close()
	}
	return int64(f.size), err
}

// runNaiveSinkRaw writes the raw copy too, as lines in one stream of zstd.
func runNaiveSinkRaw(ctx context.Context, c child) (int64, error) {
	f := newNaiveFile()
	var size counter
	raw, err := kzstd.NewWriter(&size, kzstd.WithEncoderLevel(kzstd.SpeedFastest), kzstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	err = consume(ctx, c, func(r *kgo.Record) error {
		if _, err := raw.Write(append(r.Value, '\n')); err != nil {
			return err
		}
		return f.add(r.Value, r.Timestamp, r.Partition, r.Offset)
	})
	if err == nil {
		err = errors.Join(f.writer.Close(), raw.Close())
	}
	return int64(f.size + size), err
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		b, _ := json.Marshal(v) // what was just unmarshalled
		return string(b)
	}
}

func texts(v any) map[string]string {
	object, _ := v.(map[string]any)
	all := make(map[string]string, len(object))
	for k, value := range object {
		all[k] = text(value)
	}
	return all
}

func clock(v any) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text(v))
	return t
}
