package event

import (
	"weir/pkg/jsonscan"
	"weir/pkg/lake"
)

// Text is the value of a string column: UTF-8 without NUL.
type Text struct {
	B     []byte
	Valid bool // false is NULL
}

// Entry is one key of a map column. A nil Value is NULL: the key stood there with null.
type Entry struct {
	Key, Value []byte
	Kind       jsonscan.Kind // of the JSON value; Invalid in a Map that no Decode has made
}

// Map is the value of a map column. Its keys are unique; their order means nothing.
type Map struct {
	Entries []Entry
	Valid   bool // false is NULL

	seen    uint64 // a bit for each class of keys that has an entry
	crowded bool   // duplicates may stand in Entries until unique has run
}

// View is one event as the table sees it. Its bytes are borrowed from the record and from the view itself, until the
// next Decode. The zero View is ready; one that is used again allocates nothing but for events larger than before.
type View struct {
	SourceID []byte
	Day      lake.Day // of ReceivedAt

	AnonymousID, MessageID, Type, UserID, Event      Text
	Name, Category, GroupID, PreviousID, Version     Text
	Timestamp, OriginalTimestamp, SentAt, ReceivedAt Instant
	Context, Traits, Properties, Integrations        Map
	Rescued                                          Map // values are JSON text

	Promotion *Promotion // what to look for; nil = nothing. Whoever holds the view sets it between two events
	Cells     []Cell     // what was found, of each path at most one

	promoted promoted

	scan  jsonscan.Scanner
	text  []byte                 // the record's value
	arena []byte                 // what could not be borrowed from it
	last  [fields]jsonscan.Value // the last value of each field; of maps only what is no object
	order []int32                // scratch of Map.unique
}

// What a view keeps at most of its buffers for the next event; a record can be as large as Kafka lets through.
const (
	keepArena   = 1 << 20 // bytes
	keepEntries = 1 << 12 // of each map
)

// Decode makes v the view of r, or says why r is no event; then v is of no use until the next Decode. What it makes
// of a record depends on nothing but the record.
func (v *View) Decode(r *Record) Reason {
	v.reset(r)
	if reason := v.place(r); reason != "" {
		return reason
	}
	if reason := v.walk(); reason != "" {
		return reason
	}
	v.resolveTexts()
	if v.Type.Valid = v.Type.Valid && len(v.Type.B) > 0; !v.Type.Valid {
		if len(v.Event.B) == 0 {
			return NoType
		}
		v.Type = v.own(append(v.arena, "track"...))
	}
	if !v.MessageID.Valid || len(v.MessageID.B) == 0 {
		v.MessageID = v.own(appendMessageID(v.arena, r))
	}
	_, viaGateway := r.header(HeaderReceivedAt)
	v.resolveTimes(viaGateway)
	v.resolveMaps()
	return ""
}

// reset leaves nothing of the last event behind but what Decode always sets.
func (v *View) reset(r *Record) {
	v.text, v.arena = r.Value, v.arena[:0]
	if cap(v.arena) > keepArena {
		v.arena = nil
	}
	if cap(v.order) > keepEntries {
		v.order = nil
	}
	clear(v.last[:])
	v.Context.empty()
	v.Traits.empty()
	v.Properties.empty()
	v.Integrations.empty()
	v.Rescued.empty()
	v.Cells = v.Cells[:0]
	v.promoted.begin(v.Promotion)
}

// own makes a text of what was just appended to the arena.
func (v *View) own(arena []byte) Text {
	from := len(v.arena)
	v.arena = arena
	return Text{B: arena[from:len(arena):len(arena)], Valid: true}
}

// place finds the source and the day of the record. A header that is empty, or is no time, is as good as none.
func (v *View) place(r *Record) Reason {
	source, _ := r.header(HeaderSource)
	if len(source) == 0 {
		source = r.Key
	}
	switch {
	case len(source) == 0:
		return NoSource
	case !lake.ValidSourceID(source):
		return BadSource
	}
	v.SourceID = source
	at, _ := r.header(HeaderReceivedAt)
	received, ok := ParseTime(at)
	if !ok && r.Timestamp.UnixMilli() != NoTimestamp {
		received = InstantOf(r.Timestamp)
	}
	if v.ReceivedAt = received; !received.Valid {
		return BadReceivedAt
	}
	day, _ := floorDiv(v.ReceivedAt.Micros, 86400e6)
	v.Day = lake.Day(day)
	return ""
}
