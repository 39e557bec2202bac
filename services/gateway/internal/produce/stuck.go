package produce

import "time"

// refuse looks for the record that Kafka refuses, by handing the requests of the round one by one: those that share its
// batch fail with it. Its source waits then, for a person.
func (x *replay) refuse(r *round, err error) {
	if len(r.cargos) > 1 {
		x.alone = len(r.cargos)
		return
	}
	x.stick(r.cargos[0].entry.Key, err)
}

// stick makes a source wait of which Kafka refuses a record: what it holds is not given up, nor overtaken. So that nobody
// waits behind it, its first request alone stays parked; the others are passed over, and read again once Kafka has that.
func (x *replay) stick(key string, err error) {
	x.stuck[key] = time.Now().Add(stuckPause)
	x.passed[key] = true
	delete(x.turned, key)
	x.p.opts.Spill.Return(key)
	x.p.opts.Returned(Return{Source: key, Err: err})
}

// taken looks whether Kafka has taken what a source waited for. What stood before that is no reason to read again.
func (x *replay) taken(r *round) {
	for _, l := range r.cargos {
		_, stuck := x.stuck[l.entry.Key]
		x.again = x.again || x.passed[l.entry.Key] && !stuck
	}
}

// passes says whether a request that was read is behind another of its source that is parked alone. The first that is met
// of a source that waits is that one.
func (x *replay) passes(key string) bool {
	if x.passed[key] {
		return true
	}
	if _, stuck := x.stuck[key]; stuck {
		x.passed[key] = true
	}
	return false
}

// rewind reads the spill again from its first request: what Kafka has of it is not met again, and what its client has is
// parked.
func (x *replay) rewind() {
	x.parked, x.again = nil, false
	clear(x.passed)
	x.p.opts.Spill.Rewind()
}
