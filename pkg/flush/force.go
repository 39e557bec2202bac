package flush

import (
	"cmp"
	"fmt"
	"slices"
)

// giveUp adds to a sound plan what is lost: what retention took, and what of a pending flush cannot be published.
func (c recovering) giveUp(p Plan, low int64, ahead map[string]*Offsets) Plan {
	if low < c.LogStart {
		p.GivesUp, p.Lost = true, nonEmpty(passedOver(low, c.LogStart, c.Tables, ahead))
		p.Why += fmt.Sprintf("; records %s were deleted by retention before they were flushed, it goes on at offset %d without them", p.Lost, c.LogStart)
	}
	if p.State.Phase == Intent {
		p.GivesUp = true
		p.Why += fmt.Sprintf("; flush %d is published, without the files that can be neither completed nor written again", p.State.Seq)
	}
	return p
}

// restart plans to go on where a person says, from the state that a sound plan gives, or else from the last flush that
// anybody may have heard of.
func (c recovering) restart(p Plan, m *Manifest, from int64) Plan {
	switch {
	case c.GateAlarm != "":
		return c.alarmed()
	case from < c.LogStart || from > c.LogEnd:
		return refuse("%s %d: Kafka holds offsets %d to %d", FlagFrom, from, c.LogStart, c.LogEnd-1)
	}
	var low int64
	if p.Recovery == Refuse || p.State.Home == "" {
		p = c.forced(p.Why, from)
		low = p.Base.Low
	} else {
		low, _, p.Ahead = p.stands(m)
		p.Again = readAgain(low, from, p.Ahead)
	}
	p.GivesUp, p.Lost, p.Again = true, nonEmpty(passedOver(low, from, c.Tables, p.Ahead)), nonEmpty(p.Again)
	if p.Lost != nil && !c.Accept.loss() {
		return refuse("records %s are not flushed, and would be lost: add %s, or go on at %d", p.Lost, FlagAcceptLoss, low)
	}
	p.Why += fmt.Sprintf("; it goes on at offset %d", from)
	return c.old(p)
}

// forced takes the last flush that anybody may have heard of for the last one, although the rest does not fit it.
func (c recovering) forced(why string, from int64) Plan {
	p := Plan{Recovery: Keep, Forced: true, Why: why, Again: new(Offsets)}
	heard := c.heard()
	p.Base = State{Low: heard.low, LeaderEpoch: -1, Seq: heard.seq, Manifest: heard.manifest, Home: c.Home}
	if m := c.find(heard.manifest); m != nil {
		p.Ahead = m.Ahead
	}
	switch {
	case heard.seq > 0 || c.standing != nil || len(c.Manifests) > 0: // whatever is there may be visible here
		p.Again.AddRange(from, c.LogEnd)
	case heard.low < 0 || heard.low > from: // nothing of it is here
		p.Base.Low = from
	}
	return p
}

// wayOut is what goes on although the plan is refused, without losing what Kafka still holds.
func (c recovering) wayOut() Cure {
	low := c.heard().low
	if low < 0 {
		low = max(c.Offset, c.LogStart)
	}
	at := low
	if c.stranger != nil { // what is below is in the other lake
		at = c.stranger.Low
	}
	return goOnAt(max(at, c.LogStart), low)
}

// word is somebody's word that a flush was published.
type word struct {
	seq      uint64
	manifest string
	low      int64 // committed with it; -1 = nobody knows
}

// heard is the last flush that anybody outside may have heard of: it is what the next one has to follow for the gate to
// accept it. Under one seq the gate's own word counts first, then the flush topic's earliest. Seq 0 is where it began.
func (c recovering) heard() word {
	words := []word{{c.GateSeq, c.GateManifest, c.GateLow}}
	for _, n := range c.Named {
		words = append(words, word{n.Seq, n.Manifest, n.Low})
	}
	if s := c.standing; s != nil && s.Phase == Done {
		words = append(words, word{s.Seq, s.Manifest, s.Low})
	}
	newest := c.newestSeq()
	for _, m := range c.Manifests {
		if m.Seq == newest && m.Manifest != nil && newest > 1 {
			words = append(words, word{newest - 1, m.Manifest.Predecessor, m.Manifest.Low})
		}
	}
	last := slices.MaxFunc(words, func(a, b word) int { return cmp.Compare(a.seq, b.seq) })
	if last.seq > 0 {
		return last
	}
	switch {
	case c.Started >= 0:
		return word{low: c.Started}
	case c.standing != nil:
		return word{low: c.standing.Low}
	case c.stranger != nil:
		return word{low: c.stranger.Low}
	}
	return word{low: -1}
}
