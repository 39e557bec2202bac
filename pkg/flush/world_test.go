package flush_test

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// The world that the exploration walks through: one Kafka partition of a few records, two lake partitions, two
// processes, a group coordinator, S3, the flush topic and the gate. The owners are real Machines, the gate is a real
// Gate; everything else is modelled as real-parts.md measured it. Sets of records are bit masks.

const (
	processes  = 2
	lakeParts  = 2
	maxTables  = 2
	maxFlushes = 12
	maxFiles   = lakeParts * maxTables
	maxSlots   = 2 * processes // per process: the current ownership, and an older one whose goroutine lives on
	nobody     = int16(-1)     // no flush
)

// bounds is how much of everything one exploration allows.
type bounds struct {
	records                                                              int8
	tables                                                               int8
	letters                                                              uint8 // records that are no events
	rebalances, crashes, expiries, late, answers, reroutes, resets, back int8
	shuffles                                                             int8 // notifications delivered out of order, or twice
	lag                                                                  bool // the gate may lag behind; otherwise it is eager
	outlive                                                              bool // goroutines may outlive their ownership
}

// broken is one rule of the protocol switched off.
type broken string

const (
	asDesigned    broken = ""
	noFence       broken = "fence"            // the coordinator takes commits of any member and generation
	noIntent      broken = "intent"           // files are completed without a decision
	noForward     broken = "roll-forward"     // a lost upload drops the decision
	noManifest    broken = "gate by manifest" // the gate compares seq only
	noRejoin      broken = "rejoin"           // after an unanswered commit the same member reads the state again
	sharedPin     broken = "pin per ownership"
	noSets        broken = "sets of offsets" // what is flushed is remembered as boundaries per lake partition
	noGateAtStart broken = "ask the gate"
	noMarker      broken = "started marker"
	noRepeat      broken = "decide again" // a decision that was found is published without being committed once more
	noAck         broken = "acknowledged before the advance"
	noLow         broken = "what waits holds low" // low' is where the cut stands, whatever other lake partitions still hold
	noSkip        broken = "skip what is flushed"
	noHead        broken = "head after no such upload"      // an upload that is gone is taken for completed
	noCondition   broken = "if-none-match"                  // a repair replaces the object that is there
	noSettle      broken = "the same bytes settle a doubt"  // COORDINATOR_* is taken for applied
	noLetterAck   broken = "dead letters acknowledged"      // they wait in the producer's buffer
	noChain       broken = "a gap is closed by predecessor" // the gate lets a later seq pass
)

// flushState is what stands in S3 of one flush attempt: manifest, uploads, objects.
type flushState struct {
	id      int16 // index into book.flushes
	uploads [maxFiles]uploadStatus
	objects [maxFiles]uint8 // records in the visible object; 0 = not visible
}

type uploadStatus uint8

const (
	open uploadStatus = iota + 1
	completed
	expired
)

// slot is one ownership of the partition: a goroutine with its machine.
type slot struct {
	m      *flush.Machine
	alive  bool // the partition has not left this ownership
	member int8 // the pin
	gen    int8 // the pin
	ver    int8 // of the code that routes records
	pos    int8 // next record to read
	open   [maxFiles]uint8
	bounds [lakeParts]int8 // only where sets are switched off
	waits  uint8           // dead letters not yet in a flush
}

// sent is a commit that was sent and may still be applied.
type sent struct {
	process int8
	member  int8
	gen     int8
	ordered bool // COORDINATOR_*: it is in the coordinator's log, before every later commit
	state   flush.State
}

type world struct {
	owner   int8
	gen     int8
	up      [processes]bool
	member  [processes]int8
	spent   [processes]bool // a commit of this member was not answered
	slots   [maxSlots]slot
	started bool // something is committed
	state   flush.State
	before  flush.State // the committed state before state, for an unclean election
	wasSet  bool        // before is a committed state
	flight  []sent
	marker  int8 // -1 = none
	reset   int8 // where the group would start today
	ver     int8

	flushes  []flushState
	topic    []int16 // notifications that the gate has not read
	held     [processes]int16
	produced uint8 // dead letters
	gate     flush.Gate
	accepted []int16
	waiting  [processes]uint8 // dead letters in a producer's buffer; only where noLetterAck
	replaced bool             // a visible object was replaced
	moved    bool             // an unclean election moved the committed state
	blind    bool             // an owner went on from a state that is older than what the gate knows
	told     []int16          // every flush that was ever notified; kept only where elections are

	left bounds // of the faults
}

