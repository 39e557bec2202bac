// Package codec writes what the flush protocol remembers: manifests as protobuf's JSON form (objects in S3, which
// people read too), notifications as protobuf (records of the flush topic), the gate's memory as JSON. Its
// invariant: what it wrote it reads back equal, the same value is the same bytes, and a format newer than its own is
// refused. Fields that it does not know are passed over within a format: whoever adds a field that a reader must not
// miss counts the format up. It knows the wire and nothing of the protocol, which is pkg/flush's; it does no I/O.
package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"weir/pkg/flush"
	"weir/pkg/lake"
	flushv1 "weir/proto/weir/flush/v1"
)

// EncodeManifest writes m, its Key left out: the object's own key says it.
func EncodeManifest(m *flush.Manifest) ([]byte, error) {
	p := &flushv1.Manifest{
		Format: max(int32(m.Format), flush.Format), ClusterId: m.ClusterID, Group: m.Group, Topic: m.Topic, TopicId: m.TopicID.String(),
		Partition: m.Partition, Seq: m.Seq, FlushId: m.FlushID, MemberId: m.MemberID, Generation: m.Generation,
		Bucket: m.Bucket, Predecessor: m.Predecessor, Low: m.Low, NextLow: m.NextLow, LeaderEpoch: m.LeaderEpoch,
		Bundle: m.Bundle, Columns: m.Columns, Trigger: m.Trigger, CreatedAt: stamp(m.CreatedAt), Dropped: m.Dropped, Shapes: m.Shapes,
	}
	names := make(columnNames)
	for i := range m.Files {
		f, err := encodeFile(&m.Files[i], names)
		if err != nil {
			return nil, fmt.Errorf("encode manifest %s: %w", m.Key, err)
		}
		p.Files = append(p.Files, f)
	}
	p.ColumnNames = names.list()
	for _, d := range m.DeadLetters {
		p.DeadLetters = append(p.DeadLetters, &flushv1.DeadLetter{Offset: d.Offset, Reason: d.Reason})
	}
	ahead, err := encodeAhead(m.Ahead)
	if err != nil {
		return nil, fmt.Errorf("encode manifest %s: %w", m.Key, err)
	}
	p.Ahead = ahead
	if p.Lost, err = encodeSet(m.Lost); err != nil {
		return nil, fmt.Errorf("encode manifest %s: lost offsets: %w", m.Key, err)
	}
	if p.Again, err = encodeSet(m.Again); err != nil {
		return nil, fmt.Errorf("encode manifest %s: offsets to be read again: %w", m.Key, err)
	}
	text, err := protojson.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode manifest %s: %w", m.Key, err)
	}
	var body bytes.Buffer // protojson varies its white space on purpose
	if err := json.Compact(&body, text); err != nil {
		return nil, fmt.Errorf("encode manifest %s: %w", m.Key, err)
	}
	return body.Bytes(), nil
}

// DecodeManifest reads the manifest that stands under key. Refused are a newer format, sets of offsets that do not fit
// their files, and a manifest that says that it belongs under another key.
func DecodeManifest(key string, body []byte) (*flush.Manifest, error) {
	m, err := decodeManifest(body)
	if err != nil {
		return nil, fmt.Errorf("decode manifest %s: %w", key, err)
	}
	if own := m.Owner().ManifestKey(m.Seq, m.FlushID); own != key {
		return nil, fmt.Errorf("decode manifest %s: it belongs under %s", key, own)
	}
	m.Key = key
	return m, nil
}

