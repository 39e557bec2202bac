package columnar

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/format"
)

// boundBytes is how much of a text a bound keeps.
const boundBytes = 64

// bounds are the least and the greatest value of a page or a chunk as Parquet writes them, or values beyond these.
type bounds struct {
	least, greatest []byte
	known           bool
}

// textBounds goes through values in PLAIN.
func textBounds(values []byte) (least, greatest []byte) {
	for first := true; len(values) > 0; first = false {
		n := 4 + int(binary.LittleEndian.Uint32(values))
		value := values[4:n]
		values = values[n:]
		switch {
		case first:
			least, greatest = value, value
		case bytes.Compare(value, least) < 0:
			least = value
		case bytes.Compare(value, greatest) > 0:
			greatest = value
		}
	}
	return least, greatest
}

// entryBounds goes through the entries that indexes name.
func (s *press) entryBounds(e *dict, indexes []uint32) (least, greatest []byte) {
	if cap(s.named) < e.len() {
		s.named = make([]bool, max(e.len(), 1024))
	}
	named := s.named[:e.len()]
	clear(named)
	for _, i := range indexes {
		named[i] = true
	}
	first := true
	for i, yes := range named {
		if !yes {
			continue
		}
		value := e.value(uint32(i))
		if first || bytes.Compare(value, least) < 0 {
			least = value
		}
		if first || bytes.Compare(value, greatest) > 0 {
			greatest = value
		}
		first = false
	}
	return least, greatest
}

// boundsOfText cuts a text's bounds short; they stay valid UTF-8, because readers take them for values of the column.
func boundsOfText(least, greatest []byte) bounds {
	greatest, ok := above(greatest)
	if !ok {
		return bounds{}
	}
	return bounds{least: bytes.Clone(below(least)), greatest: greatest, known: true}
}

// below is a prefix of text: no text that begins with it is less.
func below(text []byte) []byte {
	if len(text) <= boundBytes {
		return text
	}
	n := boundBytes
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// above is a copy of text, or a short text that is greater than all which begin like it; there is none above the
// greatest character.
func above(text []byte) ([]byte, bool) {
	if len(text) <= boundBytes {
		return bytes.Clone(text), true
	}
	for b := below(text); len(b) > 0; {
		r, n := utf8.DecodeLastRune(b)
		b = b[:len(b)-n]
		if next, ok := after(r); ok {
			return utf8.AppendRune(bytes.Clone(b), next), true
		}
	}
	return nil, false
}

// after is the next character by order of bytes.
func after(r rune) (rune, bool) {
	switch {
	case r == 0xd7ff:
		return 0xe000, true // between are halves of pairs
	case r >= utf8.MaxRune:
		return 0, false
	}
	return r + 1, true
}

func boundsOfNumbers(v []int64, kind format.Type) bounds {
	if kind == format.Double {
		return boundsOfDoubles(v)
	}
	least, greatest := v[0], v[0]
	for _, x := range v {
		least, greatest = min(least, x), max(greatest, x)
	}
	return bounds{least: appendNumber(nil, least, kind), greatest: appendNumber(nil, greatest, kind), known: true}
}

// boundsOfDoubles makes no difference between 0 and -0, as the format asks (parquet.thrift, ColumnOrder). What is no
// number does not come: JSON has none.
func boundsOfDoubles(v []int64) bounds {
	least, greatest := double(v[0]), double(v[0])
	for _, bits := range v {
		least, greatest = min(least, double(bits)), max(greatest, double(bits))
	}
	if least == 0 {
		least = math.Copysign(0, -1)
	}
	if greatest == 0 {
		greatest = 0
	}
	return bounds{least: appendDouble(nil, least), greatest: appendDouble(nil, greatest), known: true}
}

func double(bits int64) float64 { return math.Float64frombits(uint64(bits)) }

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

func appendNumber(dst []byte, v int64, kind format.Type) []byte {
	switch kind {
	case format.Int32:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	case format.Boolean:
		return append(dst, byte(v))
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

// less compares two bounds of a kind by the order that the footer names: text by bytes, numbers signed.
func less(a, b []byte, kind format.Type) bool {
	switch kind {
	case format.Int32:
		return int32(binary.LittleEndian.Uint32(a)) < int32(binary.LittleEndian.Uint32(b))
	case format.Int64:
		return int64(binary.LittleEndian.Uint64(a)) < int64(binary.LittleEndian.Uint64(b))
	case format.Double:
		return double(int64(binary.LittleEndian.Uint64(a))) < double(int64(binary.LittleEndian.Uint64(b)))
	}
	return bytes.Compare(a, b) < 0
}
