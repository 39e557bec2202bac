package columnar

import (
	"encoding/binary"
	"hash/maphash"
)

// dict is the distinct values of a leaf in a row group. What is kept of them is the dictionary page itself: the
// values in PLAIN, one behind the other.
type dict struct {
	plain  []byte
	ends   []uint32 // of each in plain
	hashes []uint32 // of each
	next   []uint32 // which entry came after each the last time
	slots  []uint32 // an open hash table of indexes plus one; its length is a power of two
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
			d.slots[at] = d.add(value, h)
			return uint32(len(d.ends) - 1)
		}
		if d.hashes[slot-1] == h && string(d.value(slot-1)) == string(value) {
			return slot - 1
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

func (d *dict) add(value []byte, h uint32) (slot uint32) {
	d.plain = append(binary.LittleEndian.AppendUint32(d.plain, uint32(len(value))), value...)
	d.ends = append(d.ends, uint32(len(d.plain)))
	d.hashes = append(d.hashes, h)
	d.next = append(d.next, 0)
	return uint32(len(d.ends))
}

func (d *dict) grow() {
	d.slots = make([]uint32, max(16, 2*len(d.slots)))
	mask := uint32(len(d.slots) - 1)
	for i, h := range d.hashes {
		at := h & mask
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = uint32(i) + 1
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
	return int64(cap(d.plain)) + 4*int64(cap(d.ends)+cap(d.hashes)+cap(d.next)+cap(d.slots))
}
