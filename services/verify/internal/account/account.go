// Package account proves from manifests that every record of a Kafka partition
// stands in exactly one file of every table, or is a dead letter. It trusts the
// committed state for what was decided, and nothing else: every manifest, set of
// offsets and object is compared with what its neighbours say of it. It reads
// nothing itself: the shell of services/verify gathers what stands in Kafka and in
// the lake, in an order that makes a running sink no fault. PURE; owned by the
// verify service.
package account

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Kind of a finding or a note.
type Kind string

// What is wrong, and makes verify fail.
const (
	Lost      Kind = "lost"       // records in no file of a table
	Doubled   Kind = "doubled"    // records in two files of a table, or in a file and among the dead letters
	NoObject  Kind = "no-object"  // a file of a published flush is not in the lake
	WrongSize Kind = "wrong-size" // its object has another size than the manifest says
	Orphan    Kind = "orphan"     // an object under a table that no decided flush names: queries count its rows
	Chain     Kind = "chain"      // manifests that do not follow one another
	State     Kind = "state"      // the committed offset and the manifests contradict each other
	WrongRows Kind = "wrong-rows" // an object holds other rows than its manifest says
	Unread    Kind = "unreadable" // an object that cannot be read
)

// What is worth knowing, and no fault.
const (
	InProgress  Kind = "in-progress"  // a decided flush is being published
	Undecided   Kind = "undecided"    // a manifest that no commit names: an attempt that was given up
	NotStarted  Kind = "not-started"  // nothing is committed, nothing was written
	NoRecords   Kind = "no-records"   // offsets that Kafka holds no record for: control records, aborted transactions
	BeyondProof Kind = "beyond-proof" // offsets in no file, and nobody can tell whether they were records
	Interleaved Kind = "interleaved"  // files of a lake partition whose ranges cross, without a record in common
	BeforeStart Kind = "before-start" // records below the offset at which the group began
)

// Finding is one thing that verify has to say, about as much as it knows.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"` // -1 = of no partition
	Table     string `json:"table,omitempty"`
	Offsets   Ranges `json:"offsets,omitempty"`
	Key       string `json:"key,omitempty"` // manifest or object
	Detail    string `json:"detail,omitempty"`
}

// Partition is what stands in Kafka and in the lake of one Kafka partition.
type Partition struct {
	Owner     lake.Owner
	Home      string // as this cluster, topic and lake have it; see flush.Home
	Committed bool
	State     flush.State
	StateErr  error                      // the committed metadata is not ours
	Manifests map[string]*flush.Manifest // by key: those that could be read, up to the committed seq
	Broken    map[string]error           // by key: those that could not be
	Keys      []string                   // of all manifests there, ascending; also those above the committed seq
	LogStart  int64                      // Kafka holds nothing below
}

// Ledger is the account of one partition.
type Ledger struct {
	p        Partition
	tables   []string
	Chain    []*flush.Manifest // decided, from seq 1 (or from where the chain broke)
	Whole    bool              // the chain reaches seq 1
	First    int64             // lowest offset that the chain accounts for
	Findings []Finding
	Notes    []Finding

	rows    map[string]*flush.Offsets // by table: in a file
	dead    *flush.Offsets
	covered map[string]Ranges // by table: in a file or a dead letter
	missing map[string]Ranges // by table: below low and not covered
}

// Open walks the chain and accounts for its offsets.
func Open(p Partition, tables []string) *Ledger {
	l := &Ledger{
		p: p, tables: tables, First: p.State.Low,
		rows: make(map[string]*flush.Offsets), dead: new(flush.Offsets),
		covered: make(map[string]Ranges), missing: make(map[string]Ranges),
	}
	for _, t := range tables {
		l.rows[t] = new(flush.Offsets)
	}
	if !l.readState() {
		return l
	}
	l.walk()
	l.leftOver()
	l.count()
	l.compareState()
	l.lakePartitions()
	return l
}

// readState says whether there is a chain to walk.
func (l *Ledger) readState() bool {
	p := l.p
	switch {
	case !p.Committed && len(p.Keys) == 0:
		l.note(NotStarted, Finding{Detail: "nothing is committed and there are no manifests"})
		return false
	case !p.Committed:
		l.find(State, Finding{Key: p.Keys[len(p.Keys)-1], Detail: "there are manifests, and no offset is committed: Kafka expired it, or the group was deleted"})
		return false
	case p.StateErr != nil:
		l.find(State, Finding{Detail: "the committed offset is not the sink's: " + p.StateErr.Error()})
		return false
	case p.State.Home != p.Home:
		l.find(State, Finding{Detail: "the committed offset belongs to another cluster, topic or lake"})
		return false
	case p.State.Seq == 0:
		l.Whole = true
		l.leftOver()
		l.beforeStart()
		return false
	}
	return true
}

