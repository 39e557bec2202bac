package columnar

import (
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/lake"
)

// leaf is what Parquet calls a column: every column of the table is one, but for maps, which are two.
type leaf struct {
	path     []string
	kind     format.Type
	encoding encoding
	maxDef   uint8 // the greatest definition level
	repeated bool  // the greatest repetition level is 1, not 0
	bounds   bool  // least and greatest values are kept
	bloom    bool
	sparse   bool // left out of files that have no value of it
}

// encoding is how a leaf's values are written, as long as that pays.
type encoding uint8

const (
	plain      encoding = iota
	dictionary          // until the dictionary is no smaller than the values, or too large
	delta               // DELTA_BINARY_PACKED
	bitwise             // PLAIN, a bit a value
)

// Definition levels: how much of a value is there. Of a flat column 1 is a value; of a map's keys mapNull is a key, for
// keys are never NULL.
const (
	mapEmpty = 1 // the map, without an entry
	mapNull  = 2 // an entry whose value is NULL
	mapValue = 3 // an entry with a value
)

func root(columns int) format.SchemaElement {
	return format.SchemaElement{Name: "schema", NumChildren: thrift.New(int32(columns))}
}

// elementsOf describes a column: every one is optional and has its field id, a map is the standard's three levels with a
// required key and an optional value (LogicalTypes.md, "Maps").
func elementsOf(c lake.Column) ([]format.SchemaElement, []leaf) {
	if c.Type == lake.MapStringString {
		return mapElements(c)
	}
	e := element(c.Name, c.FieldID, format.Optional)
	l := leaf{path: []string{c.Name}, maxDef: 1, bounds: true}
	switch c.Type {
	case lake.Timestamp:
		l.kind, l.encoding = format.Int64, delta
		e.ConvertedType = thrift.New(deprecated.TimestampMicros)
		e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
	case lake.BigInt:
		l.kind, l.encoding = format.Int64, delta
		integer(&e, 64)
	case lake.Int:
		l.kind, l.encoding = format.Int32, delta
		integer(&e, 32)
	case lake.Date:
		l.kind, l.encoding = format.Int32, delta
		e.ConvertedType = thrift.New(deprecated.Date)
		e.LogicalType.Value = &format.DateType{}
	case lake.Double:
		l.kind = format.Double
	case lake.Boolean:
		l.kind, l.encoding = format.Boolean, bitwise
	default:
		l.kind = format.ByteArray
		l.bloom = c.Name == "messageid"
		if !l.bloom {
			l.encoding = dictionary // an id never repeats
		}
		text(&e)
	}
	e.Type = thrift.New(l.kind)
	return []format.SchemaElement{e}, []leaf{l}
}

// mapElements keeps no bounds: of a map's keys and values they say nothing.
func mapElements(c lake.Column) ([]format.SchemaElement, []leaf) {
	outer := element(c.Name, c.FieldID, format.Optional)
	outer.NumChildren = thrift.New(int32(1))
	outer.ConvertedType = thrift.New(deprecated.Map)
	outer.LogicalType.Value = &format.MapType{}
	entries := element("key_value", 0, format.Repeated)
	entries.NumChildren = thrift.New(int32(2))
	key, value := element("key", c.KeyID, format.Required), element("value", c.ValueID, format.Optional)
	for _, e := range []*format.SchemaElement{&key, &value} {
		e.Type = thrift.New(format.ByteArray)
		text(e)
	}
	return []format.SchemaElement{outer, entries, key, value}, []leaf{
		{path: []string{c.Name, "key_value", "key"}, kind: format.ByteArray, encoding: dictionary, maxDef: mapNull, repeated: true},
		{path: []string{c.Name, "key_value", "value"}, kind: format.ByteArray, encoding: plain, maxDef: mapValue, repeated: true},
	}
}

func element(name string, id int32, r format.FieldRepetitionType) format.SchemaElement {
	return format.SchemaElement{Name: name, FieldID: id, RepetitionType: thrift.New(r)}
}

func text(e *format.SchemaElement) {
	e.ConvertedType = thrift.New(deprecated.UTF8)
	e.LogicalType.Value = &format.StringType{}
}

func integer(e *format.SchemaElement, bits int8) {
	e.ConvertedType = thrift.New(deprecated.Int64)
	if bits == 32 {
		e.ConvertedType = thrift.New(deprecated.Int32)
	}
	e.LogicalType.Value = &format.IntType{BitWidth: bits, IsSigned: true}
}
