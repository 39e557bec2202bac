package flush

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cut is what the sink wants to flush: sealed files whose parts are all uploaded or that are staged, and dead letters. The Machine keeps the
// files' sets of offsets: nobody adds to them afterwards.
type Cut struct {
	FlushID     string // UUIDv7, never used before
	Trigger     string // for people: size, age, memory, drain
	CreatedAt   time.Time
	MemberID    string // of this ownership's pin, for people
	Generation  int32
	LeaderEpoch int32  // of the newest record that was read; -1 = unknown
	Bundle      string // key of the bundle, which is stored; "" when no file lies in one
	Columns     int64  // version of the registry that knows every promoted column of the files
	Files       []File
	DeadLetters []DeadLetter
	Shapes      []byte // what the events of the files' rows have, packed; the Machine does not look at it
	// Position: every record below it is in a file of this cut, in Pending, flushed before, or a dead letter of this cut.
	Position int64
	Pending  []PendingFile // every open file that this cut leaves out; records of no other file are below Position
}

// PendingFile is an open file that a cut leaves out. It holds the next low back.
type PendingFile struct {
	Table string
	Min   int64 // lowest offset of its rows
}

// Cut begins a flush. It may be called only while the last effect is None. A cut that contradicts what is flushed is a
// fault in the sink; it stops the partition while nothing is decided.
func (m *Machine) Cut(c Cut) Effect {
	if m.doing.Op.Terminal() {
		return m.doing
	}
	if m.doing.Op != None {
		return m.stop(CauseOutOfStep, m.tryAgain(), "a cut while performing "+m.doing.Op.String(), nil)
	}
	next, what := m.add(c)
	if what != "" {
		return m.stop(CauseBadCut, m.tryAgain(), fmt.Sprintf("flush %s cannot be: %s", c.FlushID, what), nil)
	}
	m.adopt(m.manifest(c, next))
	return m.do(Effect{Op: PutManifest, Manifest: m.flush})
}

// adopt makes f the flush that is being published.
func (m *Machine) adopt(f *Manifest) {
	m.flush, m.lost, m.lostWhy, m.lettersLost, m.sizes = f, nil, nil, false, make([]int64, len(f.Files))
	for i := range f.Files {
		m.sizes[i] = f.Files[i].Bytes
	}
}

// nextLow is the first record that is not yet in every table (I2).
func nextLow(c Cut) int64 {
	low := c.Position
	for _, p := range c.Pending {
		low = min(low, p.Min)
	}
	return low
}

func (m *Machine) manifest(c Cut, flushed map[string]*Offsets) *Manifest {
	k, low := m.known, nextLow(c)
	f := &Manifest{
		Key:    k.Owner.ManifestKey(m.state.Seq+1, c.FlushID),
		Format: Format, ClusterID: k.ClusterID, Bucket: k.Bucket,
		Group: k.Owner.Group, Topic: k.Owner.Topic, TopicID: k.Owner.TopicID, Partition: k.Owner.Partition,
		Seq: m.state.Seq + 1, FlushID: c.FlushID, MemberID: c.MemberID, Generation: c.Generation,
		Predecessor: m.state.Manifest, Low: m.state.Low, NextLow: low, LeaderEpoch: c.LeaderEpoch,
		Bundle: c.Bundle, Columns: c.Columns, Trigger: c.Trigger, CreatedAt: c.CreatedAt,
		Files: slices.Clone(c.Files), DeadLetters: slices.Clone(c.DeadLetters), Ahead: map[string]*Offsets{},
		Shapes: c.Shapes,
	}
	slices.SortFunc(f.DeadLetters, func(a, b DeadLetter) int { return int(a.Offset - b.Offset) })
	for table, set := range flushed {
		if ahead := set.From(low); !ahead.Empty() {
			f.Ahead[table] = ahead
		}
	}
	return f
}

// add returns what is flushed per table once the cut is published, or what is wrong with the cut (I3).
func (m *Machine) add(c Cut) (map[string]*Offsets, string) {
	if c.FlushID == "" || !plain(c.FlushID) {
		return nil, "the flush id cannot stand in a key"
	}
	if c.Position < m.state.Low {
		return nil, fmt.Sprintf("position %d is below low %d", c.Position, m.state.Low)
	}
	flushed := make(map[string]*Offsets, len(m.known.Tables))
	for table, set := range m.flushed {
		flushed[table] = set.Clone()
	}
	for _, table := range m.known.Tables {
		if flushed[table] == nil {
			flushed[table] = new(Offsets)
		}
	}
	for i := range c.Files {
		if what := m.addFile(flushed, &c.Files[i], c.Position); what != "" {
			return nil, what
		}
	}
	if what := m.addLetters(flushed, c); what != "" {
		return nil, what
	}
	for _, p := range c.Pending {
		if set := flushed[p.Table]; set == nil || p.Min < m.state.Low || set.Contains(p.Min) {
			return nil, fmt.Sprintf("the pending file of table %s begins with record %d, which is flushed", p.Table, p.Min)
		}
	}
	return flushed, ""
}

func (m *Machine) addFile(flushed map[string]*Offsets, f *File, position int64) string {
	set := flushed[f.Table]
	switch {
	case set == nil || !slices.Contains(m.known.Tables, f.Table):
		return fmt.Sprintf("%s is of unknown table %s", f.Key, f.Table)
	case f.Offsets.Empty() || f.Offsets.Len() != f.Rows:
		return fmt.Sprintf("%s has %d rows of %d records", f.Key, f.Rows, f.Offsets.Len())
	case f.Offsets.Min() < m.state.Low || f.Offsets.Max() >= position:
		return fmt.Sprintf("%s holds records %s, outside low %d and position %d", f.Key, f.Offsets, m.state.Low, position)
	}
	if twice := f.Offsets.Common(set); twice >= 0 {
		return fmt.Sprintf("%s holds record %d, which is flushed", f.Key, twice)
	}
	set.Or(f.Offsets)
	return ""
}

// addLetters counts each dead letter as flushed in every table that it did not reach.
func (m *Machine) addLetters(flushed map[string]*Offsets, c Cut) string {
	seen := new(Offsets)
	for _, d := range c.DeadLetters {
		switch {
		case d.Offset < m.state.Low || d.Offset >= c.Position:
			return fmt.Sprintf("dead letter %d is outside low %d and position %d", d.Offset, m.state.Low, c.Position)
		case m.Settled(d.Offset) || seen.Contains(d.Offset):
			return fmt.Sprintf("dead letter %d is flushed", d.Offset)
		case slices.ContainsFunc(c.Files, func(f File) bool { return f.Offsets.Contains(d.Offset) }):
			return fmt.Sprintf("dead letter %d has a row too", d.Offset)
		}
		seen.Add(d.Offset)
	}
	for _, table := range m.known.Tables {
		flushed[table].Or(seen)
	}
	return ""
}

// describeLost names the rows of the files that nobody can complete or repair.
func (m *Machine) describeLost() string {
	var b strings.Builder
	for i, n := range m.lost {
		if i > 0 {
			b.WriteString("; ")
		}
		f := &m.flush.Files[n]
		fmt.Fprintf(&b, "table %s, %s: offsets %s", f.Table, f.Key, f.Offsets)
	}
	return b.String()
}
