package flush_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// What the owners do: start, cut, and perform the effects of their machines against the modelled world.

// emit takes a world that one step leads to. Faults are steps that nobody has to take.
type emit func(next *world, fault bool, did action)

// action says what a step did, for a trace.
type action struct {
	what   string
	slot   int8
	detail string
	a, b   int16
}

func (a action) String() string {
	s := a.what
	if a.slot >= 0 {
		s = fmt.Sprintf("p%d/%d %s", a.slot/2, a.slot%2, s)
	}
	if a.detail != "" {
		s += " " + a.detail
	}
	if a.a != 0 || a.b != 0 {
		s += fmt.Sprintf(" %d %b", a.a, a.b)
	}
	return s
}

// start lets process p begin an ownership, once the partition is its own.
func (k *book) start(w *world, p int, out emit) {
	now := 2 * p
	s := &w.slots[now]
	if !w.up[p] || w.spent[p] || int(w.owner) != p || (s.m != nil && s.alive) {
		return
	}
	c := w.clone()
	if k.bounds.outlive && s.m != nil { // its goroutine has not heard yet
		c.slots[now+1] = *s
	}
	known := k.known
	known.Committed, known.Offset, known.CommittedEpoch = w.started, w.state.Low, w.state.LeaderEpoch
	known.Metadata = w.state.Metadata()
	known.ResetOffset = int64(w.reset)
	mark := w.gate.Marks[0]
	if k.broken != noGateAtStart {
		known.GateSeq, known.GateManifest = mark.Seq, mark.Manifest
	}
	if n := len(w.flushes); n > 0 {
		known.NewestManifest = k.all[w.flushes[n-1].id].m.Key
	}
	m, eff := flush.Start(known)
	if eff.Op == flush.ReadManifest { // manifests never change: reading one now or later is the same
		m.Step(flush.Input{Kind: flush.ManifestRead, Manifest: k.all[w.id(k, eff.Key)].m})
	}
	c.blind = m.Doing().Op != flush.Stop && (mark.Seq > w.state.Seq || mark.Seq == w.state.Seq && mark.Manifest != w.state.Manifest)
	c.slots[now] = slot{m: m, alive: true, member: w.member[p], gen: w.gen, ver: w.ver, pos: int8(m.Low())}
	if id := w.id(k, w.state.Manifest); id != nobody && k.broken == noSets {
		c.slots[now].bounds = k.all[id].bound1
	}
	out(c, false, action{what: "starts at", slot: int8(now), detail: w.state.Phase.String(), a: int16(w.state.Seq)})
}

func route(offset, ver int8) int8 { return (offset + ver) % lakeParts }

// readTo reads records up to end. Reading is no step of its own: nobody else can see it.
func (s *slot) readTo(k *book, end int8) {
	for ; s.pos < end; s.pos++ {
		o := s.pos
		if k.bounds.letters>>o&1 == 1 {
			if !s.m.Settled(int64(o)) {
				s.waits |= 1 << o
			}
			continue
		}
		p := route(o, s.ver)
		for t := range k.bounds.tables {
			done := s.m.Flushed(tableNames[t], int64(o))
			switch k.broken {
			case noSets:
				done = o < s.bounds[p]
			case noSkip:
				done = false
			}
			if !done {
				s.open[t*lakeParts+p] |= 1 << o
			}
		}
	}
}

// cuts flushes every choice of open files at every position. An ownership that has lost the partition does not cut: what
// it cuts then it could have cut before, and nobody would have seen a difference.
func (k *book) cuts(w *world, n int, out emit) {
	s := w.slots[n]
	if !s.alive || s.m.Doing().Op != flush.None || len(w.flushes) >= maxFlushes {
		return
	}
	for ; ; s.readTo(k, s.pos+1) {
		var full []int
		for i, mask := range s.open {
			if mask != 0 {
				full = append(full, i)
			}
		}
		for choice := range 1 << len(full) {
			var files []int
			for i, f := range full {
				if choice>>i&1 == 1 {
					files = append(files, f)
				}
			}
			if len(files) > 0 || s.waits != 0 {
				k.cut(w, n, s, files, out)
			}
		}
		if s.pos >= k.bounds.records {
			return
		}
	}
}

func (k *book) cut(w *world, n int, s slot, files []int, out emit) {
	a := attempt{letter: k.unused(w), pos: s.pos, letters: s.waits, before: s.m.State(), pred: s.m.State().Manifest}
	id := string(a.letter)
	c := flush.Cut{FlushID: id, Position: int64(s.pos)}
	a.bound0, a.bound1 = s.bounds, s.bounds
	for i, f := range files {
		set := offsets(s.open[f])
		t, p := int8(f)/lakeParts, int8(f)%lakeParts
		c.Files = append(c.Files, flush.File{
			Table: tableNames[t], Partition: lake.Partition{SourceID: string('0' + rune(p))},
			Key: fmt.Sprintf("%s-%d", id, f), Rows: set.Len(), Offsets: set,
		})
		a.masks[i], a.parts[i], a.tables[i] = s.open[f], p, t
		a.bound1[p] = s.pos
	}
	for f, mask := range s.open {
		if mask != 0 && !slices.Contains(files, f) && k.broken != noLow {
			c.Pending = append(c.Pending, flush.PendingFile{Table: tableNames[f/lakeParts], Min: offsets(mask).Min()})
		}
	}
	for o := range offsets(s.waits).All() {
		c.DeadLetters = append(c.DeadLetters, flush.DeadLetter{Offset: o, Reason: "malformed"})
	}
	next := w.clone()
	s.m = s.m.Clone()
	if eff := s.m.Cut(c); eff.Op == flush.PutManifest {
		a.m, a.note = eff.Manifest, eff.Manifest.Notification(time.Time{})
		s.m.Step(flush.Input{Kind: flush.OK}) // a manifest that nobody names yet is seen by nobody
		next.put(k, k.learn(a), len(files))
	}
	for _, f := range files {
		s.open[f] = 0
	}
	s.waits = 0
	next.slots[n] = s
	out(next, false, action{what: "cuts " + id, slot: int8(n), detail: fmt.Sprint(a.masks), a: int16(a.pos), b: int16(a.letters)})
}

