package flush

import "slices"

// Clone returns a machine that goes its own way: what both point to is never changed in place.
func (m *Machine) Clone() *Machine {
	c := *m
	c.sizes, c.lost = slices.Clone(m.sizes), slices.Clone(m.lost)
	return &c
}

// Doing is the effect that the machine waits for.
func (m *Machine) Doing() Effect { return m.doing }

// Names are the keys of the manifests that the machine may still speak of.
func (m *Machine) Names() (state, next, flush string) {
	if m.flush != nil {
		flush = m.flush.Key
	}
	return m.state.Manifest, m.next.Manifest, flush
}

// AppendKey appends everything that decides what the machine will do, given a short name for each manifest key. The facts
// of the start are left out: they are compared once, before the first None.
func (m *Machine) AppendKey(b []byte, name func(key string) byte) []byte {
	state, next, flush := m.Names()
	b = append(b, byte(m.doing.Op), byte(m.doing.File), byte(m.doing.Offset), name(state), byte(m.state.Phase), byte(m.state.Low), name(flush))
	if m.doing.Op == Commit || m.doing.Op == AwaitPin {
		b = append(b, name(next), byte(m.next.Phase), byte(m.next.Low), flag(m.maybe)|flag(m.doing.Again)<<1)
	}
	for _, i := range m.lost {
		b = append(b, 0xf0, byte(i))
	}
	return append(b, flag(m.checked))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
