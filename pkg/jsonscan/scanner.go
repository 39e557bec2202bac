// Package jsonscan is the one JSON scanner of weir: a pull cursor that validates every byte it passes and reports
// where values stand, so that callers can cut and splice event bytes instead of decoding and encoding them again.
// Its invariant: whatever the order of calls, End returns nil only for a text that is one value of RFC 8259 not
// nested deeper than MaxDepth; no call allocates, and none reads past the end of the text.
// It builds no values and parses no numbers: pkg/event gives the bytes their meaning, the gateway's intake splices
// them. A Scanner belongs to one goroutine and borrows the text until the next Reset.
package jsonscan

// Kind is what a value is, as its first byte tells.
type Kind uint8

// The kinds of RFC 8259; Invalid means that no value begins here.
const (
	Invalid Kind = iota
	Null
	False
	True
	Number
	String
	Object
	Array
)

// MaxDepth bounds how deep objects and arrays nest; a scalar at the top has depth 0.
const MaxDepth = 128

// Flags tell what stands somewhere inside a validated span, keys included.
type Flags uint8

const (
	// HasEscape: a string contains a backslash, so its bytes are not yet its text.
	HasEscape Flags = 1 << iota
	// BadUTF8: a string contains bytes that are not UTF-8.
	BadUTF8
	// LoneSurrogate: an escape names half of a surrogate pair.
	LoneSurrogate
	// HasNUL: a string contains an escaped \u0000.
	HasNUL
	// Dirty spans are valid JSON that some reader downstream refuses; AppendClean maps what is wrong to U+FFFD.
	Dirty = BadUTF8 | LoneSurrogate | HasNUL
)

// Value is where a validated value stands: the half-open byte span [Start, End) of the text. The span of a string
// includes its quotes.
type Value struct {
	Kind       Kind
	Flags      Flags
	Start, End int
}

// Why a text is refused: the closed set of Error.Reason.
const (
	ReasonEOF      = "eof"      // the text ends inside a value
	ReasonSyntax   = "syntax"   // a byte that may not stand there
	ReasonDepth    = "depth"    // nested deeper than MaxDepth
	ReasonNumber   = "number"   // not a number of RFC 8259
	ReasonEscape   = "escape"   // an unknown escape, or \u without four hexadecimal digits
	ReasonControl  = "control"  // a bare control character inside a string
	ReasonTrailing = "trailing" // something follows the value
)

// Error is the first fault of a text.
type Error struct {
	Offset int // of the byte at fault; the length of the text where it ends too early
	Reason string
}

func (e *Error) Error() string {
	var digits [20]byte
	i, n := len(digits), e.Offset
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			break
		}
	}
	return "invalid JSON at byte " + string(digits[i:]) + ": " + e.Reason
}

// state says what may come next, so that calls in the wrong order are refused like wrong bytes.
type state uint8

const (
	wantValue state = iota // at the start, after a key, before an element
	opened                 // just inside an object or array
	closed                 // after a value
)

// Scanner is a pull cursor over one text. The zero Scanner stands before an empty text.
type Scanner struct {
	text   []byte
	pos    int
	depth  int
	state  state
	failed bool
	flags  Flags                 // of the value being passed
	arrays [MaxDepth / 64]uint64 // bit d-1: the container at depth d is an array
	err    Error
}

// Reset puts the cursor before text, which is kept by reference.
func (s *Scanner) Reset(text []byte) { s.ResetAt(text, 0) }

// ResetAt is Reset for what stands from an offset on: all offsets are those of text.
func (s *Scanner) ResetAt(text []byte, from int) {
	s.text, s.pos, s.depth, s.state, s.failed = text, from, 0, wantValue, false
}

// Peek skips white space and tells the kind of the next value by its first byte. It consumes nothing and is Invalid
// where no value begins, as at the end of an array.
func (s *Scanner) Peek() Kind {
	s.pos = space(s.text, s.pos)
	if s.failed || s.state != wantValue || s.pos >= len(s.text) {
		return Invalid
	}
	return kinds[s.text[s.pos]]
}

// Skip validates and passes one value of any kind.
func (s *Scanner) Skip() (Value, bool) {
	i := space(s.text, s.pos)
	if s.failed || s.state != wantValue {
		s.misuse(i)
		return Value{}, false
	}
	s.flags = 0
	end := s.value(s.text, i, s.depth)
	if end < 0 {
		return Value{}, false
	}
	s.pos, s.state = end, closed
	return Value{Kind: kinds[s.text[i]], Flags: s.flags, Start: i, End: end}, true
}

