package segment

import (
	"encoding/binary"
	"slices"
)

// ID numbers the requests of a spill in the order of their frames, from 1 on, over all
// its segments.
type ID uint64

// Missing are the records of a request that Kafka does not have, a bit each; none set,
// or no words at all, means that it has every one.
type Missing []uint64

// Add notes that Kafka does not have record i of n.
func (m Missing) Add(i, n int) Missing {
	if m == nil {
		m = make(Missing, (n+63)/64)
	}
	m[i/64] |= 1 << (i % 64)
	return m
}

// Has says whether record i is missing.
func (m Missing) Has(i int) bool { return i/64 < len(m) && m[i/64]>>(i%64)&1 == 1 }

// AppendNote appends to the payload of a frame of notes what became of a request.
func AppendNote(dst []byte, id ID, m Missing) []byte {
	dst = binary.AppendUvarint(dst, uint64(id))
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	for _, w := range m {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// ReadNotes visits the notes of a frame in order.
func ReadNotes(payload []byte, visit func(ID, Missing)) error {
	c := cursor{b: payload}
	for len(c.b) > 0 {
		id, n := ID(c.uvarint()), c.uvarint()
		if c.bad || n > uint64(len(c.b))/8 {
			return ErrForm
		}
		var m Missing
		for range n {
			m = append(m, binary.LittleEndian.Uint64(c.take(8)))
		}
		visit(id, m)
	}
	return nil
}

// AppendHanded appends to the payload of a frame of handed requests.
func AppendHanded(dst []byte, id ID) []byte { return binary.AppendUvarint(dst, uint64(id)) }

// ReadHanded visits the requests of a frame of handed ones.
func ReadHanded(payload []byte, visit func(ID)) error {
	c := cursor{b: payload}
	for len(c.b) > 0 {
		id := ID(c.uvarint())
		if c.bad {
			return ErrForm
		}
		visit(id)
	}
	return nil
}

// Ref is a request in the book.
type Ref struct {
	ID      ID
	Key     string
	Records int
}

// Book says of every request whether Kafka has it. It holds a bit for each, and a word
// for those of which Kafka has a part.
type Book struct {
	settled set
	parts   map[ID]Missing
	doubt   map[ID]bool // handed to a client of an earlier process, which did not note what became of it
	keys    map[string]int
	held    int // requests that are not settled
	records int // of them
}

// NewBook is the book of an empty spill.
func NewBook() *Book {
	return &Book{settled: set{}, parts: map[ID]Missing{}, doubt: map[ID]bool{}, keys: map[string]int{}}
}

// Hold enters a request that Kafka does not have. One that is entered as settled stays so.
func (b *Book) Hold(r Ref) bool {
	if b.settled.has(r.ID) {
		return false
	}
	b.held++
	b.records += r.Records
	b.keys[r.Key]++
	return true
}

// Note enters what a note says, before the request itself is met: when segments are
// read from the newest to the oldest. The newest note of a request counts.
func (b *Book) Note(id ID, m Missing) {
	if len(m) == 0 {
		b.settled.add(id)
		delete(b.doubt, id)
	} else if !b.settled.has(id) && b.parts[id] == nil {
		b.parts[id] = m
	}
}

// Handed enters, before the request itself is met, that a client got it. A newer note says what became of it.
func (b *Book) Handed(id ID) {
	if !b.settled.has(id) && b.parts[id] == nil {
		b.doubt[id] = true
	}
}

// Doubted says whether Kafka may have more of the request than was noted.
func (b *Book) Doubted(id ID) bool { return b.doubt[id] }

// Doubt enters that nobody knows whether Kafka has a held request.
func (b *Book) Doubt(id ID) {
	if !b.settled.has(id) {
		b.doubt[id] = true
	}
}

// Clear says that all is known of a request that can be.
func (b *Book) Clear(id ID) { delete(b.doubt, id) }

// Doubts is how many requests are in doubt.
func (b *Book) Doubts() int { return len(b.doubt) }

// Settle notes which records of a held request Kafka lacks still, and says whether it lacks none.
func (b *Book) Settle(r Ref, m Missing) bool {
	if b.settled.has(r.ID) {
		return false
	}
	delete(b.doubt, r.ID)
	if slices.ContainsFunc(m, func(w uint64) bool { return w != 0 }) {
		b.parts[r.ID] = m
		return false
	}
	delete(b.parts, r.ID)
	b.settled.add(r.ID)
	b.held--
	b.records -= r.Records
	if b.keys[r.Key]--; b.keys[r.Key] == 0 {
		delete(b.keys, r.Key)
	}
	return true
}

// Lacks says which records of a request Kafka does not have; all is true where it has none.
func (b *Book) Lacks(id ID) (m Missing, all, settled bool) {
	if b.settled.has(id) {
		return nil, false, true
	}
	m = b.parts[id]
	return m, m == nil, false
}

// Forget drops what is known of the requests before id: their segments are gone.
func (b *Book) Forget(before ID) { b.settled.drop(before) }

// Of is how many requests of a key are held.
func (b *Book) Of(key string) int { return b.keys[key] }

// Held is how many requests are held, and how many records they had.
func (b *Book) Held() (requests, records int) { return b.held, b.records }

// set holds ids, in pages of 4096.
type set map[ID]*[64]uint64

func (s set) add(id ID) {
	p := s[id>>12]
	if p == nil {
		p = new([64]uint64)
		s[id>>12] = p
	}
	p[id>>6&63] |= 1 << (id & 63)
}

func (s set) has(id ID) bool {
	p := s[id>>12]
	return p != nil && p[id>>6&63]>>(id&63)&1 == 1
}

func (s set) drop(before ID) {
	for page := range s {
		if page < before>>12 {
			delete(s, page)
		}
	}
}
