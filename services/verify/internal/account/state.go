package account

import (
	"fmt"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// readState finds out whether there is a chain to walk.
func (l *Ledger) readState() {
	p := l.p
	l.blind = !p.Committed || p.StateErr != nil || p.State.Home != p.Home
	switch {
	case !p.Committed && p.Newest == "":
		l.note(NotStarted, Finding{Detail: "nothing is committed and there are no manifests"})
	case !p.Committed:
		l.find(State, Finding{Key: p.Newest, Detail: "there are manifests, and no offset is committed: Kafka expired it, or the group was deleted"})
	case p.StateErr != nil:
		l.find(State, Finding{Detail: "the committed offset is not the sink's: " + p.StateErr.Error()})
	case p.State.Home != p.Home:
		l.find(State, Finding{Key: p.State.Manifest, Detail: "the committed offset belongs to another cluster, topic or lake" + p.stranger()})
	case p.State.Seq == 0:
		l.Whole = true
	default:
		l.next = p.State.Manifest
		l.checkNext()
	}
}

// stranger says whose the committed offset is, as far as the manifest that it names
// tells.
func (p Partition) stranger() string {
	if p.State.Manifest == "" {
		return ""
	}
	owner, _, _, err := lake.ParseManifestKey(p.State.Manifest)
	switch {
	case err == nil && owner.TopicID != p.Owner.TopicID:
		return fmt.Sprintf(": to topic id %s, and topic %s of this cluster (%s) has id %s", owner.TopicID, p.Owner.Topic, p.ClusterID, p.Owner.TopicID)
	case p.Named == nil:
		return ": its manifest is not in this lake"
	case p.Named.ClusterID != p.ClusterID:
		return fmt.Sprintf(": to cluster %s, and this is cluster %s", p.Named.ClusterID, p.ClusterID)
	}
	return fmt.Sprintf(": its manifest was written into bucket %s, perhaps under another prefix", p.Named.Bucket)
}

// compareState holds the newest manifest against the committed state, and what it
// says is flushed ahead of low against the files.
func (l *Ledger) compareState() {
	if l.last == nil {
		return
	}
	last, s := l.last, l.p.State
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
		if forgotten := is.Without(said).Without(l.again); len(forgotten) > 0 {
			l.find(State, Finding{Table: t, Offsets: forgotten, Key: last.Key, Detail: "are flushed, and not remembered as such: they will be flushed again"})
		}
	}
}

func (l *Ledger) beforeStart() {
	if l.Whole && l.p.LogStart < l.First {
		l.note(BeforeStart, Finding{
			Offsets: Span(l.p.LogStart, l.First),
			Detail:  fmt.Sprintf("the group began at offset %d", l.First),
		})
	}
}
