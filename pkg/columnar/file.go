// Package columnar makes Parquet files of events: rows go in one by one, row groups come out. Its invariant: what was
// appended before Close stands in the file once each, in that order, or Close returns an error; after an error nothing
// more is written. It does not decide when a file ends, where it goes or what becomes of a failed one (the sink does),
// and it does not read events (pkg/event does). A File belongs to one goroutine.
package columnar

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Options of a file.
type Options struct {
	Codec        string            // zstd, the default; snappy, none
	RowGroupRows int               // rows of a full row group; 0 = 100,000
	Metadata     map[string]string // key-value metadata of the footer
}

// Bounds of what a file holds back, and of what a reader must take in at once.
const (
	rowGroupRows    = 100_000
	rowGroupBytes   = 64 << 20 // a row group of large events ends earlier
	pageBytes       = 1 << 20  // of a column, before compression
	dictionaryBytes = 1 << 20  // beyond, a column of the row group goes on without dictionary
	stageRows       = 32       // rows staged before they are handed to the encoder column by column
	stageBytes      = 64 << 10
	bloomBits       = 10 // per messageid: one in a hundred look-ups is in vain
)

// fastest is shared by all files: it pools its encoders, which are large. It compresses like the C library's level 1.
var fastest compress.Codec = &zstd.Codec{Level: zstd.SpeedFastest}

// File is one Parquet file under construction.
type File struct {
	out       counter
	writer    *parquet.Writer
	columns   []column
	text      []byte // of the staged rows
	staged    int    // rows
	groupRows int    // rows in the open row group, the staged ones aside
	limit     int    // rows of a full row group
	rows      int64
	buffered  int64 // as of the last time that staged rows were encoded
	err       error // the first; the file is of no use then
	closed    bool
}

// NewFile begins a file with the columns of s. Nothing is written to out before the first row group is full or Close.
func NewFile(s lake.Schema, out io.Writer, o Options) (*File, error) {
	schema, err := schemaOf(s)
	if err != nil {
		return nil, err
	}
	f := &File{out: counter{w: out}, limit: o.RowGroupRows}
	if f.limit <= 0 {
		f.limit = rowGroupRows
	}
	options, err := writerOptions(schema, s, o)
	if err != nil {
		return nil, fmt.Errorf("make a Parquet file: %w", err)
	}
	f.writer = parquet.NewWriter(&f.out, options...)
	leaves := f.writer.ColumnWriters()
	for _, sc := range s {
		c, err := columnOf(sc)
		if err != nil {
			return nil, err
		}
		c.leaf.writer, leaves = leaves[0], leaves[1:]
		if sc.Type == lake.MapStringString {
			c.values.writer, leaves = leaves[0], leaves[1:]
		}
		f.columns = append(f.columns, c)
	}
	return f, nil
}

// writerOptions are options that NewWriter takes without a panic. A WriterConfig made of them would not do: passing one on
// turns the page statistics on again, with the least and greatest value in full in each page's header.
func writerOptions(schema *parquet.Schema, s lake.Schema, o Options) ([]parquet.WriterOption, error) {
	codec, err := codecOf(o.Codec)
	if err != nil {
		return nil, err
	}
	options := []parquet.WriterOption{
		schema,
		parquet.Compression(codec),
		parquet.PageBufferSize(pageBytes),
		parquet.WriteBufferSize(4 << 10), // thrift writes byte by byte; pages pass it by
		parquet.DataPageVersion(1),       // what every reader knows
		parquet.DataPageStatistics(false),
		parquet.DictionaryMaxBytes(dictionaryBytes),
	}
	for _, c := range s {
		switch {
		case c.Type == lake.MapStringString:
			options = append(options, parquet.SkipPageBounds(c.Name, "key_value", "value"))
		case c.Name == "messageid":
			options = append(options, parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, c.Name)))
		}
	}
	for k, v := range o.Metadata {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	_, err = parquet.NewWriterConfig(options...)
	return options, err
}

func codecOf(name string) (compress.Codec, error) {
	switch name {
	case "", "zstd":
		return fastest, nil
	case "snappy":
		return &parquet.Snappy, nil
	case "none":
		return &parquet.Uncompressed, nil
	}
	return nil, fmt.Errorf("unknown codec %q: want zstd, snappy or none", name)
}

