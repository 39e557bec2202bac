package columnar

import (
	"encoding/binary"
	"hash/maphash"
)

// dict is the distinct values of a leaf in a row group. What is kept of them is the dictionary page itself: the
// values in PLAIN, one behind the other.
type dict struct {
	plain []byte
	ends  []uint32 // of each in plain
	next  []uint32 // which entry came after each the last time
	slots []uint64 // an open hash table: a hash above, an index plus one below; its length is a power of two
}

var seed = maphash.MakeSeed()

// index finds value, or adds it.
func (d *dict) index(value []byte) uint32 {
	h := uint32(maphash.Bytes(seed, value))
	if 2*len(d.ends) >= len(d.slots) {
		d.grow()
	}
	mask := uint32(len(d.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		slot := d.slots[at]
		if slot == 0 {
			d.slots[at] = uint64(h)<<32 | uint64(d.add(value))
			return uint32(len(d.ends) - 1)
		}
		if i := uint32(slot) - 1; uint32(slot>>32) == h && string(d.value(i)) == string(value) {
			return i
		}
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

func (d *dict) add(value []byte) (slot uint32) {
	d.plain = append(binary.LittleEndian.AppendUint32(d.plain, uint32(len(value))), value...)
	d.ends = append(d.ends, uint32(len(d.plain)))
	d.next = append(d.next, 0)
	return uint32(len(d.ends))
}

func (d *dict) grow() {
	before := d.slots
	d.slots = make([]uint64, max(16, 2*len(before)))
	mask := uint32(len(d.slots) - 1)
	for _, slot := range before {
		if slot == 0 {
			continue
		}
		at := uint32(slot>>32) & mask
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = slot
	}
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
	return int64(cap(d.plain)) + 4*int64(cap(d.ends)+cap(d.next)) + 8*int64(cap(d.slots))
}
