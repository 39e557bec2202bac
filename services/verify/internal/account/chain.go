package account

import (
	"fmt"
	"math"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Next is the key of the manifest that the account goes on with, and its seq; "" where
// the chain has ended.
func (l *Ledger) Next() (key string, seq uint64) { return l.next, l.seq }

// Read takes what stands under Next: the manifest, or why it cannot be read; both nil
// where nothing is there.
func (l *Ledger) Read(m *flush.Manifest, err error) {
	if what := l.link(m, err); what != "" {
		l.broken(what)
		return
	}
	l.meet(m)
	l.sameCluster(m)
	if l.last == nil {
		last := *m
		last.Files = nil
		l.last, l.First = &last, m.Low
	}
	l.First = min(l.First, m.Low, m.NextLow)
	l.enter(m)
	l.giveUp(m)
	l.above = header{key: m.Key, seq: m.Seq, low: m.Low}
	l.next = m.Predecessor
	l.seq--
	if l.seq > 0 {
		l.checkNext()
		return
	}
	l.Whole = true
	if l.next != "" {
		l.find(Chain, Finding{Key: m.Key, Detail: "flush 1 names the predecessor " + l.next})
		l.next = ""
	}
}

// broken ends the chain: what was decided below is not known.
func (l *Ledger) broken(what string) {
	l.find(Chain, Finding{Key: l.next, Detail: what})
	l.next = ""
}

// checkNext ends the chain where no manifest of this partition can be meant.
func (l *Ledger) checkNext() {
	owner, seq, _, err := lake.ParseManifestKey(l.next)
	switch {
	case l.next == "":
		l.broken(fmt.Sprintf("flush %d names no predecessor: flush %d cannot be found", l.seq+1, l.seq))
	case err != nil:
		l.broken(fmt.Sprintf("should be the manifest of flush %d, and is no manifest's key", l.seq))
	case owner != l.p.Owner:
		l.broken(fmt.Sprintf("should be flush %d, and belongs to partition %d of topic %s (%s), group %s", l.seq, owner.Partition, owner.Topic, owner.TopicID, owner.Group))
	case seq != l.seq:
		l.broken(fmt.Sprintf("should be flush %d, and is flush %d", l.seq, seq))
	}
}

// link says why m cannot be the flush seq of the chain, "" if it can.
func (l *Ledger) link(m *flush.Manifest, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("the manifest of flush %d cannot be read: %v", l.seq, err)
	case m == nil:
		return fmt.Sprintf("the manifest of flush %d is not there", l.seq)
	case m.Seq != l.seq || m.Owner() != l.p.Owner:
		return fmt.Sprintf("should be flush %d, and says that it is flush %d of partition %d of topic %s (%s), group %s", l.seq, m.Seq, m.Partition, m.Topic, m.TopicID, m.Group)
	}
	return ""
}

// meet compares m with its successor: a flush begins where the one before it ended.
func (l *Ledger) meet(m *flush.Manifest) {
	if above := l.above; above.key != "" && above.low != m.NextLow {
		l.find(Chain, Finding{Key: m.Key, Detail: fmt.Sprintf("flush %d ends at low %d, flush %d begins at low %d", m.Seq, m.NextLow, above.seq, above.low)})
	}
}

// sameCluster says once that flushes come from another cluster.
func (l *Ledger) sameCluster(m *flush.Manifest) {
	if m.ClusterID != l.p.ClusterID && !l.strange {
		l.strange = true
		l.find(State, Finding{Key: m.Key, Detail: fmt.Sprintf("flush %d was written from cluster %s, and this is cluster %s", m.Seq, m.ClusterID, l.p.ClusterID)})
	}
}

// Attempt notes a manifest that no commit names.
func (l *Ledger) Attempt(key string, seq uint64) {
	detail := "an attempt that was given up"
	if seq > l.p.State.Seq {
		detail = "an attempt that was given up, or the next flush"
	}
	l.attempts[key] = struct{}{}
	l.note(Undecided, Finding{Key: key, Detail: detail})
}

// Lowest is the seq of the oldest flush that the chain has reached, one above the
// newest that may be decided where it has none. Of manifests below it nobody can tell which were decided.
func (l *Ledger) Lowest() uint64 {
	switch {
	case l.Whole:
		return 0
	case l.blind:
		return math.MaxUint64
	}
	return l.seq + 1
}

// Decided reports whether a manifest belongs to the chain, once that was read.
func (l *Ledger) Decided(key string, seq uint64) bool {
	_, attempt := l.attempts[key]
	return !attempt && l.last != nil && seq >= l.Lowest() && seq <= l.p.State.Seq
}

// Pending is the key of the manifest whose flush is decided and not yet published, ""
// if there is none.
func (l *Ledger) Pending() string {
	if l.last == nil || l.p.State.Phase != flush.Intent {
		return ""
	}
	return l.last.Key
}
