package flush

import "fmt"

// decide asks for the commit that is the only decision of a flush (I1): before it nothing is visible and everything may
// be dropped, after it the flush only rolls forward.
func (m *Machine) decide() Effect {
	s := m.state
	s.Seq, s.Phase, s.Manifest = m.flush.Seq, Intent, m.flush.Key
	return m.commit(s)
}

// publish completes the files from the i-th on, then the dead letters, then the notification.
func (m *Machine) publish(i int) Effect {
	switch {
	case i < len(m.flush.Files):
		return m.do(Effect{Op: Complete, Manifest: m.flush, File: i})
	case len(m.lost) > 0 && !m.known.Accept.loss():
		return m.stop(CauseUnrepaired, acceptLoss, fmt.Sprintf("of flush %d %d of %d uploads are lost and cannot be written again (%s); the others are visible",
			m.flush.Seq, len(m.lost), len(m.flush.Files), m.describeLost()), m.lostWhy)
	case len(m.flush.DeadLetters) > 0:
		return m.do(Effect{Op: ProduceDeadLetters, Manifest: m.flush})
	}
	return m.notify()
}

// published goes on with one file: Complete first, Head only after it, Repair only after a 404 (I6).
func (m *Machine) published(in Input) Effect {
	i := m.doing.File
	switch {
	case in.Kind == Visible:
		if in.Bytes > 0 {
			m.sizes[i] = in.Bytes
		}
		return m.publish(i + 1)
	case in.Kind == NoSuchUpload && m.doing.Op == Complete:
		return m.do(Effect{Op: Head, Manifest: m.flush, File: i})
	case in.Kind == NotFound && m.doing.Op == Head:
		return m.do(Effect{Op: Repair, Manifest: m.flush, File: i})
	case (in.Kind == RowsGone || in.Kind == RowsDiffer) && m.doing.Op == Repair:
		if len(m.lost) == 0 {
			m.lostWhy = in.Err
		}
		m.lost = append(m.lost, i)
		return m.publish(i + 1)
	}
	return m.outOfStep(in)
}

func (m *Machine) produced(in Input) Effect {
	switch in.Kind {
	case OK:
		return m.notify()
	case RowsGone:
		if m.known.Accept.loss() {
			m.lettersLost = true
			return m.notify()
		}
		return m.stop(CauseUnrepaired, acceptLoss, fmt.Sprintf("dead letters of flush %d are not known to be produced and are no longer in Kafka", m.flush.Seq), in.Err)
	}
	return m.outOfStep(in)
}

func (m *Machine) notify() Effect {
	return m.do(Effect{Op: Notify, Manifest: m.flush, Sizes: m.sizes, Lost: m.lost})
}

// advance ends the flush, after the notification is acknowledged and never before (I8).
func (m *Machine) advance() Effect {
	if len(m.lost) > 0 || m.lettersLost {
		return m.giveUp()
	}
	return m.commit(m.doneState())
}

func (m *Machine) doneState() State {
	f := m.flush
	return State{
		Low: f.NextLow, LeaderEpoch: f.LeaderEpoch, Seq: f.Seq, Phase: Done, Manifest: f.Key,
		Ahead: len(f.Ahead) > 0, Home: m.known.Home,
	}
}
