package event

import (
	"math"
	"slices"
	"strconv"

	"weir/pkg/jsonscan"
	"weir/pkg/lake"
)

// promoted is where a view stands with the promoted paths of one event. Of duplicate keys the last counts, on every
// level: a second object begins anew.
type promoted struct {
	found   []bool // by path: something stood there
	visited []bool // by node
}

// begin readies for an event.
func (p *promoted) begin(by *Promotion) {
	if by == nil {
		return
	}
	if len(p.found) != len(by.types) || len(p.visited) != by.nodes {
		*p = promoted{found: make([]bool, len(by.types)), visited: make([]bool, by.nodes)}
		return
	}
	clear(p.found)
	clear(p.visited)
}

// enter begins an object, or whatever stands in its place. Had it been there before, what was found in it is given up.
func (v *View) enter(n *node) {
	if v.promoted.visited[n.index] {
		v.forget(n)
	}
	v.promoted.visited[n.index] = true
}

func (v *View) forget(n *node) {
	for i := range n.children {
		c := &n.children[i]
		if c.path >= 0 {
			v.drop(c.path)
		}
		if c.node != nil {
			v.forget(c.node)
		}
	}
}

func (v *View) drop(path int) {
	if v.promoted.found[path] {
		v.promoted.found[path] = false
		v.Cells = slices.DeleteFunc(v.Cells, func(c Cell) bool { return c.Path == path })
	}
}

func (v *View) note(path int, value jsonscan.Value) {
	v.drop(path)
	v.promoted.found[path] = true
	if value.Kind > jsonscan.Null {
		v.fill(v.nextCell(path), value)
	}
}

// nextCell is the next cell, in its place: one that is made elsewhere and copied costs more than finding its value.
func (v *View) nextCell(path int) *Cell {
	n := len(v.Cells)
	if n == cap(v.Cells) {
		v.Cells = append(v.Cells, Cell{})
	}
	v.Cells = v.Cells[:n+1]
	c := &v.Cells[n]
	c.Path, c.Side, c.Number, c.Text = path, lake.Main, 0, nil
	return c
}

// root is where the promoted paths of a map begin; nil where it has none.
func (v *View) root(f field) *node {
	if v.Promotion == nil {
		return nil
	}
	n := v.Promotion.roots[f-context]
	if n != nil {
		v.enter(n)
	}
	return n
}

// walkChild passes the value of a key; c is nil where nothing at it or below is promoted.
func (v *View) walkChild(c *child) (jsonscan.Value, bool) {
	if c == nil {
		return v.scan.Skip()
	}
	value, ok := v.walkNode(c.node)
	if ok && c.path >= 0 {
		v.note(c.path, value)
	}
	return value, ok
}

// walkNode passes a value that should be an object with promoted paths.
func (v *View) walkNode(n *node) (jsonscan.Value, bool) {
	s := &v.scan
	if n == nil {
		return s.Skip()
	}
	v.enter(n)
	if s.Peek() != jsonscan.Object {
		return s.Skip()
	}
	whole := jsonscan.Value{Kind: jsonscan.Object, Start: s.Offset()}
	if !s.EnterObject() {
		return jsonscan.Value{}, false
	}
	for {
		k, ok := s.NextMember()
		if !ok {
			whole.End = s.Offset()
			return whole, s.Err() == nil
		}
		key := v.string(k)
		value, ok := v.walkChild(n.find(key, classOf(key)))
		if !ok {
			return jsonscan.Value{}, false
		}
		whole.Flags |= k.Flags | value.Flags
	}
}

// fill puts a value where it belongs: into the column of its path where it is of that type, or is without loss, or else
// beside it. Only texts take values of another type: as the maps show them.
func (v *View) fill(c *Cell, value jsonscan.Value) {
	want := v.Promotion.types[c.Path]
	switch {
	case want == lake.String:
		c.Text = v.value(value)
	case value.Kind == jsonscan.Number:
		v.number(c, want, value)
	case value.Kind == jsonscan.True || value.Kind == jsonscan.False:
		if c.Side = lake.SideBoolean; want == lake.Boolean {
			c.Side = lake.Main
		}
		if value.Kind == jsonscan.True {
			c.Number = 1
		}
	default:
		c.Text = v.value(value)
		if at, ok := calendar(want, c.Text); ok && value.Kind == jsonscan.String {
			c.Number, c.Text = at, nil
		} else {
			c.Side = lake.SideString
		}
	}
}

