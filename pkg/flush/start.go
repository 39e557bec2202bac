package flush

import (
	"fmt"
	"slices"

	"weir/pkg/lake"
)

// Known is what the shell found out when the partition was assigned. The committed offset is fetched first, with
// require_stable; everything else is read after it.
type Known struct {
	Owner     lake.Owner
	ClusterID string
	Bucket    string
	Prefix    string   // of the lake in its bucket
	Home      string   // Home of this cluster, topic and lake
	Tables    []string // every table that a record belongs to

	LeaderEpoch int32 // of the partition now; -1 = unknown

	Committed      bool // false: the group has no offset for the partition
	Offset         int64
	CommittedEpoch int32 // -1 = none was committed
	Metadata       string

	NewestManifest string // key of the partition's newest manifest, "" when there is none
	Later          string // key of a manifest that shows that a flush after the committed one was decided, "" when there is none
	HasStarted     bool   // its `started` marker is there; looked at only where the committed metadata is not ours

	// The gate's memory of the partition, the newest of all databases; 0 and "" when no gate knows it.
	GateSeq      uint64
	GateManifest string
	GateLow      int64 // visible through here, as far as it knows

	LogStart    int64 // lowest offset that Kafka still holds
	LogEnd      int64 // high watermark
	HasEpochEnd bool
	EpochEnd    int64 // OffsetForLeaderEpoch of CommittedEpoch; -1: the broker knows no such epoch any more

	OwnedPartitions int32 // of owners/<topic id>: a partition at or beyond it was added later and starts at 0
	ResetOffset     int64 // where a group without a commit starts

	Accept *Acceptance // nil: nothing is given up
}

// Start begins an ownership from the committed state and resumes a pending flush, if one stands.
func Start(k Known) (*Machine, Effect) {
	m := &Machine{known: &k}
	return m, m.start()
}

func (m *Machine) start() Effect {
	k := m.known
	if !plain(k.Owner.ManifestDir()) {
		return m.stop(CauseName, Cure{First: "give the sink another --group; weir sink recover cannot help", Only: true}, fmt.Sprintf("group %q cannot stand in a committed offset's metadata", k.Owner.Group), nil)
	}
	if !k.Committed {
		return m.startNew()
	}
	s, err := ParseMetadata(k.Offset, k.CommittedEpoch, k.Metadata)
	if err != nil {
		return m.stop(CauseForeign, k.foreign(), fmt.Sprintf("another tool committed offset %d", k.Offset), err)
	}
	if k.former(s) {
		return m.startNew()
	}
	m.state = s
	if s.Home != k.Home {
		return m.stop(CauseHome, k.elsewhere(s), fmt.Sprintf("it was flushed into another lake or from another cluster (home %s, now %s)", s.Home, k.Home), nil)
	}
	if e, ok := m.askGate(); !ok {
		return e
	}
	if k.Later != "" {
		return m.stop(CauseBehind, restore, fmt.Sprintf("flush %d is committed, and a later one was decided: %s", s.Seq, k.Later), nil)
	}
	if s.Phase == Done && !s.Ahead {
		return m.ready()
	}
	return m.do(Effect{Op: ReadManifest, Key: s.Manifest})
}

// BehindManifest reports whether a manifest of flush seq, by being there, shows that a flush after s was decided: a manifest is
// put only after the `done` of the flush before it (I1). One of the flush after a `done` s does not: it may be undecided.
func (s State) BehindManifest(seq uint64) bool {
	return seq > s.Seq+1 || s.Phase == Intent && seq > s.Seq
}

// former reports whether s was committed for a topic of this cluster that had the same name and was deleted: brokers that
// take a commit by name may store one that was on its way for the topic that came after. That one is new.
func (k *Known) former(s State) bool {
	o, _, _, err := lake.ParseManifestKey(s.Manifest)
	return err == nil && o.TopicID != k.Owner.TopicID && s.Home == Home(k.ClusterID, o.TopicID, k.Bucket, k.Prefix) &&
		o == lake.Owner{Group: k.Owner.Group, Topic: k.Owner.Topic, TopicID: o.TopicID, Partition: k.Owner.Partition}
}

// askGate compares the committed state with what the catalog accepted: later or other flushes there mean that the
// committed state went back, as in an unclean election (I8).
func (m *Machine) askGate() (Effect, bool) {
	k, s := m.known, m.state
	if k.GateSeq < s.Seq {
		return Effect{}, true
	}
	if k.GateSeq > s.Seq {
		return m.stop(CauseGate, restore, fmt.Sprintf("flush %d is committed, the catalog has accepted flush %d (%s)", s.Seq, k.GateSeq, k.GateManifest), nil), false
	}
	if k.GateManifest != s.Manifest {
		return m.stop(CauseGate, goOnAt(max(k.GateLow, k.LogStart), k.GateLow), fmt.Sprintf("of flush %d the catalog has accepted another manifest (%s)", s.Seq, k.GateManifest), nil), false
	}
	return Effect{}, true
}

// startNew begins where nothing is committed: the marker fixes the offset before anything is read (I10).
func (m *Machine) startNew() Effect {
	k := m.known
	if k.NewestManifest != "" || k.GateSeq > 0 {
		return m.stop(CauseExpired, restore, "it was flushed before, and Kafka holds no committed offset for it any more", nil)
	}
	offset := k.ResetOffset
	if k.Owner.Partition >= k.OwnedPartitions {
		offset = 0
	}
	return m.do(Effect{Op: PutStarted, Offset: offset})
}

