package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is where a record stands in the events topic.
type place struct {
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%d/%d", p.partition, p.offset) }

// readTopic reads a topic from its start to its end, what is committed of it.
func (w *World) readTopic(topic string, partitions int32) ([]*kgo.Record, error) {
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	for p := range partitions {
		if info := w.kafka.PartitionInfo(topic, p); info != nil && info.LastStableOffset > 0 {
			left[p], from[p] = info.LastStableOffset, kgo.NewOffset().AtStart()
			if info.LastStableOffset != info.HighWatermark {
				return nil, fmt.Errorf("a transaction hangs in %s/%d", topic, p)
			}
		}
	}
	client, err := w.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var list []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			for _, r := range f.Records {
				if !r.Attrs.IsControl() {
					list = append(list, r)
				}
				if r.Offset+1 >= left[r.Partition] {
					delete(left, r.Partition)
				}
			}
			if f.LogStartOffset >= left[f.Partition] {
				delete(left, f.Partition)
			}
		})
	}
	return list, nil
}

// row is one row of the table, as far as it is compared.
type row struct {
	place      place
	topic      string
	text       map[string]string // the string columns that are not NULL
	properties map[string]string
	n          []string // what the columns of the promoted path properties.n hold, those that are not NULL
	promoted   bool     // the object has such columns
	received   int64
	object     string
}

// readRows reads a Parquet object.
func readRows(key string, body []byte) ([]row, error) {
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	columns := file.Schema().Columns()
	reader := parquet.NewReader(file)
	defer func() { _ = reader.Close() }()
	var rows []row
	buf := make([]parquet.Row, 64)
	for {
		n, err := reader.ReadRows(buf)
		for _, r := range buf[:n] {
			rows = append(rows, rowOf(key, columns, r))
		}
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
	}
}

func rowOf(key string, columns [][]string, r parquet.Row) row {
	out := row{object: key, text: map[string]string{}, properties: map[string]string{}}
	var keys, values []string
	for _, v := range r {
		path := columns[v.Column()]
		name := path[0]
		ofN := name == "properties_n" || strings.HasPrefix(name, "properties_n__")
		out.promoted = out.promoted || ofN
		switch {
		case v.IsNull() && len(path) == 1:
		case ofN:
			out.n = append(out.n, v.String())
		case name == "kafkapartition":
			out.place.partition = v.Int32()
		case name == "kafkaoffset":
			out.place.offset = v.Int64()
		case name == "kafkatopic":
			out.topic = string(v.ByteArray())
		case name == "receivedat":
			out.received = v.Int64()
		case name == "properties" && path[len(path)-1] == "key" && !v.IsNull():
			keys = append(keys, string(v.ByteArray()))
		case name == "properties" && !v.IsNull():
			values = append(values, string(v.ByteArray()))
		case len(path) == 1 && v.Kind() == parquet.ByteArray:
			out.text[name] = string(v.ByteArray())
		}
	}
	for i := range min(len(keys), len(values)) {
		out.properties[keys[i]] = values[i]
	}
	return out
}

// readLines reads an object of the raw copy.
func readLines(key string, body []byte) ([][]byte, error) {
	var in io.Reader = bytes.NewReader(body)
	if strings.HasSuffix(key, ".gz") {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", key, err)
		}
		in = z
	} else {
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", key, err)
		}
		defer z.Close()
		in = z
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return nil, fmt.Errorf("read %s: the last line is not whole", key)
	}
	return bytes.SplitAfter(text, []byte("\n")), nil
}