// book holds what is the same in every world of one exploration.
type book struct {
	bounds bounds
	broken broken
	known  flush.Known
	byText map[string]int16
	all    []attempt
	seeds  [2]maphash.Seed
	text   []byte
}

// attempt is the content of one manifest.
type attempt struct {
	m       *flush.Manifest
	note    flush.Notification
	letter  byte // names it in one world
	masks   [maxFiles]uint8
	parts   [maxFiles]int8
	letters uint8
	tables  [maxFiles]int8
	pos     int8
	before  flush.State // what was committed before it
	bound0  [lakeParts]int8
	bound1  [lakeParts]int8
	pred    string
}

var tableNames = [maxTables]string{"eventlogs", "eventlogs_raw"}

func newBook(b bounds, off broken) *book {
	k := &book{bounds: b, broken: off, byText: map[string]int16{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	owner := lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}}
	k.known = flush.Known{
		Owner: owner, ClusterID: "c", Bucket: "b", Home: flush.Home("c", owner.TopicID, "b", ""),
		Tables: tableNames[:b.tables], LogEnd: int64(b.records), OwnedPartitions: 1,
	}
	return k
}

func (k *book) first() *world {
	w := &world{up: [processes]bool{true, true}, marker: -1, left: k.bounds}
	for p := range w.held {
		w.held[p] = nobody
	}
	return w
}

// clone shares what is replaced as a whole; only flushes are changed in place.
func (w *world) clone() *world {
	c := *w
	c.flushes = slices.Clone(w.flushes)
	c.flight, c.topic, c.accepted, c.told = slices.Clip(w.flight), slices.Clip(w.topic), slices.Clip(w.accepted), slices.Clip(w.told)
	return &c
}

// step gives slot n what came of its effect. The machine is cloned: other worlds hold it too.
func (k *book) step(w *world, n int, in flush.Input) {
	s := &w.slots[n]
	s.m = s.m.Clone()
	switch eff := s.m.Step(in); eff.Op {
	case flush.End:
		*s = slot{}
	case flush.Rejoin:
		w.spent[n/2] = k.broken != noRejoin
		*s = slot{}
	case flush.None:
		s.pos = max(s.pos, int8(s.m.Low()))
		if id := w.id(k, s.m.State().Manifest); id != nobody && k.broken == noSets {
			s.bounds = k.all[id].bound1
		}
	}
}

// calm takes the steps of dead ownerships that nobody can see and nothing can stop: their commits are refused, and what
// they would cut now they could have cut before.
func (k *book) calm(w *world) {
	for n := range w.slots {
		s := &w.slots[n]
		for s.m != nil && !s.alive {
			switch op := s.m.Doing().Op; {
			case op == flush.None:
				*s = slot{}
			case op == flush.AwaitPin:
				k.step(w, n, flush.Input{Kind: flush.OwnershipOver})
			case op == flush.Commit && k.broken != noFence && k.broken != sharedPin:
				k.step(w, n, flush.Input{Kind: w.refusal(n)})
			default:
				s.pos, s.open, s.waits = 0, [maxFiles]uint8{}, 0
				if k.broken != noSets {
					s.ver = 0
				}
				s = &slot{}
			}
		}
	}
}

// refusal is what the coordinator answers to a commit under a pin that does not fit.
func (w *world) refusal(n int) flush.InputKind {
	if w.slots[n].member != w.member[n/2] {
		return flush.CommitOver
	}
	return flush.CommitFenced
}

// learn gives the manifest its number, the same one for the same content.
func (k *book) learn(a attempt) int16 {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d %d %s", a.m.Key, a.m.Low, a.m.NextLow, a.pred)
	fmt.Fprint(&b, a.masks, a.tables, a.parts, a.letters, a.bound0, a.bound1, a.before.Phase, a.before.Manifest, a.before.Ahead, a.before.Low)
	for _, table := range tableNames {
		b.WriteString("/" + a.m.Ahead[table].String())
	}
	if id, ok := k.byText[b.String()]; ok {
		return id
	}
	if len(k.all) > math.MaxInt16 {
		panic("more manifests than their numbers can tell apart")
	}
	id := int16(len(k.all))
	k.all, k.byText[b.String()] = append(k.all, a), id
	return id
}

// find is the index in w.flushes of the manifest with that key, -1 when there is none.
func (w *world) find(k *book, key string) int {
	if key == "" {
		return -1
	}
	return slices.IndexFunc(w.flushes, func(f flushState) bool { return k.all[f.id].m.Key == key })
}

