package account

import (
	"strings"

	"weir/pkg/flush"
)

// doubles are the records that stand in two files of a table, and these files.
type doubles struct {
	twice map[string]*flush.Offsets // by table
	named []doubledFile             // that hold some of twice, as Name was given them
}

type doubledFile struct {
	table, key string
	offsets    *flush.Offsets // those of twice
}

func (l *Ledger) double(f *flush.File, rows *flush.Offsets) {
	if l.twice == nil {
		l.twice = make(map[string]*flush.Offsets)
	}
	if l.twice[f.Table] == nil {
		l.twice[f.Table] = new(flush.Offsets)
	}
	for o := range f.Offsets.All() {
		if rows.Contains(o) {
			l.twice[f.Table].Add(o)
		}
	}
}

// Twice reports whether the chain must be named once more, from the first manifest to
// the last, to tell which files hold the records that stand in two.
func (l *Ledger) Twice() bool { return len(l.twice) > 0 }

// Name remembers the files of m that hold records twice.
func (l *Ledger) Name(m *flush.Manifest) {
	for i := range m.Files {
		f := &m.Files[i]
		twice := l.twice[f.Table]
		if l.GaveUp(f.Key) || f.Offsets.Common(twice) < 0 {
			continue
		}
		some := new(flush.Offsets)
		for o := range f.Offsets.All() {
			if twice.Contains(o) {
				some.Add(o)
			}
		}
		l.named = append(l.named, doubledFile{f.Table, f.Key, some})
	}
}

// Doubles finds each named file that holds records of files before it.
func (l *Ledger) Doubles() {
	for i, f := range l.named {
		here := RangesOf(f.offsets)
		var there Ranges
		var names []string
		for _, o := range l.named[:i] {
			if common := here.And(RangesOf(o.offsets)); o.table == f.table && len(common) > 0 {
				there, names = there.Or(common), append(names, o.key)
			}
		}
		others := strings.Join(names, ", ")
		if expected := there.And(l.again); len(expected) > 0 {
			l.find(Doubled, Finding{Table: f.table, Offsets: expected, Key: f.key, Detail: "are also in " + others + ": as expected, an operator had them read again"})
		}
		if rest := there.Without(l.again); len(rest) > 0 {
			l.find(Doubled, Finding{Table: f.table, Offsets: rest, Key: f.key, Detail: "are also in " + others})
		}
	}
	l.twice, l.named = nil, nil
}