// EnterObject goes inside the next value if that is an object. Otherwise it consumes nothing and returns false, which
// is an error only at the depth limit.
func (s *Scanner) EnterObject() bool {
	return s.Peek() == Object && s.enter(0)
}

// EnterArray goes inside the next value if that is an array, like EnterObject.
func (s *Scanner) EnterArray() bool {
	return s.Peek() == Array && s.enter(1)
}

func (s *Scanner) enter(array uint64) bool {
	if s.depth == MaxDepth {
		s.fail(s.pos, ReasonDepth)
		return false
	}
	word, bit := s.depth/64, s.depth%64
	s.arrays[word] = s.arrays[word]&^(1<<bit) | array<<bit
	s.depth++
	s.pos++
	s.state = opened
	return true
}

func (s *Scanner) inArray() bool {
	d := s.depth - 1
	return s.arrays[d/64]>>(d%64)&1 == 1
}

// NextMember passes the next key of the object the cursor is in and stands before its value, which Skip or Enter must
// consume. It returns false at the closing brace, which it passes, and on error.
func (s *Scanner) NextMember() (key Value, ok bool) {
	if s.depth == 0 || s.inArray() {
		s.misuse(s.pos)
		return Value{}, false
	}
	i := s.next('}')
	if i < 0 {
		return Value{}, false
	}
	if s.text[i] != '"' {
		s.fail(i, ReasonSyntax)
		return Value{}, false
	}
	s.flags = 0
	end := s.str(s.text, i+1)
	if end < 0 {
		return Value{}, false
	}
	after := s.colon(s.text, end)
	if after < 0 {
		return Value{}, false
	}
	s.pos, s.state = after, wantValue
	return Value{Kind: String, Flags: s.flags, Start: i, End: end}, true
}

// NextElement stands before the next element of the array the cursor is in. It returns false at the closing bracket,
// which it passes, and on error.
func (s *Scanner) NextElement() bool {
	if s.depth == 0 || !s.inArray() {
		s.misuse(s.pos)
		return false
	}
	i := s.next(']')
	if i < 0 {
		return false
	}
	s.pos, s.state = i, wantValue
	return true
}

// next passes the comma before a member or element and returns where that begins, always inside the text; -1 on error
// and, with the container left behind, where shut closes it.
func (s *Scanner) next(shut byte) int {
	i := space(s.text, s.pos)
	switch {
	case s.failed || s.state == wantValue:
		return s.misuse(i)
	case i >= len(s.text):
		return s.fail(i, ReasonEOF)
	case s.text[i] == shut:
		s.pos, s.state = i+1, closed
		s.depth--
		return -1
	case s.state == opened:
		return i
	case s.text[i] != ',':
		return s.fail(i, ReasonSyntax)
	}
	if i = space(s.text, i+1); i >= len(s.text) {
		return s.fail(i, ReasonEOF)
	}
	return i
}

// Offset is where the cursor stands in the text.
func (s *Scanner) Offset() int { return s.pos }

// End demands that the one value of the text has been passed and that only white space follows.
func (s *Scanner) End() error {
	i := space(s.text, s.pos)
	switch {
	case s.failed:
	case s.depth > 0 || s.state != closed:
		s.misuse(i)
	case i < len(s.text):
		s.fail(i, ReasonTrailing)
	}
	return s.Err()
}

// Err is the first error, or nil. It is an *Error.
func (s *Scanner) Err() error {
	if !s.failed {
		return nil
	}
	e := s.err
	return &e
}

// Text is the bytes of v as they stand in the text.
func (s *Scanner) Text(v Value) []byte { return s.text[v.Start:v.End] }

// fail keeps the first error and returns -1.
func (s *Scanner) fail(offset int, reason string) int {
	if !s.failed {
		s.failed, s.err = true, Error{Offset: offset, Reason: reason}
	}
	return -1
}

// misuse fails where a call does not fit the place, which is what a truncated text looks like to a caller too.
func (s *Scanner) misuse(offset int) int {
	if offset >= len(s.text) {
		return s.fail(len(s.text), ReasonEOF)
	}
	return s.fail(offset, ReasonSyntax)
}

// Valid returns nil if text is one JSON value not deeper than MaxDepth. Dirty strings are valid.
func Valid(text []byte) error {
	var s Scanner
	s.Reset(text)
	s.Skip()
	return s.End()
}
