package main

import (
	"context"
	"unsafe"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"weir/pkg/event"
)

// within tells whether part is a piece of whole.
func within(whole, part []byte) bool {
	if len(whole) == 0 {
		return false
	}
	from, at := uintptr(unsafe.Pointer(&whole[0])), uintptr(unsafe.Pointer(&part[0]))
	return at >= from && at < from+uintptr(len(whole))
}

func arrowSchema() *schema.GroupNode {
	var fields schema.FieldList
	text := schema.StringLogicalType{}
	for i, name := range columnNames {
		var n schema.Node
		switch {
		case i < textColumns:
			n = schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, text, parquet.Types.ByteArray, 0, -1))
		case i < textColumns+instantColumns:
			n = schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros), parquet.Types.Int64, 0, -1))
		case i == textColumns+instantColumns:
			n = schema.Must(schema.NewPrimitiveNode(name, parquet.Repetitions.Optional, parquet.Types.Int32, -1, -1))
		case i < flatColumns:
			n = schema.Must(schema.NewPrimitiveNode(name, parquet.Repetitions.Optional, parquet.Types.Int64, -1, -1))
		default:
			key := schema.Must(schema.NewPrimitiveNodeLogical("key", parquet.Repetitions.Required, text, parquet.Types.ByteArray, 0, -1))
			value := schema.Must(schema.NewPrimitiveNodeLogical("value", parquet.Repetitions.Optional, text, parquet.Types.ByteArray, 0, -1))
			n = schema.MustGroup(schema.MapOf(name, key, value, parquet.Repetitions.Optional, -1))
		}
		fields = append(fields, n)
	}
	return schema.MustGroup(schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1))
}

// arrowProperties give dictionaries to the columns that parquet-go's writer has them for, and else what the lake's files have.
func arrowProperties() *parquet.WriterProperties {
	options := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1), parquet.WithDictionaryDefault(false),
		parquet.WithDataPageSize(1 << 20), parquet.WithPageIndexEnabled(true), parquet.WithMaxRowGroupLength(rowGroupRows),
		parquet.WithBloomFilterEnabledFor("messageid", true), parquet.WithBloomFilterNDVFor("messageid", rowGroupRows),
	}
	for _, name := range dictionaries {
		options = append(options, parquet.WithDictionaryFor(name, true))
	}
	for _, name := range columnNames[flatColumns:] {
		options = append(options, parquet.WithDictionaryFor(name+".key_value.key", true))
	}
	return parquet.NewWriterProperties(options...)
}

// arrowColumns are a row group's writers and the slices that they take.
type arrowColumns struct {
	group     file.BufferedRowGroupWriter
	texts     []parquet.ByteArray
	longs     []int64
	ints      []int32
	def, reps []int16
}

// runArrow is weir's scanner and arrow-go's column writers.
func runArrow(_ context.Context, c child) (int64, error) {
	var size counter
	w, err := file.NewParquetWriterWithError(&size, arrowSchema(), file.WithWriterProps(arrowProperties()))
	if err != nil {
		return 0, err
	}
	var b batch
	var columns arrowColumns
	if columns.group, err = w.AppendBufferedRowGroupChecked(); err != nil {
		return 0, err
	}
	rows := 0
	flush := func() error {
		if err := columns.write(&b); err != nil {
			return err
		}
		if rows += b.rows; rows >= rowGroupRows {
			rows = 0
			if err := columns.group.Close(); err != nil {
				return err
			}
			columns.group, err = w.AppendBufferedRowGroupChecked()
		}
		b.clear()
		return err
	}
	err = feed(c, nil, func(r *event.Record, v *event.View) error {
		if b.add(r, v); b.rows < batchRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = columns.group.Close()
	}
	if err == nil {
		err = w.Close()
	}
	return int64(size), err
}

func (a *arrowColumns) write(b *batch) error {
	for i := range b.leaves {
		column, err := a.group.Column(i)
		if err != nil {
			return err
		}
		a.take(i, b.leaves[i])
		reps := a.reps
		if i < flatColumns {
			reps = nil
		}
		switch w := column.(type) {
		case *file.ByteArrayColumnChunkWriter:
			_, err = w.WriteBatch(a.texts, a.def, reps)
		case *file.Int64ColumnChunkWriter:
			_, err = w.WriteBatch(a.longs, a.def, reps)
		case *file.Int32ColumnChunkWriter:
			_, err = w.WriteBatch(a.ints, a.def, reps)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take lays a leaf's cells out as the writers want them: values that are there, and the levels of all.
func (a *arrowColumns) take(i int, cells []cell) {
	full := int16(1)
	if i >= flatColumns {
		full = 2 + int16((i-flatColumns)%2)
	}
	a.texts, a.longs, a.ints, a.def, a.reps = a.texts[:0], a.longs[:0], a.ints[:0], a.def[:0], a.reps[:0]
	for _, c := range cells {
		a.def, a.reps = append(a.def, c.def), append(a.reps, c.rep)
		switch {
		case c.def < full:
		case i < textColumns || i >= flatColumns:
			a.texts = append(a.texts, c.bytes)
		case i == textColumns+instantColumns:
			a.ints = append(a.ints, int32(c.number))
		default:
			a.longs = append(a.longs, c.number)
		}
	}
}
