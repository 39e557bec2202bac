package account

import (
	"fmt"
	"math"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// books are what the chain's manifests say, added up.
type books struct {
	rows  map[string]*flush.Offsets // by table: in a file
	dead  *flush.Offsets
	sums  map[string]*Summary
	parts map[lake.Partition]*lakePartition

	covered map[string]Ranges // by table: in a file, a dead letter, or given up; from Close on
	missing map[string]Ranges // by table: below low and not covered

	DeadLetters int64
}

// lakePartition is the sum of one, and its oldest file read so far.
type lakePartition struct {
	Summary
	key         string
	first, last int64
}

func newBooks(tables []string) books {
	b := books{
		rows: make(map[string]*flush.Offsets), dead: new(flush.Offsets),
		sums: make(map[string]*Summary), parts: make(map[lake.Partition]*lakePartition),
		covered: make(map[string]Ranges), missing: make(map[string]Ranges),
	}
	for _, t := range tables {
		b.rows[t] = new(flush.Offsets)
		b.sums[t] = &Summary{Table: t, First: -1, Last: -1}
	}
	return b
}

// enter puts a manifest of the chain into the books.
func (l *Ledger) enter(m *flush.Manifest) {
	for i := range m.Files {
		if f := &m.Files[i]; !l.GaveUp(f.Key) {
			l.enterFile(m, f)
		}
	}
	for _, d := range m.DeadLetters {
		if l.gaveUpLetter(d.Offset) {
			continue
		}
		if l.dead.Contains(d.Offset) && !l.again.has(d.Offset) { // produced again it has the same place, by which readers know it
			l.find(Doubled, Finding{Offsets: Span(d.Offset, d.Offset+1), Key: m.Key, Detail: "is a dead letter twice"})
		}
		l.dead.Add(d.Offset)
	}
}

func (l *Ledger) enterFile(m *flush.Manifest, f *flush.File) {
	rows := l.rows[f.Table]
	if rows == nil {
		l.find(Chain, Finding{Table: f.Table, Key: f.Key, Detail: "is of a table that this version does not know; flush " + m.Key})
		return
	}
	if n := f.Offsets.Len(); n != f.Rows {
		l.find(Chain, Finding{Table: f.Table, Key: f.Key, Detail: fmt.Sprintf("has %d rows of %d records; flush %s", f.Rows, n, m.Key)})
	}
	twice := f.Offsets.Common(rows) >= 0
	if twice {
		l.double(f, rows)
	}
	rows.Or(f.Offsets)
	l.sums[f.Table].add(f)
	l.enterPartition(f, twice)
}

// enterPartition adds to the lake partition, and notes where two of its files cross.
// That is legal, configuration may send a record elsewhere the second time, and it is
// rare.
func (l *Ledger) enterPartition(f *flush.File, twice bool) {
	p := l.parts[f.Partition]
	first, last := f.Offsets.Min(), f.Offsets.Max()
	if p == nil {
		p = &lakePartition{Summary: Summary{Table: f.Table, SourceID: f.Partition.SourceID, Day: f.Partition.Day.String()}, key: f.Key, first: first, last: last}
		l.parts[f.Partition] = p
	} else if p.first < last && !twice {
		l.note(Interleaved, Finding{Table: f.Table, Key: p.key, Offsets: Span(p.first, p.last+1), Detail: "crosses " + f.Key})
	}
	p.add(f)
	if first <= p.first {
		p.key, p.first, p.last = f.Key, first, last
	}
}

// Close ends the reading of the chain and finds what is missing.
func (l *Ledger) Close() {
	l.beforeStart()
	dead, lost := RangesOf(l.dead), RangesOf(l.lost)
	everywhere, inAll := dead, Span(0, math.MaxInt64)
	for _, t := range l.tables {
		inFiles := RangesOf(l.rows[t])
		everywhere, inAll = everywhere.And(inFiles), inAll.And(inFiles)
		l.covered[t] = inFiles.Or(dead).Or(lost)
		l.missing[t] = Span(l.First, l.p.State.Low).Without(l.covered[t])
	}
	l.DeadLetters = l.dead.Len()
	if len(everywhere) > 0 { // in some table only: a dead letter of the others
		l.find(Doubled, Finding{Offsets: everywhere, Detail: "are dead letters, and rows of every table too"})
	}
	l.closeGivenUp(lost.Without(inAll).Without(dead))
	l.compareState()
}

func from(rs Ranges, low int64) Ranges {
	return rs.And(Span(low, math.MaxInt64))
}

// Missing is what no table or not every table accounts for below low.
func (l *Ledger) Missing() Ranges {
	var all Ranges
	for _, t := range l.tables {
		all = all.Or(l.missing[t])
	}
	return all
}

// Settle judges what is missing by what Kafka holds of it now. An offset that one
// table has and another lacks was a record, whatever Kafka still knows. logStart is
// where Kafka's log began when held was read. It ends the account: the sets go.
func (l *Ledger) Settle(held Ranges, logStart int64) {
	l.settle(held, logStart)
	l.rows, l.covered, l.missing, l.dead, l.lost = nil, nil, nil, nil, nil
}

func (l *Ledger) settle(held Ranges, logStart int64) {
	if !l.Whole {
		if missing := l.Missing(); len(missing) > 0 {
			l.note(BeyondProof, Finding{Offsets: missing, Detail: "are in no file of the flushes after the break in the chain"})
		}
		return
	}
	var proven Ranges
	for _, t := range l.tables {
		proven = proven.Or(l.covered[t])
	}
	proven = proven.Or(held)
	var silent, beyond Ranges
	for _, t := range l.tables {
		if lost := l.missing[t].And(proven); len(lost) > 0 {
			l.find(Lost, Finding{Table: t, Offsets: lost, Detail: fmt.Sprintf("%d records are in no file of the table", lost.Len())})
		}
		rest := l.missing[t].Without(proven)
		beyond = beyond.Or(rest.And(Span(0, logStart)))
		silent = silent.Or(from(rest, logStart))
	}
	if len(silent) > 0 {
		l.note(NoRecords, Finding{Offsets: silent, Detail: "Kafka holds no record there: control records or aborted transactions"})
	}
	if len(beyond) > 0 {
		l.note(BeyondProof, Finding{Offsets: beyond, Detail: "are in no file, and Kafka's retention has removed them: records or control records"})
	}
}