var errClosed = errors.New("the file is closed")

// Append adds a row. It copies what it needs of r and v.
func (f *File) Append(r *event.Record, v *event.View) error {
	switch {
	case f.err != nil:
		return f.err
	case f.closed:
		return errClosed
	}
	for i := range f.columns {
		f.stage(&f.columns[i], r, v)
	}
	f.rows++
	if f.staged++; f.staged < stageRows && len(f.text) < stageBytes {
		return nil
	}
	if f.encode(); f.groupRows >= f.limit || f.buffered >= rowGroupBytes {
		f.flush()
	}
	return f.err
}

func (f *File) stage(c *column, r *event.Record, v *event.View) {
	switch {
	case c.text != nil:
		f.stageText(c, c.text(v))
	case c.entries != nil:
		f.stageMap(c, c.entries(v))
	case c.instant != nil:
		if t := c.instant(v); t.Valid {
			c.leaf.add(parquet.Int64Value(t.Micros), 1)
		} else {
			c.leaf.null(0)
		}
	case c.topic:
		from := len(f.text)
		f.text = append(f.text, r.Topic...)
		c.leaf.add(parquet.ByteArrayValue(f.text[from:]), 1)
	default:
		c.leaf.add(c.kafka(r), 1)
	}
}

func (f *File) stageText(c *column, t *event.Text) {
	if t.Valid {
		c.leaf.add(f.keep(t.B), 1)
	} else {
		c.leaf.null(0)
	}
}

func (f *File) stageMap(c *column, m *event.Map) {
	if len(m.Entries) == 0 {
		level := 0
		if m.Valid {
			level = mapEmpty
		}
		c.leaf.null(level)
		c.values.null(level)
		return
	}
	for i, e := range m.Entries {
		c.leaf.add(f.keep(e.Key), mapNullValue)
		if e.Value == nil {
			c.values.null(mapNullValue)
		} else {
			c.values.add(f.keep(e.Value), mapValue)
		}
		if i > 0 {
			c.leaf.again()
			c.values.again()
		}
	}
}

// keep copies b until the staged rows are encoded. Growing moves f.text, but not the values that point to where it was.
func (f *File) keep(b []byte) parquet.Value {
	from := len(f.text)
	f.text = append(f.text, b...)
	return parquet.ByteArrayValue(f.text[from:])
}

// encode hands the staged rows to the columns, which compress a page whenever one is full.
func (f *File) encode() {
	if f.staged == 0 || f.err != nil {
		return
	}
	for i := range f.columns {
		c := &f.columns[i]
		err := c.leaf.write()
		if err == nil && c.values.writer != nil {
			err = c.values.write()
		}
		if err != nil {
			f.fail(err)
			return
		}
	}
	f.groupRows += f.staged
	f.staged, f.text = 0, f.text[:0]
	if cap(f.text) > 4*stageBytes {
		f.text = nil // of a very large event
	}
	f.measure()
}

// flush writes the open row group out.
func (f *File) flush() {
	if f.err != nil {
		return
	}
	if err := f.writer.Flush(); err != nil {
		f.fail(err)
		return
	}
	f.groupRows = 0
	f.measure()
}

func (f *File) fail(err error) { f.err = fmt.Errorf("write a row group of a Parquet file: %w", err) }

func (f *File) measure() { f.buffered = f.writer.Size() - f.out.n }

// Buffered is about how many bytes of memory the file holds.
func (f *File) Buffered() int64 { return f.buffered + int64(len(f.text)) }

// Rows is how many rows were appended.
func (f *File) Rows() int64 { return f.rows }

// Close writes the last row group and the footer. It does not close out. A second Close does nothing.
func (f *File) Close() error {
	if f.closed || f.err != nil {
		return f.err
	}
	f.encode()
	f.flush()
	f.closed = true
	if f.err == nil {
		if err := f.writer.Close(); err != nil {
			f.err = fmt.Errorf("write the footer of a Parquet file: %w", err)
		}
	}
	f.text, f.columns, f.buffered = nil, nil, 0
	return f.err
}

// counter counts what went out.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
