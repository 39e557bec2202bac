package account

import (
	"fmt"
	"maps"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// File is what a decided flush says of one of its objects.
type File struct {
	Topic     string
	Partition int32
	Table     string
	Key       string
	Manifest  string
	Bytes     int64
	Pending   bool // its flush is being published: it may not be visible yet
}

// Gone is a file that is not in the lake although its flush is published.
func (f File) Gone() Finding {
	return f.finding(NoObject, fmt.Sprintf("of %d bytes is not in the lake; flush %s", f.Bytes, f.Manifest))
}

// WrongSize is a file whose object has another size.
func (f File) WrongSize(bytes int64) Finding {
	return f.finding(WrongSize, fmt.Sprintf("has %d bytes, the manifest says %d; a repaired upload may differ: --rows tells; flush %s", bytes, f.Bytes, f.Manifest))
}

func (f File) finding(kind Kind, detail string) Finding {
	return Finding{Kind: kind, Topic: f.Topic, Partition: f.Partition, Table: f.Table, Key: f.Key, Detail: detail}
}

// Waiting notes that files of a flush that is being published are not visible yet.
func Waiting(topic string, partition int32, manifest string, files, of int) Finding {
	return Finding{Kind: InProgress, Topic: topic, Partition: partition, Key: manifest, Detail: fmt.Sprintf("%d of its %d files are not visible yet", files, of)}
}

// Orphaned is an object that no decided flush names. attempt is the manifest that
// does, "" = there is none.
func Orphaned(key, attempt string) Finding {
	detail := "no manifest names it; queries count its rows"
	if attempt != "" {
		detail = "only an attempt that no commit names has it, " + attempt + "; queries count its rows"
	}
	return Finding{Kind: Orphan, Partition: -1, Key: key, Detail: detail}
}

// GaveUpAndThere is an object that an operator has given up, because it was not there.
func GaveUpAndThere(key, manifest string) Finding {
	return Finding{Kind: Orphan, Partition: -1, Key: key, Detail: "an operator has given it up as not there, of flush " + manifest + ", and now it is: queries count its rows, some of them twice"}
}

// Forgive makes a note of the finding that an object has another size: its rows are
// the right ones.
func Forgive(f Finding) Finding {
	f.Kind, f.Detail = Repaired, f.Detail+"; its rows are right"
	return f
}

// Summary is a table's or a lake partition's share of one Kafka partition.
type Summary struct {
	Table    string `json:"table"`
	SourceID string `json:"sourceid,omitempty"`
	Day      string `json:"dt,omitempty"`
	Files    int    `json:"files"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
	First    int64  `json:"first"` // lowest and highest offset; -1 = none
	Last     int64  `json:"last"`
}

func (s *Summary) add(f *flush.File) {
	if s.Files == 0 || f.Offsets.Min() < s.First {
		s.First = f.Offsets.Min()
	}
	if s.Files == 0 || f.Offsets.Max() > s.Last {
		s.Last = f.Offsets.Max()
	}
	s.Files++
	s.Rows += f.Rows
	s.Bytes += f.Bytes
}

// Tables sums up the chain's files by table.
func (l *Ledger) Tables() []Summary {
	list := make([]Summary, 0, len(l.tables))
	for _, t := range l.tables {
		list = append(list, *l.sums[t])
	}
	return list
}

// Files counts a table's files in the chain.
func (l *Ledger) Files(table string) int { return l.sums[table].Files }

// End is the offset above the highest in a table's files.
func (l *Ledger) End(table string) int64 { return l.sums[table].Last + 1 }

// LakePartitions sums up the chain's files by lake partition.
func (l *Ledger) LakePartitions() []Summary {
	order := make(map[string]lake.Partition, len(l.parts))
	for p, s := range l.parts {
		order[s.Table+"\x00"+s.SourceID+"\x00"+s.Day] = p
	}
	list := make([]Summary, 0, len(l.parts))
	for _, key := range slices.Sorted(maps.Keys(order)) {
		list = append(list, l.parts[order[key]].Summary)
	}
	return list
}