// walk follows predecessors from the committed manifest down to seq 1.
func (l *Ledger) walk() {
	key := l.p.State.Manifest
	for seq := l.p.State.Seq; seq > 0; seq-- {
		m := l.p.Manifests[key]
		if what := l.link(m, key, seq); what != "" {
			l.find(Chain, Finding{Key: key, Detail: what})
			break
		}
		if n := len(l.Chain); n > 0 && l.Chain[n-1].Low != m.NextLow {
			l.find(Chain, Finding{Key: key, Detail: fmt.Sprintf("flush %d ends at low %d, flush %d begins at low %d", seq, m.NextLow, seq+1, l.Chain[n-1].Low)})
		}
		l.Chain = append(l.Chain, m)
		l.First = m.Low
		key = m.Predecessor
		l.Whole = seq == 1
	}
	slices.Reverse(l.Chain)
	if l.Whole && key != "" {
		l.find(Chain, Finding{Key: l.Chain[0].Key, Detail: "flush 1 names the predecessor " + key})
	}
	l.beforeStart()
}

// link says why m cannot be the flush seq of the chain, "" if it can.
func (l *Ledger) link(m *flush.Manifest, key string, seq uint64) string {
	err := l.p.Broken[key]
	switch {
	case key == "":
		return fmt.Sprintf("flush %d names no predecessor: flush %d cannot be found", seq+1, seq)
	case err != nil:
		return fmt.Sprintf("the manifest of flush %d cannot be read: %v", seq, err)
	case m == nil:
		return fmt.Sprintf("the manifest of flush %d is not there", seq)
	case m.Seq != seq:
		return fmt.Sprintf("should be flush %d, and is flush %d", seq, m.Seq)
	case m.Owner() != l.p.Owner:
		return fmt.Sprintf("belongs to partition %d of topic %s (%s), group %s", m.Partition, m.Topic, m.TopicID, m.Group)
	}
	return ""
}

func (l *Ledger) beforeStart() {
	if l.Whole && l.p.LogStart < l.First {
		l.note(BeforeStart, Finding{
			Offsets: Span(l.p.LogStart, l.First),
			Detail:  fmt.Sprintf("the group began at offset %d", l.First),
		})
	}
}

// leftOver lists the manifests that no commit names. Below a break in the chain
// nobody can tell which were decided.
func (l *Ledger) leftOver() {
	decided := make(map[string]struct{}, len(l.Chain))
	for _, m := range l.Chain {
		decided[m.Key] = struct{}{}
	}
	lowest := uint64(0)
	if !l.Whole {
		lowest = l.p.State.Seq - uint64(len(l.Chain)) + 1
	}
	for _, key := range l.p.Keys {
		_, seq, _, err := lake.ParseManifestKey(key)
		if _, ok := decided[key]; ok || err != nil || seq < lowest {
			continue
		}
		detail := "an attempt that was given up"
		if seq > l.p.State.Seq {
			detail = "an attempt that was given up, or the next flush"
		}
		l.note(Undecided, Finding{Key: key, Detail: detail})
	}
}

// pending is the flush that is decided and not yet published, nil if none.
func (l *Ledger) pending() *flush.Manifest {
	if l.p.State.Phase == flush.Intent && len(l.Chain) > 0 {
		return l.Chain[len(l.Chain)-1]
	}
	return nil
}

// count puts every offset of the chain into the books, and finds what stands twice
// and what is missing.
func (l *Ledger) count() {
	for _, m := range l.Chain {
		for i := range m.Files {
			l.countFile(m, &m.Files[i])
		}
		for _, d := range m.DeadLetters {
			if l.dead.Contains(d.Offset) {
				l.find(Doubled, Finding{Offsets: Span(d.Offset, d.Offset+1), Key: m.Key, Detail: "is a dead letter twice"})
			}
			l.dead.Add(d.Offset)
		}
	}
	dead := RangesOf(l.dead)
	everywhere := dead
	for _, t := range l.tables {
		inFiles := RangesOf(l.rows[t])
		everywhere = everywhere.And(inFiles)
		l.covered[t] = inFiles.Or(dead)
		l.missing[t] = Span(l.First, l.p.State.Low).Without(l.covered[t])
	}
	if len(everywhere) > 0 { // in some table only: a dead letter of the others
		l.find(Doubled, Finding{Offsets: everywhere, Detail: "are dead letters, and rows of every table too"})
	}
}

func (l *Ledger) countFile(m *flush.Manifest, f *flush.File) {
	rows := l.rows[f.Table]
	if rows == nil {
		l.find(Chain, Finding{Table: f.Table, Key: f.Key, Detail: "is of a table that this version does not know; flush " + m.Key})
		return
	}
	if n := f.Offsets.Len(); n != f.Rows {
		l.find(Chain, Finding{Table: f.Table, Key: f.Key, Detail: fmt.Sprintf("has %d rows of %d records; flush %s", f.Rows, n, m.Key)})
	}
	if f.Offsets.Common(rows) >= 0 {
		twice := RangesOf(f.Offsets).And(RangesOf(rows))
		l.find(Doubled, Finding{Table: f.Table, Offsets: twice, Key: f.Key, Detail: "are also in " + l.others(f)})
	}
	rows.Or(f.Offsets)
}

