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
	rowGroupBytes   = 64 << 20  // a row group of large events ends earlier
	tailBytes       = 512 << 10 // rows kept as they are before they are encoded
	pageBytes       = 1 << 20   // of a column, before compression
	dictionaryBytes = 1 << 20   // beyond, a column of the row group goes on without dictionary
	dictionaryRows  = 16 << 10  // rows after which that is looked at
	bloomBits       = 10        // per messageid: one in a hundred look-ups is in vain
)

// What column buffers take beside the bytes that they say they hold, as measured: their least sizes, and the room that
// they grow ahead.
const (
	writerBytes   = 600 << 10
	growthPercent = 150
)

// fastest is shared by all files: it pools its encoders, which are large. It compresses like the C library's level 1.
var fastest compress.Codec = &zstd.Codec{Level: zstd.SpeedFastest}

// File is one Parquet file under construction.
type File struct {
	out       counter
	schema    lake.Schema
	options   Options
	columns   []column
	tail      tail
	writer    *parquet.GenericWriter[any] // nil until the first rows are encoded
	leaves    []*parquet.ColumnWriter
	indexed   []*parquet.ColumnWriter // those of leaves that have a dictionary
	pageRows  int                     // rows since their last pages ended
	groupRows int                     // rows in the open row group, those of the tail aside
	rows      int64
	encoded   int64 // about the memory that writer holds
	err       error // the first; the file is of no use then
	closed    bool
}

// NewFile begins a file with the columns of s. Nothing is written to out before the first row group is full or Close.
func NewFile(s lake.Schema, out io.Writer, o Options) (*File, error) {
	columns, err := columnsOf(s)
	if err != nil {
		return nil, fmt.Errorf("make a Parquet file: %w", err)
	}
	if _, err := codecOf(o.Codec); err != nil {
		return nil, fmt.Errorf("make a Parquet file: %w", err)
	}
	if o.RowGroupRows <= 0 {
		o.RowGroupRows = rowGroupRows
	}
	return &File{out: counter{w: out}, schema: s, options: o, columns: columns}, nil
}

// open makes the writer.
func (f *File) open() error {
	if f.writer != nil {
		return nil
	}
	schema, err := schemaOf(f.schema)
	if err != nil {
		return err
	}
	options, err := writerOptions(schema, f.schema, f.options)
	if err != nil {
		return err
	}
	f.writer = parquet.NewGenericWriter[any](&f.out, options...)
	f.leaves = f.writer.ColumnWriters()
	for i, path := range schema.Columns() {
		if leaf, _ := schema.Lookup(path...); leaf.Node.Encoding() == &parquet.RLEDictionary {
			f.indexed = append(f.indexed, f.leaves[i])
		}
	}
	return nil
}

// writerOptions are options that a writer takes without a panic. A WriterConfig made of them would not do: passing one on
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
	f.tail.add(f.columns, r, v)
	f.rows++
	full := f.groupRows+f.tail.rows >= f.options.RowGroupRows
	if !full && len(f.tail.b) < tailBytes {
		return nil
	}
	if f.encode(); full || f.encoded >= rowGroupBytes {
		f.flush()
	}
	return f.err
}

// encode hands the tail to the columns, which compress a page whenever one is full.
func (f *File) encode() {
	if f.err != nil {
		return
	}
	if f.err = f.open(); f.err != nil {
		return
	}
	if err := f.tail.encode(f.columns, f.leaves); err != nil {
		f.err = fmt.Errorf("encode rows of a Parquet file: %w", err)
		return
	}
	f.groupRows += f.tail.rows
	if f.pageRows += f.tail.rows; f.pageRows >= dictionaryRows {
		f.endPages()
	}
	f.tail = tail{b: f.tail.b[:0]}
	if cap(f.tail.b) > 2*tailBytes {
		f.tail.b = nil // of a very large event
	}
	f.measure()
}

// endPages ends the pages of columns with a dictionary. parquet-go looks at a dictionary's size only then, and such a
// page, four bytes a value, would not fill before the row group does.
func (f *File) endPages() {
	f.pageRows = 0
	for _, w := range f.indexed {
		if err := w.Flush(); err != nil && f.err == nil {
			f.err = fmt.Errorf("encode rows of a Parquet file: %w", err)
		}
	}
}

// flush writes the open row group out.
func (f *File) flush() {
	if f.err != nil {
		return
	}
	if err := f.writer.Flush(); err != nil {
		f.err = fmt.Errorf("write a row group of a Parquet file: %w", err)
		return
	}
	f.groupRows, f.pageRows = 0, 0
	f.measure()
}

// measure asks the columns how much they hold. The writer counts what it has written as well.
func (f *File) measure() {
	f.encoded = writerBytes + (f.writer.Size()-f.out.n)*growthPercent/100
}

// Buffered is about how many bytes of memory the file holds.
func (f *File) Buffered() int64 { return f.encoded + int64(cap(f.tail.b)) }

// Rows is how many rows were appended.
func (f *File) Rows() int64 { return f.rows }

// Close writes the last row group and the footer. It does not close out. A second Close does nothing.
func (f *File) Close() error {
	if f.closed || f.err != nil {
		return f.err
	}
	f.closed = true
	f.encode()
	f.flush()
	if f.err == nil {
		if err := f.writer.Close(); err != nil {
			f.err = fmt.Errorf("write the footer of a Parquet file: %w", err)
		}
	}
	f.tail, f.writer, f.leaves, f.indexed, f.encoded = tail{}, nil, nil, nil, 0
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
