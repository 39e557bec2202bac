package account

import (
	"fmt"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Objects are those that are visible under the tables' folders: bytes by key.
type Objects map[string]int64

// Unlisted are the keys of decided files that the listing does not have. The
// listing is older than the committed state, so each is to be looked at again.
func (l *Ledger) Unlisted(objects Objects) []string {
	var keys []string
	for _, m := range l.Chain {
		for i := range m.Files {
			if _, ok := objects[m.Files[i].Key]; !ok {
				keys = append(keys, m.Files[i].Key)
			}
		}
	}
	return keys
}

// Objects compares the chain's files with the objects, each of which named gets
// to hear of.
func (l *Ledger) Objects(objects Objects, named func(key string)) {
	for _, m := range l.Chain {
		var waiting int
		for i := range m.Files {
			f := &m.Files[i]
			named(f.Key)
			bytes, ok := objects[f.Key]
			switch {
			case !ok && l.Pending(m):
				waiting++
			case !ok:
				l.find(NoObject, Finding{Table: f.Table, Key: f.Key, Offsets: RangesOf(f.Offsets), Detail: "is not in the lake; flush " + m.Key})
			case bytes != f.Bytes:
				l.find(WrongSize, Finding{
					Table: f.Table, Key: f.Key, Offsets: RangesOf(f.Offsets),
					Detail: fmt.Sprintf("has %d bytes, the manifest says %d; a repaired upload may differ: --rows tells", bytes, f.Bytes),
				})
			}
		}
		if waiting > 0 {
			l.note(InProgress, Finding{Key: m.Key, Detail: fmt.Sprintf("%d of its %d files are not visible yet", waiting, len(m.Files))})
		}
	}
}

// Forgive takes back that an object has another size: its rows are the right ones.
func (l *Ledger) Forgive(key string) {
	for i, f := range l.Findings {
		if f.Kind == WrongSize && f.Key == key {
			f.Kind, f.Detail = Repaired, f.Detail+"; its rows are right"
			l.Notes = append(l.Notes, f)
			l.Findings = append(l.Findings[:i], l.Findings[i+1:]...)
			return
		}
	}
}

// Repaired notes an object of another size whose rows are the right ones.
const Repaired Kind = "repaired"

// Orphans are the objects that no decided file is. undecided are the keys that the
// manifests of attempts name, and who names them.
func Orphans(objects Objects, named map[string]struct{}, undecided map[string]string) []Finding {
	var found []Finding
	for _, key := range sortedKeys(objects) {
		if _, ok := named[key]; ok {
			continue
		}
		detail := "no manifest names it; queries count its rows"
		if m, ok := undecided[key]; ok {
			detail = "only an attempt that no commit names has it, " + m + "; queries count its rows"
		}
		found = append(found, Finding{Kind: Orphan, Partition: -1, Key: key, Detail: detail})
	}
	return found
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
	var list []Summary
	for _, t := range l.tables {
		s := Summary{Table: t, First: -1, Last: -1}
		l.each(func(f *flush.File) {
			if f.Table == t {
				s.add(f)
			}
		})
		list = append(list, s)
	}
	return list
}

// LakePartitions sums up the chain's files by lake partition.
func (l *Ledger) LakePartitions() []Summary {
	sums := make(map[lake.Partition]*Summary)
	order := make(map[string]lake.Partition)
	l.each(func(f *flush.File) {
		s := sums[f.Partition]
		if s == nil {
			s = &Summary{Table: f.Table, SourceID: f.Partition.SourceID, Day: f.Partition.Day.String()}
			sums[f.Partition] = s
			order[s.Table+"\x00"+s.SourceID+"\x00"+s.Day] = f.Partition
		}
		s.add(f)
	})
	list := make([]Summary, 0, len(sums))
	for _, key := range sortedKeys(order) {
		list = append(list, *sums[order[key]])
	}
	return list
}

func (l *Ledger) each(do func(*flush.File)) {
	for _, m := range l.Chain {
		for i := range m.Files {
			do(&m.Files[i])
		}
	}
}
