package shown

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// manyDigits are a telephone number, a card's or an account's.
const manyDigits = 7

// plain reports whether a text may be shown wherever it stands: it is short and printable, and is not formed like what
// tells of a person: an e-mail address, a network address, a telephone number, an address with a query. An id may have many
// digits beside its letters.
func plain(text []byte, id bool) bool {
	if len(text) > maxText || bytes.Contains(text, []byte("%40")) || isNetworkAddress(text) {
		return false
	}
	var s shape
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		if r == utf8.RuneError || !unicode.IsPrint(r) || r == '@' || r == '＠' || r == '?' || r == '"' || r == '\\' {
			return false
		}
		s.add(r)
	}
	return !s.dotted && (!s.long || id && isID(text) || isUUID(text) || isTime(text))
}

// shape notes what runs of digits a text has; what people put between digits does not end a run.
type shape struct {
	digits, dots int // of the run
	long         bool
	dotted       bool // as 192.0.2.1 is
}

func (s *shape) add(r rune) {
	switch {
	case unicode.IsDigit(r):
		s.digits++
	case r == '.':
		s.dots++
	case r == ' ' || r == '-' || r == '(' || r == ')' || r == '+' || r == '/' || r == ',' || r == '_':
	default:
		s.digits, s.dots = 0, 0
	}
	s.long = s.long || s.digits >= manyDigits
	s.dotted = s.dotted || s.digits >= 4 && s.dots >= 3
}

// isNetworkAddress knows what IPv6 looks like; it takes a time of day for one.
func isNetworkAddress(text []byte) bool {
	colons := 0
	for _, c := range text {
		switch {
		case c == ':':
			colons++
		case !isHex(c) && c != '.' && c != '%' && c != '[' && c != ']' && c != '/':
			return false
		}
	}
	return colons >= 2
}

// isID tells what a library makes, with a time or a number in it, from a number that people write.
func isID(text []byte) bool {
	letters := 0
	for _, c := range text {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		case !isDigit(c) && c != '-' && c != '_' && c != '.' && c != ':':
			return false
		}
	}
	return letters > 0
}

func isUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !isHex(c) {
			return false
		}
	}
	return true
}

// isTime knows a date, with a time of day or without.
func isTime(text []byte) bool {
	const form = "0000-00-00T00:00"
	for i, c := range text {
		switch {
		case i >= len(form):
			if !isDigit(c) && c != ':' && c != '.' && c != 'Z' && c != '+' && c != '-' || i >= len("2006-01-02T15:04:05.000000000+01:00") {
				return false
			}
		case form[i] == '0' && !isDigit(c), form[i] == 'T' && c != 'T' && c != ' ', (form[i] == '-' || form[i] == ':') && c != form[i]:
			return false
		}
	}
	return len(text) == len("2006-01-02") || len(text) >= len(form)
}

func digits(text []byte) (n int) {
	for _, c := range text {
		if isDigit(c) {
			n++
		}
	}
	return n
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
