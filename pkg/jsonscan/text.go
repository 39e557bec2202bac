package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// replacement stands for everything that has no text: half a surrogate pair, a byte that is not UTF-8, NUL.
const replacement = "\uFFFD"

// AppendUnescaped appends the text of raw, a validated string with its quotes. The result is always UTF-8 and never
// contains NUL: every byte that is not UTF-8, lone surrogate and \u0000 becomes U+FFFD.
func AppendUnescaped(dst, raw []byte) []byte {
	t := raw[1 : len(raw)-1]
	for {
		n := plain(t)
		dst = append(dst, t[:n]...)
		if t = t[n:]; len(t) == 0 {
			return dst
		}
		r, n := decode(t)
		dst = utf8.AppendRune(dst, r)
		t = t[n:]
	}
}

// AppendClean copies a validated value of any kind, and in it only what is Dirty becomes U+FFFD. Everything else is
// copied byte for byte, escapes and white space included.
func AppendClean(dst, raw []byte) []byte {
	for {
		n := plain(raw)
		dst = append(dst, raw[:n]...)
		if raw = raw[n:]; len(raw) == 0 {
			return dst
		}
		r, n := decode(raw)
		if r == utf8.RuneError && !isReplacement(raw[:n]) {
			dst = append(dst, replacement...)
		} else {
			dst = append(dst, raw[:n]...)
		}
		raw = raw[n:]
	}
}

// isReplacement tells whether the source itself spells U+FFFD, as a character or as an escape.
func isReplacement(token []byte) bool {
	if token[0] != '\\' {
		return string(token) == replacement
	}
	r, ok := escaped(token, 0)
	return ok && r == utf8.RuneError
}

// EqualKey tells whether raw, a validated string with its quotes, has the text key. It compares as AppendUnescaped
// would, without building the text.
func EqualKey(raw []byte, key string) bool {
	t := raw[1 : len(raw)-1]
	n := plain(t)
	if n == len(t) {
		return string(t) == key
	}
	for len(t) > 0 {
		r, n := decode(t)
		k, m := utf8.DecodeRuneInString(key)
		if m == 0 || r != k || (k == utf8.RuneError && m == 1) {
			return false
		}
		t, key = t[n:], key[m:]
	}
	return key == ""
}

// AppendQuoted appends s as a JSON string. What has no place in one (bytes that are not UTF-8, NUL) becomes U+FFFD.
func AppendQuoted(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == 0:
			dst = append(dst, replacement...)
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// plain is the length of the run at the start of t that is ASCII without a backslash.
func plain(t []byte) int {
	i := 0
	for ; i+8 <= len(t); i += 8 {
		w := binary.LittleEndian.Uint64(t[i:])
		if m := (((w ^ ones*'\\') - ones) | w) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(t) && t[i] < utf8.RuneSelf && t[i] != '\\' {
		i++
	}
	return i
}

// simple pairs the letters of the short escapes with their characters.
const simple = "b\bf\fn\nr\rt\t"

// decode reads one character of a validated string: an escape, a surrogate pair of two, or UTF-8. What has no text is
// utf8.RuneError.
func decode(t []byte) (r rune, n int) {
	if t[0] != '\\' {
		return utf8.DecodeRune(t)
	}
	if t[1] != 'u' {
		if i := strings.IndexByte(simple, t[1]); i >= 0 {
			return rune(simple[i+1]), 2
		}
		return rune(t[1]), 2
	}
	r, _ = hex4(t, 2)
	switch {
	case isHigh(r):
		if low, ok := escaped(t, 6); ok && isLow(low) {
			return utf16.DecodeRune(r, low), 12
		}
		return utf8.RuneError, 6
	case isLow(r), r == 0:
		return utf8.RuneError, 6
	}
	return r, 6
}