// others names the files before f that hold some of its offsets.
func (l *Ledger) others(f *flush.File) string {
	var names []string
	for _, m := range l.Chain {
		for i := range m.Files {
			o := &m.Files[i]
			if o == f {
				return strings.Join(names, ", ")
			}
			if o.Table == f.Table && o.Offsets.Common(f.Offsets) >= 0 {
				names = append(names, o.Key)
			}
		}
	}
	return strings.Join(names, ", ")
}

// compareState holds the last manifest against the committed state, and what it
// says is flushed ahead of low against the files.
func (l *Ledger) compareState() {
	if len(l.Chain) == 0 {
		return
	}
	last, s := l.Chain[len(l.Chain)-1], l.p.State
	want := last.NextLow
	if s.Phase == flush.Intent {
		want = last.Low
		l.note(InProgress, Finding{Key: last.Key, Detail: fmt.Sprintf("flush %d is decided and being published", last.Seq)})
	}
	if s.Low != want {
		l.find(State, Finding{Key: last.Key, Detail: fmt.Sprintf("offset %d is committed, the manifest says %d", s.Low, want)})
	}
	if !l.Whole {
		return // what was flushed before the break is not known
	}
	for _, t := range l.tables {
		said, is := RangesOf(last.Ahead[t]), from(l.covered[t], last.NextLow)
		if extra := said.Without(is); len(extra) > 0 {
			l.find(State, Finding{Table: t, Offsets: extra, Key: last.Key, Detail: "are remembered as flushed, and in no file: they will be passed over"})
		}
		if forgotten := is.Without(said); len(forgotten) > 0 {
			l.find(State, Finding{Table: t, Offsets: forgotten, Key: last.Key, Detail: "are flushed, and not remembered as such: they will be flushed again"})
		}
	}
}

func from(rs Ranges, low int64) Ranges {
	return rs.And(Span(low, math.MaxInt64))
}

// lakePartitions notes files of one lake partition whose ranges cross. That is
// legal, configuration may send a record elsewhere the second time, and it is rare.
func (l *Ledger) lakePartitions() {
	last := make(map[lake.Partition]*flush.File)
	for _, m := range l.Chain {
		for i := range m.Files {
			f := &m.Files[i]
			if before := last[f.Partition]; before != nil && f.Offsets.Min() < before.Offsets.Max() && before.Offsets.Common(f.Offsets) < 0 {
				l.note(Interleaved, Finding{
					Table: f.Table, Key: f.Key, Offsets: Span(f.Offsets.Min(), f.Offsets.Max()+1),
					Detail: "crosses " + before.Key,
				})
			}
			if before := last[f.Partition]; before == nil || f.Offsets.Max() > before.Offsets.Max() {
				last[f.Partition] = f
			}
		}
	}
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
// where Kafka's log began when held was read.
func (l *Ledger) Settle(held Ranges, logStart int64) {
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

// Covered is what a table accounts for, dead letters included.
func (l *Ledger) Covered(table string) Ranges { return l.covered[table] }

// Pending reports whether the files of m may not all be visible yet.
func (l *Ledger) Pending(m *flush.Manifest) bool { return l.pending() == m }

// Dead are the dead letters.
func (l *Ledger) Dead() *flush.Offsets { return l.dead }

// Unproven are manifests of which nobody can tell whether they were decided,
// because the chain does not reach them. Their files are no orphans.
func (l *Ledger) Unproven() []*flush.Manifest {
	if l.Whole || len(l.p.Manifests) == 0 {
		return nil
	}
	lowest := uint64(math.MaxUint64)
	if len(l.Chain) > 0 {
		lowest = l.Chain[0].Seq
	}
	var list []*flush.Manifest
	for _, key := range sortedKeys(l.p.Manifests) {
		if m := l.p.Manifests[key]; m.Seq < lowest {
			list = append(list, m)
		}
	}
	return list
}

// State is the committed state that the account was made from.
func (l *Ledger) State() flush.State { return l.p.State }

// Owner is the partition.
func (l *Ledger) Owner() lake.Owner { return l.p.Owner }

// Found adds what the shell has found of this partition.
func (l *Ledger) Found(kind Kind, f Finding) { l.find(kind, f) }

func (l *Ledger) find(kind Kind, f Finding) {
	l.Findings = append(l.Findings, l.fill(kind, f))
}

func (l *Ledger) note(kind Kind, f Finding) {
	l.Notes = append(l.Notes, l.fill(kind, f))
}

func (l *Ledger) fill(kind Kind, f Finding) Finding {
	f.Kind, f.Topic, f.Partition = kind, l.p.Owner.Topic, l.p.Owner.Partition
	return f
}

// sortedKeys makes reports repeatable.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
