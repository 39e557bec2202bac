package flush

import (
	"fmt"
	"slices"
	"time"
)

// Remains is what is left of a stopped partition, gathered while nobody owns it: what is committed, and what else speaks
// of flushes that were decided. Known.Accept is what the person who asks gives up.
type Remains struct {
	Known // NewestManifest and the end of the committed epoch are taken from below

	Manifests []Remnant       // all of the two highest seqs, in any order
	Named     []Named         // what the flush topic says of the partition since the oldest of them was put
	EpochEnds map[int32]int64 // per leader epoch of the committed offset and the manifests; without those that are unknown
	GateAlarm string          // why the catalog stopped the partition, "" = it has not
	Started   int64           // offset of the `started` marker; -1 = there is none, or none that can be read

	Now    time.Time
	MinAge time.Duration // of the newest manifest: no publisher that read before it is still at work
}

// Remnant is one manifest as it was found.
type Remnant struct {
	Key      string
	Seq      uint64
	Modified time.Time
	Manifest *Manifest // nil where Err says why it cannot be read
	Err      error
	Visible  bool // at least one of its objects is there
}

// Named is a flush that a notification names.
type Named struct {
	Seq      uint64
	Manifest string
	Low      int64 // committed with it
}

// Recovery is what becomes of a stopped partition.
type Recovery uint8

// What becomes of the committed offset.
const (
	Refuse  Recovery = iota // nothing is changed: Why says what cannot be decided or repaired
	Keep                    // what is committed is sound
	Restore                 // commit Plan.State
)

var recoveryNames = [...]string{"refuse", "keep", "restore"}

func (r Recovery) String() string { return recoveryNames[r] }

// Plan is what Recover decides.
type Plan struct {
	Recovery Recovery
	State    State // what stands afterwards; zero where nothing does
	Why      string

	// What a person accepts beyond that. An ownership under Known.Accept does it; it also publishes what is pending.
	GivesUp bool
	Forced  bool                // it does not begin with State, but by Force with Base and Ahead
	Base    State               // the last flush that anybody may have heard of
	Ahead   map[string]*Offsets // flushed at its low and above, as far as it is known
	Lost    *Offsets            // records that some table will never have, as far as that can be known before
	Again   *Offsets            // what may stand twice, at most
}

func refuse(format string, args ...any) Plan { return Plan{Why: fmt.Sprintf(format, args...)} }

// Recover finds the last decided flush of a partition and the state that belongs to it. It never guesses: whatever
// contradicts itself or is not there is refused, unless a person says where to go on.
func Recover(r Remains) Plan {
	c := newRecovering(&r)
	plan, m := c.decided()
	if from, asked := r.Accept.from(); asked {
		return c.restart(plan, m, from)
	}
	if plan.Recovery == Refuse {
		plan.Why += "; to go on all the same: " + c.wayOut().Flags
		return plan
	}
	return c.checked(plan, m)
}

// recovering is one call of Recover.
type recovering struct {
	*Remains
	standing *State // the committed state, nil where it is not weir's, not there, or another place's
	stranger *State // it, where it was written for another lake or cluster
}

func newRecovering(r *Remains) recovering {
	own := *r
	c := recovering{Remains: &own}
	if !r.Committed {
		return c
	}
	s, err := ParseMetadata(r.Offset, r.CommittedEpoch, r.Metadata)
	switch {
	case err != nil:
	case r.former(s):
		own.Committed = false // not for this topic
	case s.Home != r.Home:
		c.stranger = &s
	default:
		c.standing = &s
	}
	return c
}

// decided finds the last decided flush, and the manifest that its state needs, nil where it needs none.
func (c recovering) decided() (Plan, *Manifest) {
	if c.stranger != nil {
		return refuse("it was flushed into another lake or from another cluster (home %s, now %s)", c.stranger.Home, c.Home), nil
	}
	if what := c.unusable(); what != "" {
		return refuse("%s", what), nil
	}
	last, what := c.last()
	if what != "" {
		return refuse("%s", what), nil
	}
	if last.seq == 0 {
		return c.beginning(), nil
	}
	return c.flushed(last)
}