// calendar reads what a column of times or of days takes.
func calendar(want lake.Type, text []byte) (int64, bool) {
	switch want {
	case lake.Timestamp:
		t, ok := ParseTime(text)
		return t.Micros, ok
	case lake.Date:
		return parseDate(text)
	}
	return 0, false
}

// exact is the greatest integer up to which every one is a double.
const exact = 1 << 53

// number puts a number into the column where nothing of it is lost: 5.0 is a bigint and 5 a double.
func (v *View) number(c *Cell, want lake.Type, value jsonscan.Value) {
	text := v.text[value.Start:value.End]
	if n, integer, ok := parseInteger(text); integer {
		switch {
		case ok && want == lake.Double && -exact <= n && n <= exact:
			c.Number = int64(math.Float64bits(float64(n)))
		case ok:
			if c.Number = n; want != lake.BigInt {
				c.Side = lake.SideBigInt
			}
		default:
			c.Side, c.Text = lake.SideString, text
		}
		return
	}
	f, ok := parseDouble(text)
	switch {
	case !ok:
		c.Side, c.Text = lake.SideString, text
	case want == lake.BigInt && f == math.Trunc(f) && math.Abs(f) < 1e15 && significant(text) <= 15:
		c.Number = int64(f) // doubles tell numbers of so many digits apart: this one is no rounded fraction
	default:
		if c.Number = int64(math.Float64bits(f)); want != lake.Double {
			c.Side = lake.SideDouble
		}
	}
}

// parseInteger reads a JSON number without fraction and exponent; not ok where it is beyond 64 bits.
func parseInteger(text []byte) (n int64, integer, ok bool) {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	ok = len(digits) < 19 // 18 digits cannot overflow
	for _, c := range digits {
		if c-'0' > 9 {
			return 0, false, false
		}
		n = n*10 - int64(c-'0')
	}
	if !ok {
		n, err := strconv.ParseInt(string(text), 10, 64)
		return n, true, err == nil
	}
	if len(digits) == len(text) {
		n = -n
	}
	return n, true, true
}

// tens are the powers of ten that are doubles.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseDouble reads a JSON number as the double next to it; not ok beyond the doubles, and for what is so small that it
// would be nothing.
func parseDouble(text []byte) (float64, bool) {
	if f, ok := shortDouble(text); ok {
		return f, true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return f, err == nil && (f != 0 || zero(text))
}

// shortDouble reads digits with a fraction where both the digits and the power of ten are doubles; their quotient is the
// double that is next then (Clinger, "How to read floating point numbers accurately", 1990).
func shortDouble(text []byte) (float64, bool) {
	if len(text) > 17 {
		return 0, false
	}
	n, fraction, dot := int64(0), 0, false
	for _, c := range text {
		switch {
		case c-'0' <= 9:
			n = n*10 + int64(c-'0')
			if dot {
				fraction++
			}
		case c == '.':
			dot = true
		case c != '-':
			return 0, false
		}
	}
	if n > exact {
		return 0, false
	}
	f := float64(n) / tens[fraction]
	if text[0] == '-' {
		f = -f
	}
	return f, true
}

// significant is how many digits of a number count, its exponent aside: from the first to the last that is not 0.
func significant(text []byte) int {
	n, last := 0, 0
	for _, c := range text {
		switch {
		case c == 'e' || c == 'E':
			return last
		case '1' <= c && c <= '9':
			n++
			last = n
		case c == '0' && n > 0:
			n++
		}
	}
	return last
}

// zero tells whether the digits of a number, its exponent aside, are all 0.
func zero(text []byte) bool {
	for _, c := range text {
		switch {
		case c == 'e' || c == 'E':
			return true
		case '1' <= c && c <= '9':
			return false
		}
	}
	return true
}
