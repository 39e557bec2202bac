package flush

import (
	"time"

	"weir/pkg/lake"
)

// Formats of manifests. Newer ones are refused.
const (
	Format         = 1 // of every manifest but recovery's: older code reads it too
	RecoveryFormat = 2 // of those that give something up
)

// Part is one uploaded part of a multipart upload.
type Part struct {
	Number int32  // from 1
	ETag   string // as S3 gave it, quotes included
	CRC32  string // base64 of the big-endian checksum, as S3 wants it; "" when the store gives none
	Bytes  int64
}

// File is one object of a flush.
type File struct {
	Table     string
	Partition lake.Partition
	Key       string // relative to the lake; never reused
	UploadID  string // "" = the file is small: it lies in the manifest's bundle
	Parts     []Part
	BundleAt  int64 // where it begins there
	Rows      int64
	Bytes     int64
	Offsets   *Offsets // of its rows; as many as Rows
	MinTime   time.Time
	MaxTime   time.Time          // receivedAt of its rows, lowest and highest
	Columns   []lake.ColumnBytes // by name; nil = not known, or it has no columns
}

// DeadLetter is one record that is no event.
type DeadLetter struct {
	Offset int64
	Reason string
}

// Manifest describes one flush attempt. It is immutable once it is put; it counts only if a commit names it (I1).
type Manifest struct {
	Key         string // its own key, relative to the lake; not serialized
	Format      int
	ClusterID   string
	Group       string
	Topic       string
	TopicID     lake.TopicID
	Partition   int32
	Seq         uint64 // from 1, without gaps
	FlushID     string
	MemberID    string
	Generation  int32
	Bucket      string
	Predecessor string // key of the manifest of Seq-1, "" for seq 1
	Low         int64  // committed when it was written
	NextLow     int64  // committed once it is published
	LeaderEpoch int32  // of the newest record that was read; -1 = unknown
	Bundle      string // key of the object that holds the small files, "" when there is none
	Columns     int64  // version of the registry that knows every promoted column of the files; 0 = they have none
	Trigger     string // why it was cut
	CreatedAt   time.Time
	Files       []File
	DeadLetters []DeadLetter        // by ascending offset
	Ahead       map[string]*Offsets // per table: what is flushed at NextLow and above; no empty sets
	Shapes      []byte              // what the events of its rows have, each once, as the codec packs it; nil = nobody noted it

	// What a person gave up with this flush, nil = nothing (I12).
	Lost  *Offsets // records that some table will never have, of this flush or an earlier one; they count as flushed
	Again *Offsets // what may have been flushed at NextLow and above and is read again: its rows may stand twice
	// Dropped are the keys of files of the flush before that were never there. What Kafka still holds of their rows is
	// flushed again, so that NextLow may be below Low.
	Dropped []string
}

// Owner is the ownership that wrote the manifest.
func (m *Manifest) Owner() lake.Owner {
	return lake.Owner{Group: m.Group, Topic: m.Topic, TopicID: m.TopicID, Partition: m.Partition}
}

// NotifiedFile is what the catalog learns of a File.
type NotifiedFile struct {
	Table     string
	Partition lake.Partition
	Key       string
	Rows      int64
	Bytes     int64 // as seen by who published
	MinTime   time.Time
	MaxTime   time.Time
}

// Notification tells the catalog that a flush is published.
type Notification struct {
	Group       string
	Topic       string
	TopicID     lake.TopicID
	Partition   int32
	Seq         uint64
	Manifest    string // its key
	Predecessor string // "" for seq 1
	Low         int64
	NextLow     int64
	Files       []NotifiedFile
	DeadLetters int64 // how many
	CommittedAt time.Time
	Columns     int64  // as in Manifest
	Lake        string // that it is in, as s3://bucket/prefix; "" from a sink that did not say yet
}

// In tells whether n speaks of a flush in that lake. Lakes may share a flush topic, and each has gates of its own. One
// that does not say is judged: before it could be said there was one lake to a flush topic.
func (n Notification) In(lake string) bool { return n.Lake == "" || n.Lake == lake }

// Notification describes the manifest's flush, sizes as planned.
func (m *Manifest) Notification(at time.Time) Notification {
	n := Notification{
		Group: m.Group, Topic: m.Topic, TopicID: m.TopicID, Partition: m.Partition, Seq: m.Seq,
		Manifest: m.Key, Predecessor: m.Predecessor, Low: m.Low, NextLow: m.NextLow, Columns: m.Columns,
		Files: make([]NotifiedFile, len(m.Files)), DeadLetters: int64(len(m.DeadLetters)), CommittedAt: at,
	}
	for i := range m.Files {
		f := &m.Files[i]
		n.Files[i] = NotifiedFile{
			Table: f.Table, Partition: f.Partition, Key: f.Key, Rows: f.Rows, Bytes: f.Bytes,
			MinTime: f.MinTime, MaxTime: f.MaxTime,
		}
	}
	return n
}
