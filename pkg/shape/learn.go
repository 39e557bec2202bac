package shape

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"weir/pkg/event"
)

// What a Learner holds at most. Beyond, events of shapes that it does not know are Unnoted, until Renew.
const (
	maxShapes = 4096
	maxBytes  = 1 << 20 // of names and keys
	maxProbes = 16      // places that are looked at for a shape: nobody makes a look-up long
)

// Learner knows shapes: events that have the same type, name, keys and kinds, in the same order, are of one. So an event
// of a shape that was seen before costs a hash and a comparison. The zero value knows none.
type Learner struct {
	slots []*form // an open hash table; its length is a power of two
	known int
	bytes int

	kinds []Kind // of the entries that are looked at, null of those that do not count: scratch
}

// null is the kind of what is none.
const null = Kinds

// form is one shape.
type form struct {
	hash       uint64
	number     int // among those that the learner knew when it learned this one
	event      Event
	properties []property
	unnoted    int64 // values that are left out of each event
}

type property struct {
	key  string
	kind Kind
}

// Note counts an event. It allocates nothing where the shape is known to both.
func (l *Learner) Note(v *event.View, t *Tally) {
	name, entries, ok := source(v)
	if !ok {
		return
	}
	one := looked{typ: v.Type.B, name: name, entries: entries}
	h := mix(mix(0, one.typ), name)
	l.kinds = l.kinds[:0]
	for i := range entries {
		e := &entries[i]
		k, ok := kindOf(e)
		if l.kinds = append(l.kinds, k); ok {
			one.values++
			h = mix(h+uint64(k), e.Key)
		}
	}
	one.kinds = l.kinds
	if f := l.find(h, &one); f != nil {
		t.add(f)
	} else {
		t.unnoted++
	}
}

// looked is the event that is looked at.
type looked struct {
	typ, name []byte
	entries   []event.Entry
	kinds     []Kind // of the entries
	values    int    // those that are no null
}

// source is where the properties of an event stand; ok is false for types that nothing is known of.
func source(v *event.View) (name []byte, entries []event.Entry, ok bool) {
	switch string(v.Type.B) {
	case "track":
		return v.Event.B, v.Properties.Entries, true
	case "page", "screen":
		return nil, v.Properties.Entries, true
	case "identify", "group":
		return nil, v.Traits.Entries, true
	case "alias":
		return nil, nil, true
	}
	return nil, nil, false
}

// mix folds a text into a hash: its length, its first and its last bytes. Where it is wrong about two texts, same is right.
func mix(h uint64, text []byte) uint64 {
	n := len(text)
	var a, b uint64
	switch {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(text)), uint64(binary.LittleEndian.Uint32(text[n-4:]))
	case n > 0:
		a = uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	}
	high, low := bits.Mul64(h^a^0x9e3779b97f4a7c15, b^uint64(n)^0xd1342543de82ef95)
	return high ^ low
}

func (l *Learner) find(h uint64, one *looked) *form {
	mask := uint64(len(l.slots) - 1)
	if len(l.slots) > 0 {
		for i := range uint64(maxProbes) {
			f := l.slots[(h+i)&mask]
			if f == nil {
				break
			}
			if f.hash == h && f.has(one) {
				return f
			}
		}
	}
	return l.learn(h, one)
}

// has tells whether an event has that shape.
func (f *form) has(one *looked) bool {
	if len(f.properties)+int(f.unnoted) != one.values || f.event.Name != string(one.name) || f.event.Type != string(one.typ) {
		return false
	}
	at := 0
	for i, k := range one.kinds {
		if k == null || !noted(&one.entries[i], at) {
			continue
		}
		if at == len(f.properties) {
			return false
		}
		if p := &f.properties[at]; p.kind != k || p.key != string(one.entries[i].Key) {
			return false
		}
		at++
	}
	return at == len(f.properties)
}

// noted tells whether a property is, of an event of which so many are noted.
func noted(e *event.Entry, so int) bool {
	return so < maxProperties && len(e.Key) > 0 && len(e.Key) <= maxKey
}

// maxProperties is how many of one event are noted.
const maxProperties = 200

// learn adds the shape of the event that is looked at; nil where there is no room for it.
func (l *Learner) learn(h uint64, one *looked) *form {
	size := len(one.name) + len(one.typ)
	for i := range one.entries {
		size += len(one.entries[i].Key)
	}
	if l.known == maxShapes || l.bytes+size > maxBytes || len(one.name) > maxName {
		return nil
	}
	if 2*(l.known+1) > len(l.slots) {
		l.grow()
	}
	at := l.free(h)
	if at == nil {
		return nil
	}
	f := &form{hash: h, number: l.known, event: Event{string(one.typ), string(one.name)}}
	for i, k := range one.kinds {
		switch e := &one.entries[i]; {
		case k == null:
		case noted(e, len(f.properties)):
			f.properties = append(f.properties, property{string(e.Key), k})
		default:
			f.unnoted++
		}
	}
	*at, l.known, l.bytes = f, l.known+1, l.bytes+size
	return f
}

func (l *Learner) grow() {
	old := l.slots
	l.slots = make([]*form, max(64, 2*len(old)))
	for _, f := range old {
		if f == nil {
			continue
		}
		if at := l.free(f.hash); at != nil {
			*at = f
		} else {
			l.known-- // it is learned again
		}
	}
}

// free is a free place for a shape; nil where none is near.
func (l *Learner) free(h uint64) **form {
	mask := uint64(len(l.slots) - 1)
	for i := range uint64(maxProbes) {
		if at := &l.slots[(h+i)&mask]; *at == nil {
			return at
		}
	}
	return nil
}

// Renew forgets what is known where there is no room for more. Tallies keep what they have.
func (l *Learner) Renew() {
	if 10*l.known > 9*maxShapes || 10*l.bytes > 9*maxBytes {
		*l = Learner{kinds: l.kinds}
	}
}

// Tally is how many events of which shape there are, of one file. The zero value has none.
type Tally struct {
	counts map[*form]int64
	recent [8]struct { // not yet in counts, by the number of the shape
		form *form
		n    int64
	}
	unnoted int64
}

func (t *Tally) add(f *form) {
	at := &t.recent[f.number%len(t.recent)]
	if at.form != f {
		t.settle(at.form, at.n)
		at.form, at.n = f, 0
	}
	at.n++
}

func (t *Tally) settle(f *form, n int64) {
	if n == 0 {
		return
	}
	if t.counts == nil {
		t.counts = make(map[*form]int64)
	}
	t.counts[f] += n
}

// tallied is about what one shape takes in a tally.
const tallied = 48

// Held is about how many bytes of memory the tally takes, the shapes themselves aside, which the learner bounds.
func (t *Tally) Held() int64 { return int64(len(t.counts)) * tallied }

// Of sums tallies up. There is nothing where there are no events. The tallies stay as they are.
func Of(l Limits, tallies ...*Tally) *Summary {
	total := make(map[*form]int64)
	s := new(Summary)
	for _, t := range tallies {
		s.Unnoted.Events += t.unnoted
		for _, r := range t.recent {
			if r.n > 0 {
				total[r.form] += r.n
			}
		}
		for f, n := range t.counts {
			total[f] += n
		}
	}
	forms := make([]*form, 0, len(total))
	for f := range total {
		forms = append(forms, f)
	}
	slices.SortFunc(forms, func(a, b *form) int { return compareForms(a, b, total) })
	left := l.Total
	for _, f := range forms {
		left -= s.fold(f, total[f], l, left)
	}
	if s.Empty() {
		return nil
	}
	return s
}
