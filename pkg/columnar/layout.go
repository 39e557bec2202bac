package columnar

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/lake"
)

// Options of a layout.
type Options struct {
	Codec        string            // zstd, the default; snappy, none
	RowGroupRows int               // rows of a full row group; 0 = 100,000
	PageRows     int               // of a page at most; 0 = 20,000
	RowsBytes    int64             // memory of rows of all files together that are no pages yet; 0 = 192 MiB
	CreatedBy    string            // application, version and build, as the footer wants them
	Metadata     map[string]string // key-value metadata of the footer
	Plain        bool              // no bounds, no page index, no checksums, no Bloom filter: to measure what they cost
	Promoted     []lake.Promoted   // by the paths of the views' Promotion, in their order; a file has those of which it has values
}

// Layout is how the files of one schema are written. It is made once, and any number of goroutines make files of it.
type Layout struct {
	options  Options
	columns  []column
	leaves   []leaf
	slots    slots // of promoted paths, whose leaves and elements, one each, are the last
	elements []format.SchemaElement
	codec    format.CompressionCodec
	metadata []format.KeyValue

	files atomic.Int64 // that are open
	held  atomic.Int64 // bytes of their rows that are no pages yet
}

// NewLayout checks that every column of s is one that events have.
func NewLayout(s lake.Schema, o Options) (*Layout, error) {
	names := make(map[string]bool)
	columns, err := columnsOf(s, names)
	if err != nil {
		return nil, fmt.Errorf("lay out Parquet files: %w", err)
	}
	codec, err := codecOf(o.Codec)
	if err != nil {
		return nil, fmt.Errorf("lay out Parquet files: %w", err)
	}
	o.CreatedBy = cmp.Or(o.CreatedBy, "weir version 0 (build unknown)")
	if o.RowGroupRows <= 0 {
		o.RowGroupRows = rowGroupRows
	}
	if o.PageRows <= 0 {
		o.PageRows = pageRows
	}
	if o.RowsBytes <= 0 {
		o.RowsBytes = rowsBytes
	}
	l := &Layout{options: o, columns: columns, codec: codec, elements: []format.SchemaElement{root(len(s))}}
	for i, c := range s {
		l.columns[i].leaf = len(l.leaves)
		elements, leaves := elementsOf(c)
		l.elements, l.leaves = append(l.elements, elements...), append(l.leaves, leaves...)
	}
	if err := l.promote(o.Promoted, names); err != nil {
		return nil, fmt.Errorf("lay out Parquet files: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(o.Metadata)) {
		l.metadata = append(l.metadata, format.KeyValue{Key: k, Value: o.Metadata[k]})
	}
	return l, nil
}

// NewFile begins a file. Nothing is written to out before the first row group is full or Close. A file that is given up
// needs Abandon.
func (l *Layout) NewFile(out io.Writer) *File {
	l.files.Add(1)
	return &File{layout: l, out: counter{w: out}, chunks: make([]chunk, len(l.leaves)), used: make([]bool, len(l.leaves)), sizes: make([]int64, len(l.leaves)), first: -1}
}

// crowded tells whether a file whose rows hold so many bytes should make pages of them although they are few: all rows
// together are over their bound and this file's are no less than the average. Files that see many rows find out often,
// so that the sum stays about at the bound without anybody who compares files.
func (l *Layout) crowded(bytes int64) bool {
	sum := l.held.Load()
	return sum > l.options.RowsBytes && bytes*max(l.files.Load(), 1) >= sum
}

func codecOf(name string) (format.CompressionCodec, error) {
	switch name {
	case "", "zstd":
		return format.Zstd, nil
	case "snappy":
		return format.Snappy, nil
	case "none":
		return format.Uncompressed, nil
	}
	return 0, fmt.Errorf("unknown codec %q: want zstd, snappy or none", name)
}
