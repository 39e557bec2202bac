package main

import (
	"context"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"

	"weir/pkg/event"
)

// cell is one value of a column, or the lack of one, with the levels that Parquet gives it.
type cell struct {
	bytes  []byte
	number int64
	def    int16
	rep    int16
}

// The columns by kind, in the order of columnNames: texts, then instants, the partition, the offset, then maps.
const (
	textColumns    = 11
	instantColumns = 4
	flatColumns    = textColumns + instantColumns + 2
	mapColumns     = 5
	leafColumns    = flatColumns + 2*mapColumns
)

// batch is some rows by leaf, as a library's column writers take them.
type batch struct {
	leaves [leafColumns][]cell
	rows   int
}

const batchRows = 256

// add copies nothing: the corpus outlives the batch, and so must what the view made of it (see hold).
func (b *batch) add(r *event.Record, v *event.View) {
	for i, t := range [...]*event.Text{
		&v.AnonymousID, &v.MessageID, &v.Type, &v.UserID, &v.Event, &v.Name, &v.Category, &v.GroupID, &v.PreviousID, &v.Version,
	} {
		c := cell{}
		if t.Valid {
			c = cell{bytes: hold(r, t.B), def: 1}
		}
		b.leaves[i] = append(b.leaves[i], c)
	}
	b.leaves[textColumns-1] = append(b.leaves[textColumns-1], cell{bytes: topicBytes, def: 1})
	at := textColumns
	for _, t := range [...]event.Instant{v.Timestamp, v.OriginalTimestamp, v.SentAt, v.ReceivedAt} {
		c := cell{}
		if t.Valid {
			c = cell{number: t.Micros, def: 1}
		}
		b.leaves[at] = append(b.leaves[at], c)
		at++
	}
	b.leaves[at] = append(b.leaves[at], cell{number: int64(r.Partition), def: 1})
	b.leaves[at+1] = append(b.leaves[at+1], cell{number: r.Offset, def: 1})
	at = flatColumns
	for _, m := range [...]*event.Map{&v.Context, &v.Traits, &v.Properties, &v.Integrations, &v.Rescued} {
		b.entries(at, r, m)
		at += 2
	}
	b.rows++
}

var topicBytes = []byte(topic)

func (b *batch) entries(at int, r *event.Record, m *event.Map) {
	keys, values := &b.leaves[at], &b.leaves[at+1]
	if !m.Valid || len(m.Entries) == 0 {
		c := cell{}
		if m.Valid {
			c.def = 1
		}
		*keys, *values = append(*keys, c), append(*values, c)
		return
	}
	rep := int16(0)
	for _, e := range m.Entries {
		*keys = append(*keys, cell{bytes: hold(r, e.Key), def: 2, rep: rep})
		c := cell{def: 2, rep: rep}
		if e.Value != nil {
			c = cell{bytes: hold(r, e.Value), def: 3, rep: rep}
		}
		*values = append(*values, c)
		rep = 1
	}
}

// hold keeps bytes of the view until the batch is written: those that point into the record stay, few do not.
func hold(r *event.Record, b []byte) []byte {
	if len(b) == 0 || within(r.Value, b) {
		return b
	}
	return append([]byte(nil), b...)
}

func (b *batch) clear() {
	for i := range b.leaves {
		b.leaves[i] = b.leaves[i][:0]
	}
	b.rows = 0
}

// columnNames are the columns of the table in the order of a batch.
var columnNames = [...]string{
	"anonymousid", "messageid", "type", "userid", "event", "name", "category", "groupid", "previousid", "version", "kafkatopic",
	"timestamp", "originaltimestamp", "sentat", "receivedat", "kafkapartition", "kafkaoffset",
	"context", "traits", "properties", "integrations", "rescued",
}

// dictionaries are the flat columns whose values repeat.
var dictionaries = []string{"type", "event", "name", "category", "version", "kafkatopic", "kafkapartition"}

// parquetGoWriter is parquet-go's writer as the sink had it before it had an encoder of its own.
func parquetGoWriter(out io.Writer) *parquet.GenericWriter[any] {
	nodes := parquet.Group{}
	for i, name := range columnNames {
		var n parquet.Node
		encoding := encoding.Encoding(&parquet.Plain)
		if slices.Contains(dictionaries, name) {
			encoding = &parquet.RLEDictionary
		}
		switch {
		case i < textColumns:
			n = parquet.Encoded(parquet.String(), encoding)
		case i < textColumns+instantColumns:
			n = parquet.Encoded(parquet.TimestampAdjusted(parquet.Microsecond, true), encoding)
		case i == textColumns+instantColumns:
			n = parquet.Encoded(parquet.Leaf(parquet.Int32Type), encoding)
		case i < flatColumns:
			n = parquet.Encoded(parquet.Leaf(parquet.Int64Type), encoding)
		default:
			n = parquet.Map(parquet.Encoded(parquet.String(), &parquet.RLEDictionary), parquet.Optional(parquet.Encoded(parquet.String(), encoding)))
		}
		nodes[name] = parquet.Optional(n)
	}
	options := []parquet.WriterOption{
		parquet.NewSchema("schema", nodes), parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(1 << 20), parquet.DataPageVersion(1), parquet.DataPageStatistics(false),
		parquet.DictionaryMaxBytes(1 << 20), parquet.BloomFilters(parquet.SplitBlockFilter(10, "messageid")),
	}
	for _, name := range columnNames[flatColumns:] {
		options = append(options, parquet.SkipPageBounds(name, "key_value", "value"))
	}
	return parquet.NewGenericWriter[any](out, options...)
}

// leafOf is which leaf of a batch a column of parquet-go's is; it sorts columns by name.
func leafOf(path []string) int {
	at := slices.Index(columnNames[:], path[0])
	if at < flatColumns {
		return at
	}
	at = flatColumns + 2*(at-flatColumns)
	if path[2] == "value" {
		at++
	}
	return at
}

// runParquetGo is weir's scanner and parquet-go's column writers.
func runParquetGo(_ context.Context, c child) (int64, error) {
	var size counter
	w := parquetGoWriter(&size)
	columns := w.ColumnWriters()
	var b batch
	var leaves []int
	for _, path := range w.Schema().Columns() {
		leaves = append(leaves, leafOf(path))
	}
	var values []parquet.Value
	rows := 0
	flush := func() error {
		for i, column := range columns {
			values = values[:0]
			leaf := leaves[i]
			for _, c := range b.leaves[leaf] {
				values = append(values, valueOf(i, leaf, c))
			}
			if _, err := column.WriteRowValues(values); err != nil {
				return err
			}
		}
		if rows += b.rows; rows >= rowGroupRows {
			rows = 0
			if err := w.Flush(); err != nil {
				return err
			}
		}
		b.clear()
		return nil
	}
	err := feed(c, nil, func(r *event.Record, v *event.View) error {
		if b.add(r, v); b.rows < batchRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = w.Close()
	}
	return int64(size), err
}

func valueOf(column, leaf int, c cell) parquet.Value {
	var v parquet.Value
	switch {
	case leaf < textColumns && c.def == 1, leaf >= flatColumns && c.def == int16(2+(leaf-flatColumns)%2):
		v = parquet.ByteArrayValue(c.bytes)
	case leaf < textColumns || leaf >= flatColumns || c.def == 0:
	case leaf == textColumns+instantColumns:
		v = parquet.Int32Value(int32(c.number))
	default:
		v = parquet.Int64Value(c.number)
	}
	return v.Level(int(c.rep), int(c.def), column)
}
