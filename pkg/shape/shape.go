// Package shape notes what events have: of which types and names there are how many, which properties they carry, and of
// what JSON kinds the values are. Its invariant: a count is exact or it is in Unnoted, whatever the order of events and
// merges; nothing that clients send makes a summary, or what is held on the way to it, larger than its limits. It does not
// say what becomes of a property (the catalog's views do) and does no I/O. A Learner and a Tally belong to the goroutine
// that reads events; a Summary to whoever holds it. Floor 0, PURE; owned by whoever owns the lake's words.
package shape

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"weir/pkg/event"
	"weir/pkg/jsonscan"
)

// Kind is what a value of a property is.
type Kind uint8

// The kinds. A null is none: it says nothing of a property.
const (
	Text    Kind = iota
	Instant      // a text that is a time of RFC 3339, such as "2026-11-22T10:00:00Z"
	Integer      // a number of at most 18 digits, without fraction and exponent
	Number       // any other number
	Boolean
	Nested // an object or array
	Kinds  // how many there are
)

// Kinded names the kinds, in their order.
var Kinded = [Kinds]string{"text", "instant", "integer", "number", "boolean", "nested"}

// kindOf looks at a value as a map has it; ok is false for null.
func kindOf(e *event.Entry) (k Kind, ok bool) {
	switch e.Kind {
	case jsonscan.String:
		if instant(e.Value) {
			return Instant, true
		}
		return Text, true
	case jsonscan.Number:
		if integer(e.Value) {
			return Integer, true
		}
		return Number, true
	case jsonscan.True, jsonscan.False:
		return Boolean, true
	case jsonscan.Object, jsonscan.Array:
		return Nested, true
	}
	return null, false
}

func integer(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	if len(text) > 18 {
		return false
	}
	for _, c := range text {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// instant looks at the places of the signs first: most texts are no times.
func instant(text []byte) bool {
	if len(text) < len("2006-01-02T15:04:05Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' {
		return false
	}
	_, ok := event.ParseTime(text)
	return ok
}

// Event is a type of events, and where people name them, of track calls, also their name.
type Event struct{ Type, Name string }

func (e Event) compare(o Event) int {
	return cmp.Or(strings.Compare(e.Type, o.Type), strings.Compare(e.Name, o.Name))
}

// Counts are values of one property, by kind.
type Counts [Kinds]int64

// Sum is how many there are.
func (c *Counts) Sum() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

func (c *Counts) add(o *Counts) {
	for k := range c {
		c[k] += o[k]
	}
}

// Seen is what was seen of one kind of event.
type Seen struct {
	Events     int64
	Properties map[string]*Counts // by key; of identify and group calls these are traits
}

// Unnoted is what the limits left out.
type Unnoted struct {
	Events int64 // whole events
	Values int64 // of properties, of events that are counted
}

// Summary is what was seen. The zero value is that of nothing.
type Summary struct {
	Events  map[Event]*Seen
	Unnoted Unnoted
}

// Empty tells whether nothing was seen.
func (s *Summary) Empty() bool { return s == nil || len(s.Events) == 0 && s.Unnoted == Unnoted{} }

// Limits of a summary.
type Limits struct {
	Events     int // kinds of event
	Properties int // of one event
	Total      int // properties of all events
}

// Longest names that are noted, in bytes. Glue takes comments of 255.
const (
	maxName = 256 // of an event
	maxKey  = 200 // of a property
)

// Merge counts another summary in. What is there already stays; of what is new the most frequent come first.
func (s *Summary) Merge(o *Summary, l Limits) {
	if o == nil {
		return
	}
	s.Unnoted.Events += o.Unnoted.Events
	s.Unnoted.Values += o.Unnoted.Values
	left := l.Total - s.total()
	for _, e := range o.Order() {
		from := o.Events[e]
		to := s.event(e, l)
		if to == nil {
			s.Unnoted.Events += from.Events
			continue
		}
		to.Events += from.Events
		for _, key := range from.Order() {
			left -= s.property(to, key, from.Properties[key], min(l.Properties, len(to.Properties)+left))
		}
	}
}

func (s *Summary) total() (n int) {
	for _, seen := range s.Events {
		n += len(seen.Properties)
	}
	return n
}

// event is nil where there is no room for another.
func (s *Summary) event(e Event, l Limits) *Seen {
	seen := s.Events[e]
	if seen == nil && len(s.Events) < l.Events {
		if s.Events == nil {
			s.Events = make(map[Event]*Seen)
		}
		seen = new(Seen)
		s.Events[e] = seen
	}
	return seen
}

// property counts values of a key in, and tells how many new properties that makes. most is how many the event may have.
func (s *Summary) property(to *Seen, key string, counts *Counts, most int) int {
	at := to.Properties[key]
	if at != nil {
		at.add(counts)
		return 0
	}
	if len(to.Properties) >= most {
		s.Unnoted.Values += counts.Sum()
		return 0
	}
	if to.Properties == nil {
		to.Properties = make(map[string]*Counts)
	}
	own := *counts
	to.Properties[key] = &own
	return 1
}

// Order is the events, the most frequent first.
func (s *Summary) Order() []Event {
	return slices.SortedFunc(maps.Keys(s.Events), func(a, b Event) int {
		return cmp.Or(cmp.Compare(s.Events[b].Events, s.Events[a].Events), a.compare(b))
	})
}

// Order is the properties, the most frequent first.
func (s *Seen) Order() []string {
	return slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Properties[b].Sum(), s.Properties[a].Sum()), strings.Compare(a, b))
	})
}
