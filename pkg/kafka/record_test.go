package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// fetched is a record of a timestamp as the client makes it of a fetch's bytes.
func fetched(t require.TestingT, millis int64) *kgo.Record {
	inner := kmsg.Record{Value: []byte("v")}
	text := inner.AppendTo(nil)
	inner.Length = int32(len(text) - 1) // it counts what follows it
	batch := kmsg.RecordBatch{
		Magic: 2, FirstTimestamp: millis, MaxTimestamp: millis, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: inner.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)
	raw = batch.AppendTo(nil)
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	binary.BigEndian.PutUint32(raw[17:], uint32(batch.CRC))
	part := kmsg.NewFetchResponseTopicPartition()
	part.RecordBatches = raw
	p, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &part, kgo.DefaultDecompressor(), nil)
	require.NoError(t, p.Err)
	require.Len(t, p.Records, 1)
	return p.Records[0]
}

func TestTimestampsAreKafkas(t *testing.T) {
	var r event.Record
	same := func(t require.TestingT, millis int64) {
		FromKgo(&r, fetched(t, millis), lake.TopicID{9})
		require.Equal(t, millis, r.Timestamp.UnixMilli())
	}
	for _, millis := range []int64{
		event.NoTimestamp, 0, 1, 1_764_000_000_123, -2,
		9_223_372_036_854, 9_223_372_036_855, -9_223_372_036_855, // around the last nanosecond of an int64
		32_503_680_000_000, 253_402_300_799_999, 253_402_300_800_000, // the years 3000, 9999, 10000
		1_764_000_000_123_000, // microseconds that somebody took for milliseconds
		1<<57 - 1, -1 << 57,
	} {
		same(t, millis)
	}
	rapid.Check(t, func(t *rapid.T) { same(t, rapid.Int64Range(-1<<57, 1<<57-1).Draw(t, "millis")) })

	// The greatest number looks like no timestamp: no row, which is what matters.
	FromKgo(&r, fetched(t, math.MaxInt64), lake.TopicID{9})
	r.Key, r.Value = []byte("s"), []byte(`{"type":"track"}`)
	require.Equal(t, event.BadReceivedAt, new(event.View).Decode(&r))

	odd := time.Unix(0, 65) // none of the client's
	FromKgo(&r, &kgo.Record{Timestamp: odd}, lake.TopicID{9})
	require.True(t, odd.Equal(r.Timestamp))
}

func TestTheOldestFormatHasNoTimestamp(t *testing.T) {
	message := kmsg.MessageV0{Offset: 5, Value: []byte("v")}
	message.MessageSize = int32(len(message.AppendTo(nil)) - 12)
	raw := message.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[12:], crc32.ChecksumIEEE(raw[16:]))
	part := kmsg.NewFetchResponseTopicPartition()
	part.RecordBatches = raw
	p, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{}, &part, kgo.DefaultDecompressor(), nil)
	require.NoError(t, p.Err)
	require.Len(t, p.Records, 1)
	var r event.Record
	FromKgo(&r, p.Records[0], lake.TopicID{9})
	require.EqualValues(t, event.NoTimestamp, r.Timestamp.UnixMilli())
}