// forget drops uploads and manifests that nothing in the world can name any more: nobody will look at them again.
func (w *world) forget(k *book) {
	var used [maxFlushes]bool
	var use func(key string)
	use = func(key string) {
		if i := w.find(k, key); i >= 0 && !used[i] {
			used[i] = true
			use(k.all[w.flushes[i].id].pred)
		}
	}
	use(w.state.Manifest)
	if w.left.back > 0 {
		use(w.before.Manifest)
	}
	for _, c := range w.flight {
		use(c.state.Manifest)
	}
	for s := range w.slots {
		if w.slots[s].m != nil {
			state, next, flushing := w.slots[s].m.Names()
			use(state)
			use(next)
			use(flushing)
		}
	}
	for _, ids := range [][]int16{w.topic, w.accepted, w.told, w.held[:]} {
		for _, id := range ids {
			if id != nobody {
				use(k.all[id].m.Key)
			}
		}
	}
	for i := range w.flushes {
		if w.flushes[i].objects != [maxFiles]uint8{} {
			use(k.all[w.flushes[i].id].m.Key)
		}
	}
	i := 0
	w.flushes = slices.DeleteFunc(w.flushes, func(flushState) bool { i++; return !used[i-1] })
}

// refuse drops the commits on their way that the coordinator would refuse whenever they came.
func (w *world) refuse() {
	if len(w.flight) > 0 {
		w.flight = slices.DeleteFunc(slices.Clone(w.flight), func(c sent) bool {
			return !c.ordered && (c.member != w.member[c.process] || c.gen != w.gen)
		})
	}
}

// key is the same for worlds that cannot be told apart. Members and generations count only as far as they fit, and the
// processes have no names: the owner is the first.
func (w *world) key(k *book, b []byte) []byte {
	name := func(key string) byte { return byte(w.find(k, key)) } // flushes are sorted, and all of them are in the key
	b = append(b, bit(w.started)|bit(w.moved)<<1|bit(w.wasSet)<<2|bit(w.blind)<<4|bit(w.gate.Marks[0].Alarm != "")<<3|bit(w.replaced)<<5,
		byte(w.marker), byte(w.reset), byte(w.ver), w.produced)
	for _, p := range []int8{w.owner, 1 - w.owner} {
		b = append(b, bit(w.up[p])|bit(w.spent[p])<<1)
		b = append16(append(b, w.waiting[p]), w.held[p])
		b = w.slots[2*p].key(w, p, b, name)
		b = w.slots[2*p+1].key(w, p, b, name)
	}
	state := func(s flush.State) { b = append(b, byte(s.Phase), byte(s.Low), name(s.Manifest)) }
	state(w.state)
	if w.left.back > 0 {
		state(w.before)
	}
	for _, c := range w.flight {
		b = append(b, 0xe0|bit(c.process == w.owner), bit(c.ordered))
		state(c.state)
	}
	for _, f := range w.flushes {
		b = append16(append(b, 0xd0), f.id)
		for i := range maxFiles {
			b = append(b, byte(f.uploads[i]), f.objects[i])
		}
	}
	for _, ids := range [][]int16{w.topic, w.accepted, w.told} {
		b = append(b, 0xc0)
		for _, id := range ids {
			b = append(b, name(k.all[id].m.Key))
		}
	}
	l := &w.left
	return append(b, byte(l.rebalances), byte(l.crashes), byte(l.expiries), byte(l.late), byte(l.answers), byte(l.reroutes),
		byte(l.resets), byte(l.back), byte(l.shuffles))
}

func (s *slot) key(w *world, process int8, b []byte, name func(string) byte) []byte {
	if s.m == nil {
		return append(b, 0)
	}
	fits := bit(s.member == w.member[process])<<2 | bit(s.gen == w.gen)<<3
	b = append(b, 1|bit(s.alive)<<1|fits, byte(s.ver), byte(s.pos), s.waits)
	b = append(b, s.open[:]...)
	for _, v := range s.bounds {
		b = append(b, byte(v))
	}
	return s.m.AppendKey(b, name)
}

func (w *world) id(k *book, key string) int16 {
	if i := w.find(k, key); i >= 0 {
		return w.flushes[i].id
	}
	return nobody
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func append16(b []byte, v int16) []byte { return append(b, byte(v), byte(v>>8)) }
