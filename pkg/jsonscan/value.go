package jsonscan

// kinds tells a value by its first byte.
var kinds = [256]Kind{
	'n': Null, 'f': False, 't': True, '"': String, '{': Object, '[': Array, '-': Number,
	'0': Number, '1': Number, '2': Number, '3': Number, '4': Number,
	'5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}

const blanks = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r'

// space returns the first index from i on that is not white space.
func space(t []byte, i int) int {
	for i < len(t) && t[i] <= ' ' && blanks>>t[i]&1 != 0 {
		i++
	}
	return i
}

// value validates the value that begins at i, inside depth containers, and returns the index after it or -1. The
// functions below take and return indexes instead of moving the cursor, so that they stay in registers; nesting is the
// call stack's, which MaxDepth bounds.
func (s *Scanner) value(t []byte, i, depth int) int {
	if i >= len(t) {
		return s.fail(i, ReasonEOF)
	}
	switch t[i] {
	case '"':
		return s.str(t, i+1)
	case '{':
		return s.object(t, i, depth)
	case '[':
		return s.array(t, i, depth)
	case 't':
		return s.literal(t, i, "true")
	case 'f':
		return s.literal(t, i, "false")
	case 'n':
		return s.literal(t, i, "null")
	}
	return s.number(t, i)
}

func (s *Scanner) object(t []byte, i, depth int) int {
	if depth++; depth > MaxDepth {
		return s.fail(i, ReasonDepth)
	}
	if i = space(t, i+1); i < len(t) && t[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(t) {
			return s.fail(i, ReasonEOF)
		}
		if t[i] != '"' {
			return s.fail(i, ReasonSyntax)
		}
		if i = s.str(t, i+1); i < 0 {
			return i
		}
		if i = s.colon(t, i); i < 0 {
			return i
		}
		if i = s.value(t, space(t, i), depth); i < 0 {
			return i
		}
		if i = space(t, i); i >= len(t) {
			return s.fail(i, ReasonEOF)
		}
		if t[i] == '}' {
			return i + 1
		}
		if t[i] != ',' {
			return s.fail(i, ReasonSyntax)
		}
		i = space(t, i+1)
	}
}

func (s *Scanner) array(t []byte, i, depth int) int {
	if depth++; depth > MaxDepth {
		return s.fail(i, ReasonDepth)
	}
	if i = space(t, i+1); i < len(t) && t[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(t, i, depth); i < 0 {
			return i
		}
		if i = space(t, i); i >= len(t) {
			return s.fail(i, ReasonEOF)
		}
		if t[i] == ']' {
			return i + 1
		}
		if t[i] != ',' {
			return s.fail(i, ReasonSyntax)
		}
		i = space(t, i+1)
	}
}

// colon passes the colon after a key that ends at i.
func (s *Scanner) colon(t []byte, i int) int {
	if i < len(t) && t[i] == ':' {
		return i + 1
	}
	if i = space(t, i); i >= len(t) {
		return s.fail(i, ReasonEOF)
	}
	if t[i] != ':' {
		return s.fail(i, ReasonSyntax)
	}
	return i + 1
}

func (s *Scanner) literal(t []byte, i int, word string) int {
	for n := range len(word) {
		if i+n >= len(t) {
			return s.fail(i+n, ReasonEOF)
		}
		if t[i+n] != word[n] {
			return s.fail(i+n, ReasonSyntax)
		}
	}
	return i + len(word)
}

// number validates -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? at i.
func (s *Scanner) number(t []byte, i int) int {
	start := i
	if t[i] == '-' {
		i++
	}
	from := i
	if i = digits(t, i); i == from {
		if start == from {
			return s.fail(i, ReasonSyntax)
		}
		return s.short(t, i)
	}
	if t[from] == '0' && i > from+1 {
		return s.fail(from+1, ReasonNumber)
	}
	if i < len(t) && t[i] == '.' {
		from = i + 1
		if i = digits(t, from); i == from {
			return s.short(t, i)
		}
	}
	if i < len(t) && t[i]|0x20 == 'e' {
		if i++; i < len(t) && (t[i] == '+' || t[i] == '-') {
			i++
		}
		from = i
		if i = digits(t, from); i == from {
			return s.short(t, i)
		}
	}
	return i
}

// short fails where a number lacks a digit.
func (s *Scanner) short(t []byte, i int) int {
	if i >= len(t) {
		return s.fail(i, ReasonEOF)
	}
	return s.fail(i, ReasonNumber)
}

func digits(t []byte, i int) int {
	for i < len(t) && t[i]-'0' <= 9 {
		i++
	}
	return i
}
