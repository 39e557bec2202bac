package columnar

import (
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/lake"
)

// schemaOf builds the Parquet schema: every column optional, every column with its field id, maps as the standard's
// three levels with a required key and an optional value.
func schemaOf(s lake.Schema) (*parquet.Schema, error) {
	nodes := parquet.Group{}
	for _, c := range s {
		n, err := nodeOf(c)
		if err != nil {
			return nil, err
		}
		nodes[c.Name] = withID(parquet.Optional(n), c.FieldID)
	}
	order := make(map[string]int, len(s))
	for i, c := range s {
		order[c.Name] = i
	}
	fields := nodes.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int { return order[a.Name()] - order[b.Name()] })
	return parquet.NewSchema("schema", ordered{nodes, fields}), nil
}

// ordered is a group whose columns stand in the order of the table; parquet-go's own sorts them by name.
type ordered struct {
	parquet.Group
	fields []parquet.Field
}

func (o ordered) Fields() []parquet.Field { return o.fields }

func withID(n parquet.Node, id int32) parquet.Node { return parquet.FieldID(n, int(id)) }

func nodeOf(c lake.Column) (parquet.Node, error) {
	switch c.Type {
	case lake.String:
		if repeats(c.Name) {
			return parquet.Encoded(parquet.String(), &parquet.RLEDictionary), nil
		}
		return parquet.Encoded(parquet.String(), &parquet.Plain), nil
	case lake.Timestamp:
		return parquet.Encoded(parquet.TimestampAdjusted(parquet.Microsecond, true), &parquet.Plain), nil
	case lake.MapStringString:
		key := parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
		value := parquet.Encoded(parquet.Leaf(unbounded{parquet.String().Type()}), &parquet.Plain)
		return parquet.Map(withID(key, c.KeyID), withID(parquet.Optional(value), c.ValueID)), nil
	case lake.Int:
		return parquet.Encoded(parquet.Leaf(parquet.Int32Type), &parquet.RLEDictionary), nil
	case lake.BigInt:
		return parquet.Encoded(parquet.Leaf(parquet.Int64Type), &parquet.Plain), nil
	}
	return nil, fmt.Errorf("make the Parquet schema: column %s has the unknown type %d", c.Name, c.Type)
}

// repeats tells of which string columns most values repeat within a row group, so that a dictionary pays.
func repeats(column string) bool {
	switch column {
	case "type", "event", "name", "category", "version", "kafkatopic":
		return true
	}
	return false
}

// unbounded is the type of map values. Their least and greatest say nothing, and could blow up the footer by as much as
// Kafka lets through, so the writer is told to skip them (SkipPageBounds). What it then writes into the column index is
// a greatest value of "", which is wrong and would make a reader that trusts it skip every page: here the index gets
// bounds that hold for any text.
type unbounded struct{ parquet.Type }

func (u unbounded) NewColumnIndexer(int) parquet.ColumnIndexer { return &unboundedIndexer{} }

type unboundedIndexer struct {
	nullPages  []bool
	nullCounts []int64
}

func (x *unboundedIndexer) Reset() { x.nullPages, x.nullCounts = nil, nil }

func (x *unboundedIndexer) IndexPage(values, nulls int64, _, _ parquet.Value) {
	x.nullPages = append(x.nullPages, values == nulls)
	x.nullCounts = append(x.nullCounts, nulls)
}

func (x *unboundedIndexer) ColumnIndex() format.ColumnIndex {
	index := format.ColumnIndex{
		NullPages:     x.nullPages,
		NullCounts:    x.nullCounts,
		MinValues:     make([][]byte, len(x.nullPages)),
		MaxValues:     make([][]byte, len(x.nullPages)),
		BoundaryOrder: format.Unordered,
	}
	for i, null := range x.nullPages {
		index.MinValues[i], index.MaxValues[i] = []byte{}, []byte{}
		if !null {
			index.MaxValues[i] = []byte{0xff} // above all UTF-8
		}
	}
	return index
}
