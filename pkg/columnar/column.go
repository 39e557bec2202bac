package columnar

import (
	"fmt"

	"github.com/parquet-go/parquet-go"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Definition levels: how much of an optional column or of a map is there.
const (
	mapEmpty     = 1 // there, without an entry
	mapNullValue = 2 // an entry whose value is NULL
	mapValue     = 3 // an entry; of the key column mapNullValue, for keys are never NULL
)

// column is one column of the table, and the rows staged for it.
type column struct {
	text    func(*event.View) *event.Text
	instant func(*event.View) *event.Instant
	entries func(*event.View) *event.Map
	kafka   func(*event.Record) parquet.Value // of an int or bigint column
	topic   bool                              // the record's topic

	leaf   leaf // of a map its keys
	values leaf // of a map
}

// leaf is what Parquet calls a column: one sequence of values with their levels.
type leaf struct {
	writer *parquet.ColumnWriter
	staged []parquet.Value
}

// null adds a missing value: of a plain column with level 0.
func (l *leaf) null(level int) {
	l.staged = append(l.staged, parquet.Value{})
	l.staged[len(l.staged)-1].SetDefinitionLevel(level)
}

func (l *leaf) add(v parquet.Value, level int) {
	l.staged = append(l.staged, v)
	l.staged[len(l.staged)-1].SetDefinitionLevel(level)
}

// again marks the value that was added last as one more of the same row.
func (l *leaf) again() { l.staged[len(l.staged)-1].SetRepetitionLevel(1) }

func (l *leaf) write() error {
	_, err := l.writer.WriteRowValues(l.staged)
	clear(l.staged)
	l.staged = l.staged[:0]
	return err
}

// columnOf finds where a column's values come from.
func columnOf(c lake.Column) (column, error) {
	switch c.Type {
	case lake.String:
		if c.Name == "kafkatopic" {
			return column{topic: true}, nil
		}
		if f := textOf(c.Name); f != nil {
			return column{text: f}, nil
		}
	case lake.Timestamp:
		if f := instantOf(c.Name); f != nil {
			return column{instant: f}, nil
		}
	case lake.MapStringString:
		if f := mapOf(c.Name); f != nil {
			return column{entries: f}, nil
		}
	case lake.Int:
		if c.Name == "kafkapartition" {
			return column{kafka: func(r *event.Record) parquet.Value { return parquet.Int32Value(r.Partition) }}, nil
		}
	case lake.BigInt:
		if c.Name == "kafkaoffset" {
			return column{kafka: func(r *event.Record) parquet.Value { return parquet.Int64Value(r.Offset) }}, nil
		}
	}
	return column{}, fmt.Errorf("make a Parquet file: no event has a %s %s", c.Type.Glue(), c.Name)
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