// unused is the smallest letter that no flush in this world has.
func (k *book) unused(w *world) byte {
	for letter := byte('a'); ; letter++ {
		if !slices.ContainsFunc(w.flushes, func(f flushState) bool { return k.all[f.id].letter == letter }) {
			return letter
		}
	}
}

func (w *world) put(k *book, id int16, files int) {
	f := flushState{id: id}
	for i := range files {
		f.uploads[i] = open
	}
	at, _ := slices.BinarySearchFunc(w.flushes, id, func(f flushState, id int16) int { return int(f.id) - int(id) })
	w.flushes = slices.Insert(w.flushes, at, f)
}

func offsets(mask uint8) *flush.Offsets {
	set := new(flush.Offsets)
	for o := range int64(8) {
		if mask>>o&1 == 1 {
			set.Add(o)
		}
	}
	return set
}

var errModel = errors.New("model")

// perform does the effect that slot n's machine waits for, with every answer that the world may give.
func (k *book) perform(w *world, n int, out emit) {
	eff := w.slots[n].m.Doing()
	answer := func(c *world, kind flush.InputKind, fault bool) {
		k.step(c, n, flush.Input{Kind: kind, Err: errModel})
		out(c, fault, action{what: eff.Op.String() + " → " + kind.String(), slot: int8(n), a: int16(eff.File)})
	}
	switch eff.Op {
	case flush.PutStarted:
		c := w.clone()
		if c.marker < 0 {
			c.marker = int8(eff.Offset)
		}
		offset := int64(c.marker)
		if k.broken == noMarker {
			offset = eff.Offset
		}
		k.step(c, n, flush.Input{Kind: flush.Started, Offset: offset})
		out(c, false, action{what: "marks", slot: int8(n), a: int16(c.marker)})
	case flush.Commit:
		k.commit(w, n, eff, answer)
	case flush.AwaitPin: // of a retained partition: calm ends the others
		c := w.clone()
		c.renew(n)
		answer(c, flush.PinRenewed, false)
	case flush.Complete, flush.Head, flush.Repair:
		k.publish(w, n, eff, out, answer)
	case flush.ProduceDeadLetters:
		c := w.clone()
		letters := k.all[w.id(k, eff.Manifest.Key)].letters
		if k.broken == noLetterAck {
			c.waiting[n/2] |= letters
		} else {
			c.produced |= letters
		}
		answer(c, flush.OK, false)
	case flush.Notify:
		c := w.clone()
		id := w.id(k, eff.Manifest.Key)
		if k.broken == noAck {
			c.held[n/2] = id
		} else {
			c.notify(k, id)
		}
		answer(c, flush.OK, false)
	}
}

// publish is S3.
func (k *book) publish(w *world, n int, eff flush.Effect, out emit, answer func(*world, flush.InputKind, bool)) {
	c := w.clone()
	f := &c.flushes[w.find(k, eff.Manifest.Key)]
	a, i := &k.all[f.id], eff.File
	switch {
	case eff.Op == flush.Complete && f.uploads[i] != open:
		answer(c, flush.NoSuchUpload, false)
	case eff.Op == flush.Complete:
		f.uploads[i], f.objects[i] = completed, a.masks[i]
		answer(c, flush.Visible, false)
	case f.objects[i] != 0: // Head, or Repair answered 412
		c.replaced = c.replaced || eff.Op == flush.Repair && k.broken == noCondition
		answer(c, flush.Visible, false)
	case eff.Op == flush.Repair:
		f.objects[i] = k.reread(a, i, w.slots[n].ver)
		answer(c, flush.Visible, false)
	case k.broken == noHead:
		answer(c, flush.Visible, false)
	case k.broken == noForward:
		if c.fits(n) {
			c.state = a.before
		}
		c.slots[n] = slot{}
		out(c, false, action{what: "drops the decision", slot: int8(n)})
	default:
		answer(c, flush.NotFound, false)
	}
}

// reread is what a repair finds when it reads the file's records again: its set of offsets, whoever reads.
func (k *book) reread(a *attempt, i int, ver int8) uint8 {
	if k.broken != noSets {
		return a.masks[i]
	}
	var mask uint8
	for o := a.bound0[a.parts[i]]; o < a.pos; o++ {
		if route(o, ver) == a.parts[i] {
			mask |= 1 << o
		}
	}
	return mask
}
