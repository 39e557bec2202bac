package shown

import (
	"errors"
	"fmt"
	"strings"

	"weir/pkg/jsonscan"
)

// What became of an event, or of a request.
const (
	Accepted = "accepted" // in Kafka
	Rejected = "rejected" // one event of a request
	Refused  = "refused"  // a request as a whole
)

const (
	maxTerms = 16
	maxTerm  = 256 // bytes
)

// Seen is what a filter looks at.
type Seen struct {
	Source  string
	Outcome string
	Reason  string // of what is not accepted
	Event   []byte // JSON, as it stands in Kafka or as Append made it: a filter does not tell them apart; nil = unknown
}

// Filter chooses events. The zero Filter takes all.
type Filter struct {
	outcome string // "" = any
	source  []term
	reason  []term
	fields  []term // of the event
}

// term is one key=value.
type term struct {
	key    string
	value  string
	prefix bool // the value ended in *
}

func (t term) matches(text string) bool {
	if t.prefix {
		return strings.HasPrefix(text, t.value)
	}
	return text == t.value
}

// Parse reads terms, all of which must hold: accepted, rejected or refused; source=…, reason=…; and a top-level key of the
// event with its value, event=Order*. A value is compared as a whole, or where it ends in * by its beginning. What is never
// shown cannot be asked for.
func Parse(terms []string) (Filter, error) {
	var f Filter
	if len(terms) > maxTerms {
		return f, fmt.Errorf("%d terms are more than %d", len(terms), maxTerms)
	}
	for _, text := range terms {
		if err := f.add(text); err != nil {
			return f, fmt.Errorf("%q: %w", text[:min(len(text), maxTerm)], err)
		}
	}
	return f, nil
}

func (f *Filter) add(text string) error {
	key, value, found := strings.Cut(text, "=")
	switch {
	case len(text) > maxTerm:
		return fmt.Errorf("is longer than %d bytes", maxTerm)
	case !found && (text == Accepted || text == Rejected || text == Refused):
		if f.outcome != "" && f.outcome != text {
			return fmt.Errorf("nothing is %s too", f.outcome)
		}
		f.outcome = text
		return nil
	case !found || key == "":
		return errors.New("is neither key=value, key=begin* nor one of accepted, rejected, refused")
	}
	t := term{key: key, value: strings.TrimSuffix(value, "*"), prefix: strings.HasSuffix(value, "*")}
	switch key {
	case "source":
		f.source = append(f.source, t)
	case "reason":
		f.reason = append(f.reason, t)
	default:
		if !visible(t) {
			return errors.New("such a value is masked, nobody can ask for it")
		}
		f.fields = append(f.fields, t)
	}
	return nil
}

// visible reports whether a term asks for what is ever shown.
func visible(t term) bool {
	name := jsonscan.AppendQuoted(nil, t.key)
	at := atTop().under(jsonscan.Value{}, name)
	return !at.hidden && plain([]byte(t.value), at.message || t.prefix)
}

// Match reports whether all terms hold.
func (f *Filter) Match(s *Seen) bool {
	return (f.outcome == "" || f.outcome == s.Outcome) && all(f.source, s.Source) && all(f.reason, s.Reason) &&
		(len(f.fields) == 0 || f.matchFields(s.Event))
}

func all(terms []term, text string) bool {
	for _, t := range terms {
		if !t.matches(text) {
			return false
		}
	}
	return true
}

// matchFields looks at the event's top level once. Of a key that stands twice the last counts.
func (f *Filter) matchFields(event []byte) bool {
	var scan jsonscan.Scanner
	scan.Reset(event)
	if !scan.EnterObject() {
		return false
	}
	var hits uint32
	for {
		key, more := scan.NextMember()
		if !more {
			break
		}
		name := scan.Text(key)
		v, ok := scan.Skip()
		if !ok {
			return false
		}
		for i, t := range f.fields {
			if string(name[1:len(name)-1]) == t.key {
				hits = hits&^(1<<i) | hit(t, atTop().under(key, name), v, scan.Text(v))<<i
			}
		}
	}
	return hits == 1<<len(f.fields)-1
}

// hit is 1 where the value is shown, and is as asked for.
func hit(t term, at place, v jsonscan.Value, text []byte) uint32 {
	if v.Kind >= jsonscan.Object || !at.shows(v, text) || string(text) == masked {
		return 0
	}
	if v.Kind == jsonscan.String {
		text = text[1 : len(text)-1]
	}
	if t.matches(string(text)) {
		return 1
	}
	return 0
}
