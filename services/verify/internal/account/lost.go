package account

import (
	"fmt"

	"weir/pkg/flush"
)

// givenUp is what operators have given up, each time in a flush without files.
type givenUp struct {
	lost    *flush.Offsets      // records that some table will never have
	again   Ranges              // may have been flushed, and are read again
	files   map[string]struct{} // keys of files that were never there, and count as not flushed
	back    []header            // the flushes that went back, from the last to the first
	after   *flush.Manifest     // the one that follows what is read next, nil = that gives nothing up
	GivenUp Ranges              // records in not every table, the loss of which an operator has accepted
}

// giveUp takes what m gives up. It says so of its own low and above, and of the flush
// before it, which is read next.
func (l *Ledger) giveUp(m *flush.Manifest) {
	l.after = nil
	if m.Format != flush.RecoveryFormat {
		return
	}
	after := *m
	l.after = &after
	l.lost.Or(m.Lost)
	for _, key := range m.Dropped {
		l.files[key] = struct{}{}
	}
	if n := len(m.Dropped); n > 0 {
		l.note(Accepted, Finding{Key: m.Key, Detail: fmt.Sprintf("gives up %d files of flush %d that were never there: what Kafka still held of their rows is in later ones", n, m.Seq-1)})
	}
	if m.NextLow < m.Low {
		l.back = append(l.back, header{key: m.Key, seq: m.Seq, low: m.NextLow})
	}
	if !m.Again.Empty() {
		again := RangesOf(m.Again)
		l.again = l.again.Or(again)
		l.note(ReadAgain, Finding{Key: m.Key, Offsets: again, Detail: fmt.Sprintf("read again by an operator, from offset %d on: what of them was flushed stands twice", m.NextLow)})
	}
}

// GaveUp reports whether an operator has given a file up, once the flush after its own
// was read.
func (l *Ledger) GaveUp(key string) bool {
	_, ok := l.files[key]
	return ok
}

// gaveUpLetter reports whether a dead letter of the flush that is read was given up by
// the flush after it: it is lost, or is read again and will be a dead letter, or a row,
// of another flush.
func (l *Ledger) gaveUpLetter(offset int64) bool {
	m := l.after
	if m == nil || m.Lost.Contains(offset) {
		return m != nil
	}
	for _, ahead := range m.Ahead {
		if ahead.Contains(offset) {
			return false
		}
	}
	return offset >= m.NextLow && !m.Again.Contains(offset)
}

// Floor is below what neither m nor a flush after it holds a record.
func (l *Ledger) Floor(m *flush.Manifest) int64 {
	floor := m.Low
	for _, b := range l.back {
		if b.seq >= m.Seq {
			floor = min(floor, b.low)
		}
	}
	return floor
}

// Again are the records that an operator had read a second time.
func (l *Ledger) Again() Ranges { return l.again }

// closeGivenUp says which records are lost for good.
func (l *Ledger) closeGivenUp(lost Ranges) {
	if l.GivenUp = lost; len(lost) > 0 {
		l.note(Accepted, Finding{Offsets: lost, Detail: fmt.Sprintf("%d records are lost, accepted by an operator", lost.Len())})
	}
}
