package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special sets the high bit of every byte of w that ends a plain run of a string: the quote, the backslash, a control
// character, anything that is not ASCII. Bits above the first may be wrong (the subtractions borrow upwards), the
// first is right.
func special(w uint64) uint64 {
	// A quote is 0x22: with bit 1 flipped it joins the control characters below 0x21.
	low := (w ^ ones*0x02) - ones*0x21
	backslash := (w ^ ones*'\\') - ones
	return (low | backslash | w) & highs
}

// str validates the string whose first byte after the quote is at i, and returns the index after its closing quote,
// or -1. Eight bytes at a time while the text has them.
func (s *Scanner) str(t []byte, i int) int {
	for {
		for i+8 <= len(t) {
			m := special(binary.LittleEndian.Uint64(t[i:]))
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(t) {
			return s.fail(len(t), ReasonEOF)
		}
		switch c := t[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(t, i); i < 0 {
				return i
			}
		case c < ' ':
			return s.fail(i, ReasonControl)
		case c < utf8.RuneSelf:
			i++ // the last bytes of the text, one by one
		default:
			i = s.multibyte(t, i)
		}
	}
}

// multibyte passes a run of bytes that are not ASCII.
func (s *Scanner) multibyte(t []byte, i int) int {
	for i < len(t) && t[i] >= utf8.RuneSelf {
		r, n := utf8.DecodeRune(t[i:])
		if r == utf8.RuneError && n == 1 {
			s.flags |= BadUTF8
		}
		i += n
	}
	return i
}

// escape passes the escape whose backslash is at i; both halves of a surrogate pair are one.
func (s *Scanner) escape(t []byte, i int) int {
	s.flags |= HasEscape
	if i+1 >= len(t) {
		return s.fail(len(t), ReasonEOF)
	}
	switch t[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return s.fail(i+1, ReasonEscape)
	}
	r, ok := hex4(t, i+2)
	if !ok {
		return s.badHex(t, i+2)
	}
	switch {
	case r == 0:
		s.flags |= HasNUL
	case isHigh(r):
		if low, ok := escaped(t, i+6); ok && isLow(low) {
			return i + 12
		}
		s.flags |= LoneSurrogate
	case isLow(r):
		s.flags |= LoneSurrogate
	}
	return i + 6
}

func (s *Scanner) badHex(t []byte, i int) int {
	for n := range 4 {
		if i+n >= len(t) {
			return s.fail(len(t), ReasonEOF)
		}
		if unhex(t[i+n]) > 15 {
			return s.fail(i+n, ReasonEscape)
		}
	}
	return -1
}

// escaped reads a \uXXXX escape at i.
func escaped(t []byte, i int) (rune, bool) {
	if i+6 > len(t) || t[i] != '\\' || t[i+1] != 'u' {
		return 0, false
	}
	return hex4(t, i+2)
}

func hex4(t []byte, i int) (rune, bool) {
	if i+4 > len(t) {
		return 0, false
	}
	a, b, c, d := unhex(t[i]), unhex(t[i+1]), unhex(t[i+2]), unhex(t[i+3])
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(d), a|b|c|d <= 15
}

// unhex is the value of a hexadecimal digit, 0xff for any other byte.
func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20-'a' <= 5:
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

func isHigh(r rune) bool { return r&^0x3ff == 0xd800 }
func isLow(r rune) bool  { return r&^0x3ff == 0xdc00 }
