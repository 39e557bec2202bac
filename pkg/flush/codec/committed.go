package codec

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"weir/pkg/flush"
	"weir/pkg/lake"
	flushv1 "weir/proto/weir/flush/v1"
)

// EncodeCommitted writes a notification as the value of a record of the flush topic.
func EncodeCommitted(n flush.Notification) ([]byte, error) {
	p := &flushv1.FlushCommitted{
		Group: n.Group, Topic: n.Topic, TopicId: n.TopicID.String(), Partition: n.Partition, Seq: n.Seq,
		Manifest: n.Manifest, Predecessor: n.Predecessor, Low: n.Low, NextLow: n.NextLow,
		DeadLetters: n.DeadLetters, CommittedAt: stamp(n.CommittedAt), Lake: n.Lake, Columns: n.Columns,
	}
	for _, f := range n.Files {
		p.Files = append(p.Files, &flushv1.CommittedFile{
			Table: f.Table, SourceId: f.Partition.SourceID, Dt: f.Partition.Day.String(), Key: f.Key,
			Rows: f.Rows, Bytes: f.Bytes, MinTime: stamp(f.MinTime), MaxTime: stamp(f.MaxTime),
		})
	}
	value, err := proto.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode the notification of %s: %w", n.Manifest, err)
	}
	return value, nil
}

// DecodeCommitted reads what EncodeCommitted wrote. Fields of a newer writer are passed over: a notification only
// says where the manifest is, which refuses what it does not understand.
func DecodeCommitted(value []byte) (flush.Notification, error) {
	n, err := decodeCommitted(value)
	if err != nil {
		return flush.Notification{}, fmt.Errorf("decode a notification: %w", err)
	}
	return n, nil
}

func decodeCommitted(value []byte) (flush.Notification, error) {
	var p flushv1.FlushCommitted
	if err := proto.Unmarshal(value, &p); err != nil {
		return flush.Notification{}, err
	}
	id, err := lake.ParseTopicID(p.TopicId)
	if err != nil {
		return flush.Notification{}, err
	}
	if p.Seq == 0 || p.Manifest == "" {
		return flush.Notification{}, fmt.Errorf("flush %d names manifest %q", p.Seq, p.Manifest)
	}
	n := flush.Notification{
		Files: make([]flush.NotifiedFile, 0, len(p.Files)),
		Group: p.Group, Topic: p.Topic, TopicID: id, Partition: p.Partition, Seq: p.Seq, Manifest: p.Manifest,
		Predecessor: p.Predecessor, Low: p.Low, NextLow: p.NextLow, DeadLetters: p.DeadLetters, CommittedAt: moment(p.CommittedAt),
		Lake: p.Lake, Columns: p.Columns,
	}
	for _, f := range p.Files {
		day, err := lake.ParseDay(f.Dt)
		if err != nil {
			return flush.Notification{}, fmt.Errorf("file %s: %w", f.Key, err)
		}
		n.Files = append(n.Files, flush.NotifiedFile{
			Table: f.Table, Partition: lake.Partition{Table: f.Table, SourceID: f.SourceId, Day: day}, Key: f.Key,
			Rows: f.Rows, Bytes: f.Bytes, MinTime: moment(f.MinTime), MaxTime: moment(f.MaxTime),
		})
	}
	return n, nil
}
