package flush

import (
	"fmt"
	"slices"
	"time"
)

// Acceptance is what a person gives up so that a stopped partition goes on. Without it nothing is ever given up, and with
// it a flush without files says what was, so that the gate and the audit know (I12). The sink itself never has one.
type Acceptance struct {
	Loss    bool      // what Kafka no longer holds, and files that can be neither completed nor written again
	From    int64     // go on here, whatever was flushed; -1 = where the partition stands
	Again   *Offsets  // with From: what may stand twice beyond what the state says
	FlushID string    // of the flush that says so; never used before
	At      time.Time // when it was accepted
}

// TriggerRecovery is the trigger of a flush that says what was given up.
const TriggerRecovery = "recovery"

func (a *Acceptance) loss() bool { return a != nil && a.Loss }

func (a *Acceptance) from() (offset int64, asked bool) {
	if a == nil || a.From < 0 {
		return 0, false
	}
	return a.From, true
}

// Force begins an ownership that goes on at Known.Accept.From, whatever is committed: base is the last flush that anybody
// may have heard of, and ahead what is flushed at its low and above, as Recover found them.
func Force(k Known, base State, ahead map[string]*Offsets) (*Machine, Effect) {
	m := &Machine{known: &k, state: base, flushed: ahead}
	if _, asked := k.Accept.from(); !asked {
		return m, m.outOfStep(Input{})
	}
	return m, m.ready()
}

// giveUp ends a flush of which something is lost: its `done` is the intent of the flush that says what. Until that is
// committed the flush is pending and anybody may try again. Only what Kafka no longer holds is lost: low goes back to the
// first record that can be read again, and what is flushed above it is remembered as such.
func (m *Machine) giveUp() Effect {
	f, missing := m.flush, m.missing()
	var dropped []string
	for _, i := range m.lost {
		dropped = append(dropped, f.Files[i].Key)
	}
	m.state, m.flushed = m.doneState(), f.Ahead
	start, low := m.known.LogStart, m.state.Low
	lost, next := new(Offsets), max(low, start)
	for table, set := range missing {
		if !slices.Contains(m.known.Tables, table) { // nobody writes it any more
			lost.Or(set)
			continue
		}
		lost.Or(set.Without(set.From(start)))
		if again := set.From(start); !again.Empty() {
			next = min(next, again.Min())
		}
	}
	flushed := make(map[string]*Offsets, len(m.known.Tables))
	for _, table := range m.known.Tables {
		all := m.flushed[table].Clone()
		all.AddRange(next, low)
		flushed[table] = all.Without(missing[table])
	}
	m.flushed = flushed
	return m.goOn(next, giving{lost: lost, dropped: dropped})
}

// missing is, per table, what the flush does not put there although its manifest says so.
func (m *Machine) missing() map[string]*Offsets {
	missing := make(map[string]*Offsets)
	add := func(table string, set *Offsets) {
		if missing[table] == nil {
			missing[table] = new(Offsets)
		}
		missing[table].Or(set)
	}
	for _, i := range m.lost {
		add(m.flush.Files[i].Table, m.flush.Files[i].Offsets)
	}
	if m.lettersLost {
		letters := new(Offsets)
		for _, d := range m.flush.DeadLetters {
			letters.Add(d.Offset)
		}
		for _, table := range m.known.Tables {
			add(table, letters)
		}
	}
	return missing
}

// giving is what a flush gives up beside the records that low passes over.
type giving struct {
	lost    *Offsets
	dropped []string
	again   bool // what is flushed at the next low and above is read again
}

// goOn asks for a flush without files that moves low to next. Of what lies between, whatever is not flushed in every
// table is lost.
func (m *Machine) goOn(next int64, g giving) Effect {
	k, a := m.known, m.known.Accept
	epoch := m.state.LeaderEpoch
	if next != m.state.Low { // of that offset's record, or older: the log reaches beyond it under the epoch of now
		epoch = k.LeaderEpoch
	}
	lost := passedOver(m.state.Low, next, k.Tables, m.flushed)
	if !lost.Empty() && !a.loss() {
		return m.stop(CauseRetention, goOnAt(next, m.state.Low), fmt.Sprintf("records %s are not flushed, and would be lost", lost), nil)
	}
	lost.Or(g.lost)
	flushed, twice := m.flushed, new(Offsets)
	if g.again {
		flushed, twice = nil, readAgain(m.state.Low, next, m.flushed)
		twice.Or(a.Again)
	}
	f := m.manifest(Cut{FlushID: a.FlushID, Trigger: TriggerRecovery, CreatedAt: a.At, LeaderEpoch: epoch, Position: next}, flushed)
	f.Lost, f.Again, f.Dropped, f.Format = nonEmpty(lost), nonEmpty(twice), g.dropped, RecoveryFormat
	m.adopt(f)
	return m.do(Effect{Op: PutManifest, Manifest: f})
}

// passedOver is what is not flushed in every table, from low up to next.
func passedOver(low, next int64, tables []string, flushed map[string]*Offsets) *Offsets {
	all := new(Offsets)
	all.AddRange(low, next)
	var everywhere *Offsets
	for i, table := range tables {
		if i == 0 {
			everywhere = flushed[table].Clone()
		} else {
			everywhere = everywhere.And(flushed[table])
		}
	}
	return all.Without(everywhere)
}

// readAgain is what is flushed in some table at next and above.
func readAgain(low, next int64, flushed map[string]*Offsets) *Offsets {
	again := new(Offsets)
	for _, set := range flushed {
		again.Or(set)
	}
	again = again.From(next)
	again.AddRange(next, low)
	return again
}

func nonEmpty(o *Offsets) *Offsets {
	if o.Empty() {
		return nil
	}
	return o
}
