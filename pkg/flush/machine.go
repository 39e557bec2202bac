package flush

import "slices"

// Machine is one ownership of one partition: it says what to do next and keeps what that ownership knows.
//
//	for eff.Op != None { eff = m.Step(perform(eff)) }
type Machine struct {
	known   *Known
	state   State               // committed, as far as this ownership knows
	flushed map[string]*Offsets // per table: what is flushed at Low and above; replaced, never changed in place

	doing       Effect    // what the shell is performing
	flush       *Manifest // being flushed or recovered, nil when idle
	sizes       []int64   // of its files, as seen
	lost        []int     // its files that nobody can complete or repair
	lostWhy     error     // what the shell saw at the first of them
	lettersLost bool      // its dead letters are no longer in Kafka, and a person accepted it
	next        State     // being committed
	maybe       bool      // an earlier sending of next may have been applied

	checked bool // the log was compared with what is flushed; once per ownership
}

// Low is the committed low: consuming starts there.
func (m *Machine) Low() int64 { return m.state.Low }

// Seq is the number of the last flush that this ownership knows to be decided.
func (m *Machine) Seq() uint64 { return m.state.Seq }

// State is what is committed, as far as this ownership knows.
func (m *Machine) State() State { return m.state }

// Flushed reports whether the record at offset needs no row in table any more.
func (m *Machine) Flushed(table string, offset int64) bool {
	return offset < m.state.Low || m.flushed[table].Contains(offset)
}

// FlushedTo is the end of what is flushed: no record at or above it is flushed in any table.
func (m *Machine) FlushedTo() int64 {
	end := m.state.Low
	for _, set := range m.flushed {
		end = max(end, set.Max()+1)
	}
	return end
}

// Settled reports whether the record at offset is flushed in every table, or is a dead letter that was flushed.
func (m *Machine) Settled(offset int64) bool {
	return !slices.ContainsFunc(m.known.Tables, func(table string) bool { return !m.Flushed(table, offset) })
}

// Step takes what came of the last effect and returns the next one. After a terminal effect it returns that one again.
func (m *Machine) Step(in Input) Effect {
	if m.doing.Op.Terminal() {
		return m.doing
	}
	if in.Kind == OwnershipOver && m.doing.Op != None {
		return m.end(in.Err)
	}
	switch m.doing.Op {
	case PutStarted:
		return m.started(in)
	case ReadManifest:
		return m.read(in)
	case PutManifest:
		if in.Kind == OK {
			return m.decide()
		}
	case Commit:
		return m.committed(in)
	case AwaitPin:
		if in.Kind == PinRenewed {
			return m.do(Effect{Op: Commit, State: m.next})
		}
	case Complete, Head, Repair:
		return m.published(in)
	case ProduceDeadLetters:
		return m.produced(in)
	case Notify:
		if in.Kind == OK {
			return m.advance()
		}
	}
	return m.outOfStep(in)
}

func (m *Machine) do(e Effect) Effect {
	m.doing = e
	return e
}

func (m *Machine) end(why error) Effect { return m.do(Effect{Op: End, Err: why}) }

func (m *Machine) stop(cause Cause, cure Cure, detail string, err error) Effect {
	return m.do(Effect{Op: Stop, Err: &StopError{
		Owner: m.known.Owner, Cause: cause, Manifest: m.lastManifest(), Cure: cure, Detail: detail, Err: err,
	}})
}

// lastManifest is the last one that is known to be decided, or else the newest that was listed.
func (m *Machine) lastManifest() string {
	switch {
	case m.state.Manifest != "":
		return m.state.Manifest
	case m.known.GateManifest != "":
		return m.known.GateManifest
	}
	return m.known.NewestManifest
}

func (m *Machine) outOfStep(in Input) Effect {
	return m.stop(CauseOutOfStep, m.tryAgain(), in.Kind.String()+" is no answer to "+m.doing.Op.String(), in.Err)
}

// commit asks for the first sending of s.
func (m *Machine) commit(s State) Effect {
	m.next, m.maybe = s, false
	return m.do(Effect{Op: Commit, State: s})
}

// committed is the table of exactly-once.md, "Ownership: pins".
func (m *Machine) committed(in Input) Effect {
	switch in.Kind {
	case CommitApplied:
		m.state = m.next
		return m.onward()
	case CommitNotApplied:
		return m.do(Effect{Op: Commit, State: m.next, Again: true})
	case CommitUncertain: // never later than the retry, so only the same bytes settle it (I4)
		m.maybe = true
		return m.do(Effect{Op: Commit, State: m.next, Again: true})
	case CommitFenced:
		if m.maybe { // that a retry is refused proves nothing about the first sending
			return m.end(in.Err)
		}
		return m.do(Effect{Op: AwaitPin})
	case CommitOver:
		return m.end(in.Err)
	case CommitUnanswered: // may land at any later moment while its member lives (I5)
		return m.do(Effect{Op: Rejoin, Err: in.Err})
	}
	return m.outOfStep(in)
}

// onward goes on after a commit was applied.
func (m *Machine) onward() Effect {
	if m.state.Phase == Intent {
		return m.publish(0)
	}
	if m.flush != nil {
		m.flushed = m.flush.Ahead
		m.flush, m.sizes = nil, nil
	}
	return m.ready()
}
