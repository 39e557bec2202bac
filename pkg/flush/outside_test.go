package flush_test

import (
	"errors"
	"slices"

	"weir/pkg/flush"
)

// What happens to the owners: the coordinator, faults, the flush topic and the gate.

// fits: the coordinator looks at member and generation, never at the ownership.
func (w *world) fits(n int) bool {
	s := &w.slots[n]
	return s.member == w.member[n/2] && s.gen == w.gen && w.up[n/2]
}

func (w *world) renew(n int) { w.slots[n].member, w.slots[n].gen = w.member[n/2], w.gen }

func (k *book) commit(w *world, n int, eff flush.Effect, answer func(*world, flush.InputKind, bool)) {
	c := w.clone()
	s := &c.slots[n]
	switch {
	case k.broken == sharedPin && w.up[n/2]:
		c.renew(n)
		k.take(c, n, eff, answer)
	case c.fits(n) || k.broken == noFence:
		k.take(c, n, eff, answer)
	case !s.alive || s.member != c.member[n/2]:
		answer(c, c.refusal(n), false)
	default: // retained: refused under the old generation, or sent when the new one is known
		answer(c, flush.CommitFenced, false)
		if !eff.Again {
			c = w.clone()
			c.renew(n)
			k.take(c, n, eff, answer)
		}
	}
}

// take is a commit that the coordinator accepts.
func (k *book) take(w *world, n int, eff flush.Effect, answer func(*world, flush.InputKind, bool)) {
	if w.left.late > 0 {
		c := w.clone()
		c.left.late--
		c.flight = append(c.flight, sent{process: int8(n / 2), member: c.slots[n].member, gen: c.slots[n].gen, state: eff.State})
		answer(c, flush.CommitUnanswered, true)
	}
	if w.left.answers > 0 {
		c := w.clone()
		c.left.answers--
		answer(c, flush.CommitNotApplied, true)
		c = w.clone()
		c.left.answers--
		k.apply(c, eff.State)
		answer(c, flush.CommitUncertain, true)
		c = w.clone()
		c.left.answers--
		c.flight = append(c.flight, sent{process: int8(n / 2), ordered: true, state: eff.State})
		if k.broken == noSettle {
			answer(c, flush.CommitApplied, true)
		} else {
			answer(c, flush.CommitUncertain, true)
		}
	}
	c := w.clone()
	k.apply(c, eff.State)
	answer(c, flush.CommitApplied, false)
}

// apply appends a commit to the coordinator's log: whatever stands there unseen is settled.
func (k *book) apply(w *world, s flush.State) {
	switch {
	case k.broken == noIntent && s.Phase == flush.Intent, k.broken == noRepeat && s.Phase == flush.Intent && s == w.state:
		return // the machine believes it, nobody committed it
	}
	w.flight = slices.DeleteFunc(slices.Clone(w.flight), func(c sent) bool { return c.ordered })
	w.set(s)
}

func (w *world) set(s flush.State) {
	w.before, w.wasSet = w.state, w.started
	w.state, w.started = s, true
}

// land lets the i-th commit on its way be applied. Of those in the coordinator's log the earlier ones are settled by it.
func (k *book) land(w *world, i int) {
	s, rest := w.flight[i], []sent(nil)
	for j, c := range w.flight {
		if j > i || j < i && !(c.ordered && s.ordered) {
			rest = append(rest, c)
		}
	}
	w.flight = rest
	if !s.ordered {
		k.apply(w, s.state)
		return
	}
	w.set(s.state)
}

// faults is everything that may happen and need not.
func (k *book) faults(w *world, out emit) {
	if w.left.rebalances > 0 {
		for p := range int8(processes) {
			k.rebalance(w, p, false, out)
		}
		k.rebalance(w, w.owner, true, out)
	}
	for p := range processes {
		if w.left.crashes > 0 && w.up[p] && w.busy(p) {
			c := w.clone()
			c.left.crashes--
			c.up[p], c.spent[p], c.held[p], c.waiting[p] = false, false, nobody, 0
			c.slots[2*p], c.slots[2*p+1] = slot{}, slot{}
			out(c, true, action{what: "crashes", slot: int8(2 * p)})
		}
	}
	if w.left.expiries > 0 {
		for i := range w.flushes {
			for f, status := range w.flushes[i].uploads {
				if status == open {
					c := w.clone()
					c.left.expiries--
					c.flushes[i].uploads[f] = expired
					out(c, true, action{what: "an upload expires", slot: -1, detail: string(k.all[w.flushes[i].id].letter), a: int16(f)})
				}
			}
		}
	}
	for i, s := range w.flight {
		c := w.clone()
		k.land(c, i)
		out(c, true, action{what: "a late commit lands", slot: -1, detail: s.state.Phase.String(), a: int16(s.state.Seq)})
	}
	if w.left.reroutes > 0 {
		c := w.clone()
		c.left.reroutes--
		c.ver++
		out(c, true, action{what: "the routing changes", slot: -1})
	}
	if w.left.resets > 0 {
		c := w.clone()
		c.left.resets--
		c.reset++
		out(c, true, action{what: "the reset position moves", slot: -1})
	}
	if w.left.back > 0 && w.wasSet && w.started {
		c := w.clone()
		c.left.back--
		c.state, c.moved, c.wasSet = w.before, true, false
		c.gen++
		for n := range c.slots {
			c.slots[n].alive = false
		}
		out(c, true, action{what: "an unclean election takes the committed state back", slot: -1})
	}
}