// unusable says which of the manifests cannot be judged, "" when all can.
func (c recovering) unusable() string {
	for _, m := range c.Manifests {
		switch {
		case m.Err != nil:
			return fmt.Sprintf("manifest %s cannot be read: %v", m.Key, m.Err)
		case m.Manifest.Owner() != c.Owner || m.Manifest.ClusterID != c.ClusterID || m.Manifest.Bucket != c.Bucket:
			return fmt.Sprintf("manifest %s does not belong here: group %s, topic %s (%s), partition %d, cluster %s, bucket %s", m.Key,
				m.Manifest.Group, m.Manifest.Topic, m.Manifest.TopicID, m.Manifest.Partition, m.Manifest.ClusterID, m.Manifest.Bucket)
		}
	}
	return ""
}

// proof says that a flush was decided.
type proof struct {
	seq      uint64
	manifest string
	done     bool // it was published too
	by       string
}

// proofs lists everything that shows a decision. An object is completed only after the decision, a notification
// acknowledged only after every object, and a manifest put only after its predecessor's `done` (I1, I8).
func (c recovering) proofs() []proof {
	var all []proof
	if c.GateSeq > 0 {
		all = append(all, proof{c.GateSeq, c.GateManifest, true, "the catalog has accepted it"})
	}
	for _, n := range c.Named {
		all = append(all, proof{n.Seq, n.Manifest, true, "the flush topic names it"})
	}
	if c.standing != nil && c.standing.Seq > 0 {
		all = append(all, proof{c.standing.Seq, c.standing.Manifest, c.standing.Phase == Done, "it is committed"})
	}
	newest := c.newestSeq()
	for _, m := range c.Manifests {
		if m.Visible {
			all = append(all, proof{m.Seq, m.Key, false, "an object of it is visible"})
		}
		if m.Seq == newest && newest > 1 {
			all = append(all, proof{newest - 1, m.Manifest.Predecessor, true, "the manifest of the next flush follows it"})
		}
	}
	return all
}

func (c recovering) newestSeq() (newest uint64) {
	for _, m := range c.Manifests {
		newest = max(newest, m.Seq)
	}
	return newest
}

// last is the last decided flush, seq 0 when none was, or what speaks against every answer: two manifests under one seq.
// Only the two highest seqs matter, because a manifest of the highest shows that the one before it is done.
func (c recovering) last() (last proof, contradiction string) {
	newest, seen := c.newestSeq(), map[uint64]proof{}
	for _, p := range c.proofs() {
		if p.seq+1 < newest {
			continue
		}
		if other, ok := seen[p.seq]; ok && other.manifest != p.manifest {
			return proof{}, fmt.Sprintf("flush %d was decided twice: %s (%s) and %s (%s)", p.seq, other.manifest, other.by, p.manifest, p.by)
		} else if !ok || !other.done {
			seen[p.seq] = p
		}
		if p.seq >= last.seq {
			last = seen[p.seq]
		}
	}
	return last, ""
}

// flushed plans for the last decided flush: `done` where it is known to be published, otherwise `intent` at its own low,
// which the next start rolls forward: that one object is there does not mean that all are.
func (c recovering) flushed(last proof) (Plan, *Manifest) {
	s := c.standing
	stands := s != nil && s.Seq == last.seq // under the same manifest, or it would have been a contradiction
	m := c.find(last.manifest)
	if m == nil {
		if stands && s.Phase == Done && !s.Ahead {
			return Plan{Recovery: Keep, State: *s, Why: c.sound()}, nil
		}
		return refuse("flush %d was decided (%s), and its manifest %s is not there", last.seq, last.by, last.manifest), nil
	}
	if m.Seq != last.seq {
		return refuse("%s is the manifest of flush %d, not of %d", m.Key, m.Seq, last.seq), nil
	}
	want := State{Low: m.NextLow, LeaderEpoch: m.LeaderEpoch, Seq: m.Seq, Phase: Done, Manifest: m.Key, Ahead: len(m.Ahead) > 0, Home: c.Home}
	if stands && s.Phase == Intent || !last.done {
		want.Low, want.Phase, want.Ahead = m.Low, Intent, c.aheadOf(m)
	}
	switch {
	case stands && s.Low != want.Low:
		return refuse("flush %d %s is committed at offset %d, its manifest %s says %d", s.Seq, s.Phase, s.Low, m.Key, want.Low), nil
	case stands:
		return Plan{Recovery: Keep, State: *s, Why: c.sound()}, m
	}
	return Plan{Recovery: Restore, State: want, Why: fmt.Sprintf("flush %d is the last that was decided: %s", last.seq, last.by)}, m
}

