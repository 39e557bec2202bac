// Package shown decides what a live tail shows: which events (Filter), how many (Rate), and which of their bytes (Append).
// Its invariant: a value that the policy hides appears in no output, and decides no filter, so that nobody can find it
// out by asking. The policy masks too much rather than too little, and no argument turns it off.
// It reads no clock and holds no event longer than a call, but for Ring; livetail does, who owns it with the gateway.
package shown

import (
	"weir/pkg/jsonscan"
)

const (
	masked   = `"***"`
	maxText  = 64        // bytes of a string or key that is shown
	maxValue = 256 << 10 // bytes of an event that is looked into
)

// Append appends what of a JSON value may be shown, as valid JSON of about limit bytes at most. Whole is false where the
// value has more members or elements than fit; of one that is not JSON, or is very long, nothing is shown.
func Append(dst, value []byte, limit int) (out []byte, whole bool) {
	if len(value) > maxValue || jsonscan.Valid(value) != nil {
		return append(dst, masked...), false
	}
	m := masker{text: value, out: dst, end: len(dst) + limit}
	m.scan.Reset(value)
	m.value(atTop())
	return m.out, !m.full
}

// masker copies one valid value.
type masker struct {
	scan jsonscan.Scanner
	text []byte
	out  []byte
	end  int  // of out: beyond, nothing but what closes is appended
	full bool // something was left out
}

func (m *masker) value(at place) {
	switch m.scan.Peek() {
	case jsonscan.Object:
		m.object(at)
	case jsonscan.Array:
		m.array(at)
	default:
		v, _ := m.scan.Skip()
		m.out = appendScalar(m.out, at, v, m.scan.Text(v))
	}
}

func (m *masker) object(at place) {
	m.out = append(m.out, '{')
	m.scan.EnterObject()
	for first := true; !m.full; first = false {
		key, more := m.scan.NextMember()
		if !more || m.stops() {
			break
		}
		m.comma(first)
		name := m.scan.Text(key)
		if key.Flags == 0 && plain(name[1:len(name)-1], false) {
			m.out = append(m.out, name...)
		} else {
			m.out = append(m.out, masked...)
		}
		m.out = append(m.out, ':')
		m.value(at.under(key, name))
	}
	m.out = append(m.out, '}')
}

func (m *masker) array(at place) {
	m.out = append(m.out, '[')
	m.scan.EnterArray()
	for first := true; !m.full && m.scan.NextElement() && !m.stops(); first = false {
		m.comma(first)
		m.value(at.element())
	}
	m.out = append(m.out, ']')
}

// stops reports whether there is no room for what comes next.
func (m *masker) stops() bool {
	m.full = m.full || len(m.out) >= m.end
	return m.full
}

func (m *masker) comma(first bool) {
	if !first {
		m.out = append(m.out, ',')
	}
}

func appendScalar(dst []byte, at place, v jsonscan.Value, text []byte) []byte {
	if at.shows(v, text) {
		return append(dst, text...)
	}
	return append(dst, masked...)
}

// AppendText appends a text that came with an event, quoted: masked as a string of an event is.
func AppendText(dst, text []byte) []byte {
	if plain(text, true) {
		return jsonscan.AppendQuoted(dst, string(text))
	}
	return append(dst, masked...)
}