func decodeManifest(body []byte) (*flush.Manifest, error) {
	var head struct{ Format int32 }
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, err
	}
	if head.Format < 1 || head.Format > flush.RecoveryFormat {
		return nil, fmt.Errorf("format %d, this version of weir reads up to %d: run the version that wrote it, or a newer one", head.Format, flush.RecoveryFormat)
	}
	var p flushv1.Manifest
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &p); err != nil {
		return nil, err
	}
	id, err := lake.ParseTopicID(p.TopicId)
	if err != nil {
		return nil, err
	}
	m := &flush.Manifest{
		Format: int(p.Format), ClusterID: p.ClusterId, Group: p.Group, Topic: p.Topic, TopicID: id,
		Partition: p.Partition, Seq: p.Seq, FlushID: p.FlushId, MemberID: p.MemberId, Generation: p.Generation,
		Bucket: p.Bucket, Predecessor: p.Predecessor, Low: p.Low, NextLow: p.NextLow, LeaderEpoch: p.LeaderEpoch,
		Bundle: p.Bundle, Columns: p.Columns, Trigger: p.Trigger, CreatedAt: moment(p.CreatedAt), Dropped: p.Dropped, Shapes: p.Shapes,
	}
	for _, f := range p.Files {
		file, err := decodeFile(f, p.ColumnNames)
		if err != nil {
			return nil, err
		}
		if file.UploadID == "" && m.Bundle == "" {
			return nil, fmt.Errorf("file %s has neither an upload nor a bundle", file.Key)
		}
		m.Files = append(m.Files, file)
	}
	if m.Lost, err = decodeSet(p.Lost); err != nil {
		return nil, fmt.Errorf("lost offsets: %w", err)
	}
	if m.Again, err = decodeSet(p.Again); err != nil {
		return nil, fmt.Errorf("offsets to be read again: %w", err)
	}
	gives := !m.Lost.Empty() || !m.Again.Empty() || len(m.Dropped) > 0 || m.NextLow < m.Low
	if m.Seq == 0 || m.Partition < 0 || m.Low < 0 || m.NextLow < 0 || gives && m.Format != flush.RecoveryFormat {
		return nil, fmt.Errorf("seq %d of partition %d, low %d → %d, cannot be in format %d", m.Seq, m.Partition, m.Low, m.NextLow, m.Format)
	}
	for _, d := range p.DeadLetters {
		m.DeadLetters = append(m.DeadLetters, flush.DeadLetter{Offset: d.Offset, Reason: d.Reason})
	}
	m.Ahead, err = decodeAhead(p.Ahead)
	return m, err
}

// encodeSet writes nothing for a set that may be missing.
func encodeSet(o *flush.Offsets) ([]byte, error) {
	if o.Empty() {
		return nil, nil
	}
	return o.MarshalBinary()
}

func decodeSet(b []byte) (*flush.Offsets, error) {
	if len(b) == 0 {
		return nil, nil
	}
	o := new(flush.Offsets)
	return o, o.UnmarshalBinary(b)
}

func encodeFile(f *flush.File, names columnNames) (*flushv1.File, error) {
	offsets, err := f.Offsets.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", f.Key, err)
	}
	p := &flushv1.File{
		Table: f.Table, SourceId: f.Partition.SourceID, Dt: f.Partition.Day.String(), Key: f.Key, UploadId: f.UploadID, BundleAt: f.BundleAt,
		Rows: f.Rows, Bytes: f.Bytes, Offsets: offsets, MinTime: stamp(f.MinTime), MaxTime: stamp(f.MaxTime),
		ColumnBytes: names.encode(f.Columns),
	}
	for _, part := range f.Parts {
		p.Parts = append(p.Parts, &flushv1.Part{Number: part.Number, Etag: part.ETag, Crc32: part.CRC32, Bytes: part.Bytes})
	}
	return p, nil
}

func decodeFile(p *flushv1.File, names []string) (flush.File, error) {
	day, err := lake.ParseDay(p.Dt)
	if err != nil {
		return flush.File{}, fmt.Errorf("file %s: %w", p.Key, err)
	}
	f := flush.File{
		Table: p.Table, Partition: lake.Partition{Table: p.Table, SourceID: p.SourceId, Day: day}, Key: p.Key,
		UploadID: p.UploadId, BundleAt: p.BundleAt, Rows: p.Rows, Bytes: p.Bytes, Offsets: new(flush.Offsets),
		MinTime: moment(p.MinTime), MaxTime: moment(p.MaxTime),
	}
	if err := f.Offsets.UnmarshalBinary(p.Offsets); err != nil {
		return flush.File{}, fmt.Errorf("offsets of %s: %w", p.Key, err)
	}
	if f.Offsets.Len() != f.Rows {
		return flush.File{}, fmt.Errorf("file %s has %d rows and %d offsets", p.Key, f.Rows, f.Offsets.Len())
	}
	if f.Columns, err = decodeColumns(p.ColumnBytes, names); err != nil {
		return flush.File{}, fmt.Errorf("column bytes of %s: %w", p.Key, err)
	}
	for _, part := range p.Parts {
		f.Parts = append(f.Parts, flush.Part{Number: part.Number, ETag: part.Etag, CRC32: part.Crc32, Bytes: part.Bytes})
	}
	return f, nil
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(p *timestamppb.Timestamp) time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.AsTime()
}
