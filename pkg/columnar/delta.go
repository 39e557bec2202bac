package columnar

import (
	"encoding/binary"
	"math/bits"
)

// Blocks of DELTA_BINARY_PACKED, as parquet-mr writes them.
const (
	deltaBlock = 128
	deltaMinis = 4
	deltaMini  = deltaBlock / deltaMinis
)

// appendDelta appends v as DELTA_BINARY_PACKED (Encodings.md, "Delta Encoding"). size is the values' in bits, 32 or 64:
// differences wrap around at it, or a reader of 32 bits would meet one of 33.
func appendDelta(dst []byte, v []int64, size uint) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaMinis)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	if len(v) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, v[0])
	var block [deltaBlock]uint64
	for i := 1; i < len(v); {
		n := min(deltaBlock, len(v)-i)
		least := int64(1<<63 - 1)
		for j := range n {
			d := wrap(v[i+j]-v[i+j-1], size)
			least = min(least, d)
			block[j] = uint64(d)
		}
		for j := range n {
			block[j] = uint64(wrap(int64(block[j])-least, size))
			if size == 32 {
				block[j] &= 1<<32 - 1
			}
		}
		clear(block[n:])
		dst = appendBlock(binary.AppendVarint(dst, least), &block, n)
		i += n
	}
	return dst
}

func wrap(d int64, size uint) int64 {
	if size == 32 {
		return int64(int32(d))
	}
	return d
}

// appendBlock appends the widths of all four miniblocks and those that hold one of the n values; the last is padded.
func appendBlock(dst []byte, block *[deltaBlock]uint64, n int) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for m := 0; m*deltaMini < n; m++ {
		mini := block[m*deltaMini:][:deltaMini]
		var all uint64
		for _, x := range mini {
			all |= x
		}
		width := uint(bits.Len64(all))
		dst[at+m] = byte(width)
		dst = packMini(dst, mini, width)
	}
	return dst
}

// packMini appends 32 values of up to 64 bits, the first in the lowest bits.
func packMini(dst []byte, v []uint64, width uint) []byte {
	var acc uint64
	var n uint
	for _, x := range v {
		acc |= x << n
		if n += width; n >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			n -= 64
			acc = x >> (width - n) // 0 where nothing is left: a shift by 64 gives that
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}