func (m *Machine) started(in Input) Effect {
	switch in.Kind {
	case Started:
		return m.commit(State{Low: in.Offset, LeaderEpoch: m.known.LeaderEpoch, Phase: Done, Home: m.known.Home})
	case ManifestUnreadable:
		return m.stop(CauseManifest, goOnAt(m.doing.Offset, m.doing.Offset), "its `started` marker cannot be read", in.Err)
	}
	return m.outOfStep(in)
}

// read takes the manifest that the committed state names. A decision that was found is committed once more under this
// ownership's pin before anything of it is published: an earlier owner's commit that was answered COORDINATOR_* may stand
// in the coordinator's log, not yet seen, and name another manifest; whatever is appended after it wins (I4).
func (m *Machine) read(in Input) Effect {
	switch in.Kind {
	case ManifestRead:
	case ManifestMissing:
		return m.stop(CauseManifest, m.withoutManifest(), fmt.Sprintf("the manifest of flush %d is not there", m.state.Seq), in.Err)
	case ManifestUnreadable:
		return m.stop(CauseManifest, m.withoutManifest(), fmt.Sprintf("the manifest of flush %d cannot be read", m.state.Seq), in.Err)
	default:
		return m.outOfStep(in)
	}
	if what := m.differs(in.Manifest); what != "" {
		return m.stop(CauseManifest, m.withoutManifest(), fmt.Sprintf("the manifest of flush %d does not belong here: %s", m.state.Seq, what), in.Err)
	}
	if m.state.Phase == Intent {
		m.adopt(in.Manifest)
		return m.commit(m.state)
	}
	m.flushed = in.Manifest.Ahead
	return m.ready()
}

// differs says in what the manifest is not the one that the committed state means, "" when it is.
func (m *Machine) differs(got *Manifest) string {
	k, s := m.known, m.state
	low := got.Low
	if s.Phase == Done {
		low = got.NextLow
	}
	switch {
	case got.Key != s.Manifest:
		return "key " + got.Key
	case got.Owner() != k.Owner:
		return fmt.Sprintf("group %s, topic %s (%s), partition %d", got.Group, got.Topic, got.TopicID, got.Partition)
	case got.ClusterID != k.ClusterID:
		return "cluster " + got.ClusterID
	case got.Bucket != k.Bucket:
		return "bucket " + got.Bucket
	case got.Seq != s.Seq:
		return fmt.Sprintf("seq %d", got.Seq)
	case low != s.Low:
		return fmt.Sprintf("low %d, committed %d", low, s.Low)
	}
	return ""
}

// ready lets the ownership consume. The first time it compares the log with what is flushed: a pending flush rolls
// forward first, whatever became of the log meanwhile.
func (m *Machine) ready() Effect {
	if m.checked {
		return m.do(Effect{Op: None})
	}
	m.checked = true
	if from, asked := m.known.Accept.from(); asked {
		return m.goOn(from, giving{again: true})
	}
	k, reach := m.known, m.state.Low
	for _, set := range m.flushed {
		reach = max(reach, set.Max()+1)
	}
	end := k.LogEnd
	if k.HasEpochEnd && m.state.LeaderEpoch == k.CommittedEpoch { // a flush rolled forward since may reach into a later epoch
		end = min(end, k.EpochEnd)
	}
	switch {
	case reach > max(end, 0):
		return m.stop(CauseTruncated, k.cutBack(m.state.Low, end), fmt.Sprintf("records below %d are flushed, the log of their leader epoch ends at %d", reach, end), nil)
	case m.state.Low < k.LogStart && k.Accept.loss():
		return m.goOn(k.LogStart, giving{})
	case m.state.Low < k.LogStart:
		return m.stop(CauseRetention, acceptLoss, fmt.Sprintf("records %d to %d were deleted by retention before they were flushed", m.state.Low, k.LogStart-1), nil)
	}
	return m.do(Effect{Op: None})
}

// foreign is what to do about another tool's commit: what was flushed says where the partition stands, or else its
// marker; where there is neither it was another consumer's, and begins where that one ended.
func (k *Known) foreign() Cure {
	if k.NewestManifest != "" || k.GateSeq > 0 || k.HasStarted {
		return restore
	}
	at := max(k.Offset, k.LogStart)
	return goOnAt(at, at)
}

// elsewhere is what to do about a state that was written for another lake or cluster: what is below its low is there.
// Where this lake was written before, what lies between is missing here.
func (k *Known) elsewhere(s State) Cure {
	low := s.Low
	if k.NewestManifest != "" || k.GateSeq > 0 {
		low = k.GateLow
	}
	c := goOnAt(max(s.Low, k.LogStart), low)
	c.First = "set the lake, or the brokers, back; or, to go on in this lake"
	return c
}

// withoutManifest is what to do when the manifest of the committed flush cannot be had: nothing below low depends on it.
func (m *Machine) withoutManifest() Cure {
	c := goOnAt(max(m.state.Low, m.known.LogStart), m.state.Low)
	c.First = "restart the sink once that object can be read; or, without it"
	return c
}

// cutBack is what to do about a log that was cut back to end, or, where that is not known (-1), to nobody knows where:
// what is behind it now was never read.
func (k *Known) cutBack(low, end int64) Cure {
	return goOnAt(max(min(low, end), k.LogStart), low)
}

// plain reports whether the text can stand in metadata: ASCII without white space, as short as S3 wants keys.
func plain(s string) bool {
	return len(s) <= maxKey && !slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c > '~' })
}