// busy: the process does something that a crash would end.
func (w *world) busy(p int) bool {
	return w.slots[2*p].m != nil || w.slots[2*p+1].m != nil || w.held[p] != nobody || w.waiting[p] != 0 || w.spent[p]
}

// rebalance moves the partition to process p. An owner that stays retains it, unless it loses and regains it.
func (k *book) rebalance(w *world, p int8, lost bool, out emit) {
	c := w.clone()
	c.left.rebalances--
	c.assign(p, lost)
	what := "the partition goes to"
	if lost {
		what = "the partition is lost and regained by"
	}
	out(c, true, action{what: what, slot: 2 * p})
}

func (w *world) assign(p int8, lost bool) {
	if lost || p != w.owner {
		for n := range w.slots {
			w.slots[n].alive = false
		}
	}
	w.owner = p
	w.gen++
}

// comeback is a process that crashed, or whose member is spent: it joins as another member. A static one takes its place
// in the same generation; otherwise the partition may go to either process.
func (k *book) comeback(w *world, p int, out emit) {
	if w.up[p] && !w.spent[p] {
		return
	}
	for _, how := range []int8{-1, 0, 1} {
		c := w.clone()
		c.up[p], c.spent[p] = true, false
		c.member[p]++
		for n := 2 * p; n < 2*p+2; n++ {
			c.slots[n].alive = false
		}
		if how >= 0 {
			c.assign(how, int(how) == p)
		}
		out(c, false, action{what: "joins anew", slot: int8(2 * p), detail: "owner", a: int16(how)})
	}
}

// deliver lets a notification, or dead letters, out of a producer's buffer.
func (k *book) deliver(w *world, out emit) {
	for p, id := range w.held {
		if id != nobody {
			c := w.clone()
			c.notify(k, id)
			c.held[p] = nobody
			out(c, false, action{what: "the buffered notification is sent", slot: int8(2 * p)})
		}
		if w.waiting[p] != 0 {
			c := w.clone()
			c.produced |= c.waiting[p]
			c.waiting[p] = 0
			out(c, false, action{what: "the buffered dead letters are sent", slot: int8(2 * p)})
		}
	}
}

func (w *world) notify(k *book, id int16) {
	w.topic = append(w.topic, id)
	if k.bounds.back > 0 && !slices.Contains(w.told, id) {
		w.told = append(w.told, id)
		slices.Sort(w.told)
	}
}

// catalog reads notifications: the next one, or with a fault another one, or the next one without moving on.
func (k *book) catalog(w *world, out emit) {
	if len(w.topic) == 0 || w.gate.Marks[0].Alarm != "" {
		return
	}
	for i, id := range w.topic {
		if i > 0 && w.left.shuffles == 0 {
			break
		}
		for _, again := range []bool{false, true} {
			if again && w.left.shuffles == 0 {
				continue
			}
			c := w.clone()
			if i > 0 || again {
				c.left.shuffles--
			}
			if !again {
				c.topic = slices.Delete(slices.Clone(c.topic), i, i+1)
			}
			verdict := k.judge(c, id)
			out(c, i > 0 || again, action{what: "the gate says " + verdict, slot: -1, detail: string(k.all[id].letter), a: int16(k.all[id].m.Seq)})
		}
	}
}

func (k *book) judge(c *world, id int16) string {
	note := k.all[id].note
	c.gate = c.gate.Clone()
	verdict, reason := c.gate.Judge(note)
	if verdict == flush.Gap && k.broken == noChain {
		verdict = flush.Accept
	}
	if k.broken == noManifest {
		mark := c.gate.Marks[0]
		switch {
		case note.Seq <= mark.Seq:
			verdict = flush.Repeat
		case note.Seq == mark.Seq+1:
			verdict = flush.Accept
		}
	}
	switch verdict {
	case flush.Accept:
		c.gate.Accept(note)
		c.accepted = append(c.accepted, id)
	case flush.Alarm:
		c.gate.Raise(note, reason)
	case flush.Gap:
		if err := k.closeGap(c, note); err != nil {
			c.gate.Raise(note, err.Error())
		}
	}
	return verdict.String()
}

// closeGap reads the manifests before note: those that its chain names are all there.
func (k *book) closeGap(c *world, note flush.Notification) error {
	chain, err := flush.NewChain(c.gate.Marks[0], note)
	if err != nil {
		return err
	}
	for l, _ := chain.Next(); l.Seq > 0; l, _ = chain.Next() {
		n, err := chain.Read(k.all[c.id(k, l.Manifest)].m)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if verdict, reason := c.gate.Judge(*n); verdict != flush.Accept {
			return errors.New(reason)
		}
		c.gate.Accept(*n)
		c.accepted = append(c.accepted, c.id(k, n.Manifest))
	}
	return nil
}
