package columnar

import (
	"fmt"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// column is where the values of one column of the table come from.
type column struct {
	source  source
	leaf    int // its first
	text    func(*event.View) *event.Text
	instant func(*event.View) *event.Instant
	entries func(*event.View) *event.Map
	number  func(*event.Record) int64
}

type source uint8

const (
	fromNothing source = iota
	fromText
	fromInstant
	fromMap
	fromRecord // a number of the record
	fromTopic  // the record's topic
)

// slots are the leaves of promoted paths: of each path one a side, or none.
type slots [][lake.Sides]int16

const noLeaf = -1

// promote adds the leaves of promoted paths behind those of the table's own columns.
func (l *Layout) promote(paths []lake.Promoted, names map[string]bool) error {
	l.slots = make(slots, len(paths))
	for s := range lake.Sides { // those beside others come last: they are rare, and the others stand close together
		for i, p := range paths {
			c, ok := p.Column(s)
			if l.slots[i][s] = noLeaf; !ok {
				continue
			}
			if names[c.Name] {
				return fmt.Errorf("column %s stands twice in the schema", c.Name)
			}
			names[c.Name] = true
			l.slots[i][s] = int16(len(l.leaves))
			elements, leaves := elementsOf(c)
			leaves[0].sparse = true
			l.elements, l.leaves = append(l.elements, elements...), append(l.leaves, leaves...)
		}
	}
	return nil
}

func columnsOf(s lake.Schema, names map[string]bool) ([]column, error) {
	columns := make([]column, len(s))
	for i, c := range s {
		var ok bool
		if columns[i], ok = columnOf(c); !ok {
			return nil, fmt.Errorf("no event has a %s %s", c.Type.Glue(), c.Name)
		}
		if names[c.Name] {
			return nil, fmt.Errorf("column %s stands twice in the schema", c.Name)
		}
		names[c.Name] = true
	}
	return columns, nil
}

func columnOf(c lake.Column) (column, bool) {
	var col column
	switch c.Type {
	case lake.String:
		if c.Name == "kafkatopic" {
			return column{source: fromTopic}, true
		}
		col.source, col.text = fromText, textOf(c.Name)
	case lake.Timestamp:
		col.source, col.instant = fromInstant, instantOf(c.Name)
	case lake.MapStringString:
		col.source, col.entries = fromMap, mapOf(c.Name)
	case lake.Int:
		if c.Name == "kafkapartition" {
			col.source, col.number = fromRecord, func(r *event.Record) int64 { return int64(r.Partition) }
		}
	case lake.BigInt:
		if c.Name == "kafkaoffset" {
			col.source, col.number = fromRecord, func(r *event.Record) int64 { return r.Offset }
		}
	}
	return col, col.text != nil || col.instant != nil || col.entries != nil || col.number != nil
}

func textOf(name string) func(*event.View) *event.Text {
	switch name {
	case "anonymousid":
		return func(v *event.View) *event.Text { return &v.AnonymousID }
	case "messageid":
		return func(v *event.View) *event.Text { return &v.MessageID }
	case "type":
		return func(v *event.View) *event.Text { return &v.Type }
	case "userid":
		return func(v *event.View) *event.Text { return &v.UserID }
	case "event":
		return func(v *event.View) *event.Text { return &v.Event }
	case "name":
		return func(v *event.View) *event.Text { return &v.Name }
	case "category":
		return func(v *event.View) *event.Text { return &v.Category }
	case "groupid":
		return func(v *event.View) *event.Text { return &v.GroupID }
	case "previousid":
		return func(v *event.View) *event.Text { return &v.PreviousID }
	case "version":
		return func(v *event.View) *event.Text { return &v.Version }
	}
	return nil
}

func instantOf(name string) func(*event.View) *event.Instant {
	switch name {
	case "timestamp":
		return func(v *event.View) *event.Instant { return &v.Timestamp }
	case "originaltimestamp":
		return func(v *event.View) *event.Instant { return &v.OriginalTimestamp }
	case "sentat":
		return func(v *event.View) *event.Instant { return &v.SentAt }
	case "receivedat":
		return func(v *event.View) *event.Instant { return &v.ReceivedAt }
	}
	return nil
}

func mapOf(name string) func(*event.View) *event.Map {
	switch name {
	case "context":
		return func(v *event.View) *event.Map { return &v.Context }
	case "traits":
		return func(v *event.View) *event.Map { return &v.Traits }
	case "properties":
		return func(v *event.View) *event.Map { return &v.Properties }
	case "integrations":
		return func(v *event.View) *event.Map { return &v.Integrations }
	case "rescued":
		return func(v *event.View) *event.Map { return &v.Rescued }
	}
	return nil
}
