package columnar

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// dict is the distinct values of a leaf in a row group. What is kept of them is the dictionary page itself: the
// values in PLAIN, one behind the other.
type dict struct {
	plain []byte
	ends  []uint32 // of each in plain
	next  []uint32 // which entry came after each the last time
	short shortTable
	long  longTable
}

// index finds value, or adds it.
func (d *dict) index(value []byte) uint32 {
	if len(value) <= shortBytes {
		return d.short.index(d, value)
	}
	return d.long.index(d, value)
}

// shortBytes is how much of a value stands in its slot. Most values are as short: they are found without a look at the
// entries, which are elsewhere in memory.
const shortBytes = 16

// shortTable is an open hash table of short values; its length is a power of two.
type shortTable struct {
	slots []shortSlot
	n     int
}

// shortSlot is a value, which the length tells from those that only look alike, and its index plus one; 0 = empty.
type shortSlot struct {
	low, high     uint64
	length, index uint32
}

// seeds keep those who send values from choosing where they stand in the tables.
var (
	seed      = maphash.MakeSeed()
	shortSeed = [2]uint64{maphash.Bytes(seed, []byte{0}), maphash.Bytes(seed, []byte{1})}
)

func (t *shortTable) index(d *dict, value []byte) uint32 {
	if 2*t.n >= len(t.slots) {
		t.grow()
	}
	want := shortSlot{length: uint32(len(value))}
	want.low, want.high = words(value)
	mask := uint64(len(t.slots) - 1)
	for at := want.hash() & mask; ; at = (at + 1) & mask {
		slot := &t.slots[at]
		if slot.low == want.low && slot.high == want.high && slot.length == want.length && slot.index != 0 {
			return slot.index - 1
		}
		if slot.index == 0 {
			want.index = d.add(value)
			*slot = want
			t.n++
			return want.index - 1
		}
	}
}

// words holds all bytes of a short value: with the length it is told from every other.
func words(v []byte) (low, high uint64) {
	switch n := len(v); {
	case n >= 8:
		return binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(v)), uint64(binary.LittleEndian.Uint32(v[n-4:]))
	case n > 0:
		return uint64(v[0]) | uint64(v[n/2])<<8 | uint64(v[n-1])<<16, 0
	}
	return 0, 0
}

// hash folds a product, as wyhash does.
func (s *shortSlot) hash() uint64 {
	high, low := bits.Mul64(s.low^shortSeed[0], s.high^shortSeed[1]^uint64(s.length))
	return high ^ low
}

func (t *shortTable) grow() {
	before := t.slots
	t.slots = make([]shortSlot, max(16, 2*len(before)))
	mask := uint64(len(t.slots) - 1)
	for i := range before {
		slot := &before[i]
		if slot.index == 0 {
			continue
		}
		at := slot.hash() & mask
		for t.slots[at].index != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = *slot
	}
}

// longTable is an open hash table of the other values: a hash above, an index plus one below; its length is a power of two.
type longTable struct {
	slots []uint64
	n     int
}

func (t *longTable) index(d *dict, value []byte) uint32 {
	if 2*t.n >= len(t.slots) {
		t.grow()
	}
	h := uint32(maphash.Bytes(seed, value))
	mask := uint32(len(t.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		slot := t.slots[at]
		if slot == 0 {
			t.slots[at] = uint64(h)<<32 | uint64(d.add(value))
			t.n++
			return uint32(len(d.ends) - 1)
		}
		if i := uint32(slot) - 1; uint32(slot>>32) == h && string(d.value(i)) == string(value) {
			return i
		}
	}
}

func (t *longTable) grow() {
	before := t.slots
	t.slots = make([]uint64, max(16, 2*len(before)))
	mask := uint32(len(t.slots) - 1)
	for _, slot := range before {
		if slot == 0 {
			continue
		}
		at := uint32(slot>>32) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = slot
	}
}

// after finds value, or adds it, where the entry last came before: most events name their keys in the same order.
func (d *dict) after(last uint32, value []byte) uint32 {
	if int(last) < len(d.next) {
		if guess := d.next[last]; string(d.value(guess)) == string(value) {
			return guess
		}
	}
	i := d.index(value)
	d.next[last] = i
	return i
}

// add appends value and returns its index plus one.
func (d *dict) add(value []byte) uint32 {
	d.plain = append(binary.LittleEndian.AppendUint32(d.plain, uint32(len(value))), value...)
	d.ends = append(d.ends, uint32(len(d.plain)))
	d.next = append(d.next, 0)
	return uint32(len(d.ends))
}

func (d *dict) len() int { return len(d.ends) }

// value is an entry's bytes.
func (d *dict) value(i uint32) []byte { return d.prefixed(i)[4:] }

// prefixed is an entry in PLAIN.
func (d *dict) prefixed(i uint32) []byte {
	from := uint32(0)
	if i > 0 {
		from = d.ends[i-1]
	}
	return d.plain[from:d.ends[i]]
}

// held is the memory of the entries.
func (d *dict) held() int64 {
	return int64(cap(d.plain)) + 4*int64(cap(d.ends)+cap(d.next)) + 8*int64(cap(d.long.slots)) + 24*int64(cap(d.short.slots))
}
