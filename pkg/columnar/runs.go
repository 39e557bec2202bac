package columnar

import (
	"encoding/binary"
	"math/bits"
)

// A run of at least so many equal values is written as one; shorter ones cost less bit-packed.
const longRun = 16

// A packer appends eight values, the first in the lowest bits.
type packer[T any] func(dst []byte, v []T, width uint) []byte

// appendRuns appends v in the RLE/bit-packing hybrid, width bits a value (Encodings.md, "RLE = 3"). Runs of equal values
// begin at multiples of eight, because all but the last bit-packed group are full.
func appendRuns[T uint8 | uint32](dst []byte, v []T, width uint, pack packer[T]) []byte {
	for len(v) > 0 {
		if n := runOf(v); n >= longRun || n == len(v) {
			dst = appendRun(dst, v[0], n, width)
			v = v[n:]
			continue
		}
		n := unlikeOf(v)
		dst = binary.AppendUvarint(dst, uint64(n+7)/8<<1|1)
		for ; n >= 8; n -= 8 {
			dst = pack(dst, v, width)
			v = v[8:]
		}
		if n > 0 { // the end
			var last [8]T
			copy(last[:], v)
			return pack(dst, last[:], width)
		}
	}
	return dst
}

func appendRun[T uint8 | uint32](dst []byte, v T, n int, width uint) []byte {
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for x := uint32(v); width > 0; width -= min(width, 8) {
		dst = append(dst, byte(x))
		x >>= 8
	}
	return dst
}

// runOf is how many values at the start of v are equal.
func runOf[T comparable](v []T) int {
	n := 1
	for n < len(v) && v[n] == v[0] {
		n++
	}
	return n
}

// unlikeOf is how many values at the start of v, a multiple of eight or all, come before the next long run.
func unlikeOf[T comparable](v []T) int {
	n := 8
	for ; n+longRun <= len(v); n += 8 {
		if v[n] == v[n+1] && v[n] == v[n+7] && runOf(v[n:n+longRun]) == longRun {
			return n
		}
	}
	return len(v)
}

func packIndexes(dst []byte, v []uint32, width uint) []byte {
	var acc uint64
	var n uint
	for _, x := range v[:8] {
		acc |= uint64(x) << n
		if n += width; n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// packLevels packs levels of one or two bits, eight at once: of each byte of x the lowest bits are gathered.
func packLevels(dst, v []byte, width uint) []byte {
	x := binary.LittleEndian.Uint64(v)
	if width == 1 {
		return append(dst, byte(x*0x0102040810204080>>56))
	}
	x = (x | x>>6) & 0x000f000f000f000f
	x = (x | x>>12) & 0x000000ff000000ff
	return append(dst, byte(x), byte(x>>32))
}

// appendLevels appends the levels of a data page of version 1, of one or two bits: their length, then the hybrid.
func appendLevels(dst, levels []byte, width uint) []byte {
	at := len(dst)
	dst = appendRuns(append(dst, 0, 0, 0, 0), levels, width, packLevels)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// appendIndexes appends the values of a page that refers to a dictionary of n entries.
func appendIndexes(dst []byte, indexes []uint32, n int) []byte {
	width := uint(max(bits.Len(uint(max(n, 1)-1)), 1)) // parquet-mr before 1.10 does not read a width of 0
	return appendRuns(append(dst, byte(width)), indexes, width, packIndexes)
}