func (c recovering) sound() string {
	if c.standing.Phase == Intent {
		return fmt.Sprintf("what is committed is sound: the next start publishes flush %d", c.standing.Seq)
	}
	return "what is committed is sound"
}

func (c recovering) find(key string) *Manifest {
	i := slices.IndexFunc(c.Manifests, func(m Remnant) bool { return m.Key == key })
	if i < 0 {
		return nil
	}
	return c.Manifests[i].Manifest
}

// aheadOf tells whether something is flushed at m's own low or above: if its predecessor is gone it may be.
func (c recovering) aheadOf(m *Manifest) bool {
	if m.Seq == 1 {
		return false
	}
	before := c.find(m.Predecessor)
	return before == nil || len(before.Ahead) > 0
}

// beginning plans for a partition of which no flush was decided: it begins where its marker says (I10).
func (c recovering) beginning() Plan {
	switch {
	case c.standing != nil:
		return Plan{Recovery: Keep, State: *c.standing, Why: c.sound()}
	case !c.Committed && len(c.Manifests) == 0:
		return Plan{Recovery: Keep, Why: "nothing was flushed and nothing is committed: the next start begins it"}
	case c.Started < 0:
		return refuse("no flush of it was decided, and its `started` marker is not there: nothing says where it began")
	}
	for _, m := range c.Manifests {
		if m.Manifest.Low != c.Started {
			return refuse("its `started` marker says offset %d, its first manifest %s begins at %d", c.Started, m.Key, m.Manifest.Low)
		}
	}
	return Plan{
		Recovery: Restore, State: State{Low: c.Started, LeaderEpoch: -1, Phase: Done, Home: c.Home},
		Why: fmt.Sprintf("no flush of it was decided: it begins at offset %d, where its `started` marker says", c.Started),
	}
}

// checked holds a plan against the log, the clock and the catalog. m is the manifest of the plan's state, nil where it
// needs none.
func (c recovering) checked(p Plan, m *Manifest) Plan {
	if p.State.Home == "" { // there is no state to be checked
		return p
	}
	low, epoch, ahead := p.stands(m)
	reach := low
	for _, set := range ahead {
		reach = max(reach, set.Max()+1)
	}
	end := c.LogEnd
	if at, ok := c.EpochEnds[epoch]; ok {
		end = min(end, at)
	}
	switch {
	case reach > max(end, 0):
		return refuse("records below %d are flushed, the log of their leader epoch ends at %d; to read on from there: %s", reach, end, c.cutBack(low, end).Flags)
	case low < c.LogStart && !c.Accept.loss():
		return refuse("records %d to %d were deleted by retention before they were flushed; to go on without them: %s", low, c.LogStart-1, FlagAcceptLoss)
	case c.GateAlarm != "" && (p.Recovery == Restore || c.Accept.loss()):
		return c.alarmed()
	}
	if c.Accept.loss() {
		p = c.giveUp(p, low, ahead)
	}
	return c.old(p)
}

func (c recovering) alarmed() Plan {
	return refuse("the catalog has stopped it: %s; weir catalog repair comes first", c.GateAlarm)
}

// stands is where the partition stands under the plan's state, once a pending flush is published.
func (p Plan) stands(m *Manifest) (low int64, epoch int32, ahead map[string]*Offsets) {
	switch {
	case m == nil:
		return p.State.Low, p.State.LeaderEpoch, nil
	case p.State.Phase == Intent:
		return m.NextLow, m.LeaderEpoch, m.Ahead
	}
	return p.State.Low, p.State.LeaderEpoch, m.Ahead
}

// old refuses to change anything beside a publisher that may still be at work.
func (c recovering) old(p Plan) Plan {
	for _, m := range c.Manifests {
		if age := c.Now.Sub(m.Modified); (p.Recovery == Restore || p.GivesUp) && age < c.MinAge {
			return refuse("manifest %s is only %s old: whoever wrote it may still publish; wait until %s", m.Key,
				age.Round(time.Second), m.Modified.Add(c.MinAge).UTC().Format(time.RFC3339))
		}
	}
	return p
}
