// Package columnar makes Parquet files of events: rows go in one by one, row groups come out. Its invariant: what was
// appended before Close stands in the file once each, in that order, or Close returns an error; after an error nothing
// more is written. It does not decide when a file ends, where it goes or what becomes of a failed one (the sink does),
// and it does not read events (pkg/event does). A File belongs to one goroutine, a Layout to all.
//
// A row waits in the file's tail in a form of its own. A file that sees many rows is warm: it has borrowed builders,
// which gather its rows by column until a page is full. The others wait until it pays, or they are closed. Pages wait,
// compressed, until their row group is full and is written at once, because in Parquet a column's pages of a row group
// stand side by side.
package columnar

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Bounds of what a file holds back, and of what a reader must take in at once.
const (
	rowGroupRows  = 100_000
	rowGroupBytes = 128 << 20 // before compression; a row group of large events ends earlier
	coldBytes     = 512 << 10 // of a tail that makes a file warm
	rowsBytes     = 192 << 20 // of tails and builders of all files
	pageBytes     = 1 << 20   // of a column, before compression
	pageRows      = 20_000    // so that readers can skip some by the page index
)

// pageOverhead is about what a page holds beside its bytes.
const pageOverhead = 256

// File is one Parquet file under construction.
type File struct {
	layout   *Layout
	out      counter
	tail     tail
	lent     *gathering // nil while the file is cold
	builders []builder  // of it
	chunks   []chunk
	used     []bool  // by leaf: row groups that are written have it
	sizes    []int64 // by leaf: bytes of its chunks that are written
	groups   []group // that are written

	groupRows             int   // rows of the open row group that the builders have or had
	batchRows, batchBytes int   // since it was last looked whether a page is full
	groupSize             int64 // of these pages, before compression
	pageBytes             int64 // of these pages
	warmth                int64 // bytes of the builders
	counted               int64 // bytes that the layout knows of: of tail and builders

	rows  int64
	topic string // of all records, "" if there are several
	part  int32
	first int64 // offset of the first record; -1 before there is one
	last  int64

	err    error // the first; the file is of no use then
	closed bool
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
	f.note(r)
	f.rows++
	if f.builders != nil {
		f.gather(r, v, len(r.Value))
	} else if f.tail.add(f.layout, r, v) {
		f.count()
	}
	if f.groupRows+f.tail.rows >= f.layout.options.RowGroupRows || f.groupSize+f.warmth >= rowGroupBytes {
		f.flush()
	} else if f.builders == nil && f.tail.bytes >= coldBytes {
		f.replay()
	} else if f.layout.crowded(f.counted) {
		f.encode()
	}
	return f.err
}

// note keeps where the rows come from, for the footer.
func (f *File) note(r *event.Record) {
	switch {
	case f.first < 0:
		f.topic, f.part, f.first, f.last = r.Topic, r.Partition, r.Offset, r.Offset
	case f.topic != r.Topic || f.part != r.Partition:
		f.topic = ""
	default:
		f.first, f.last = min(f.first, r.Offset), max(f.last, r.Offset)
	}
}

// encode makes pages of all rows, however few, and gives the builders back.
func (f *File) encode() {
	if f.replay(); f.err != nil || f.groupRows == 0 {
		return
	}
	f.fail("encode rows", f.endPages(true))
	f.cool()
	f.count()
}

// flush writes the open row group out.
func (f *File) flush() {
	if f.replay(); f.err != nil || f.groupRows == 0 {
		return
	}
	f.dropDictionaries()
	if f.fail("encode rows", f.endPages(true)); f.err != nil {
		return
	}
	f.fail("write a row group", f.writeGroup())
	f.groupRows, f.groupSize, f.pageBytes = 0, 0, 0
	for i := range f.builders {
		f.builders[i].begin(0)
	}
	f.count()
}

func (f *File) fail(doing string, err error) {
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%s of a Parquet file: %w", doing, err)
	}
}

// count tells the layout what the rows of the file hold that are no pages yet.
func (f *File) count() {
	f.warmth = 0
	if f.lent != nil {
		f.warmth = f.lent.cells.held()
	}
	for i := range f.builders {
		f.warmth += f.builders[i].held()
	}
	now := f.tail.bytes + f.warmth
	f.layout.held.Add(now - f.counted)
	f.counted = now
}

// Buffered is about how many bytes of memory the file holds.
func (f *File) Buffered() int64 {
	sum := f.counted + f.pageBytes + int64(len(f.chunks))*chunkBytes
	for i := range f.chunks {
		c := &f.chunks[i]
		sum += 8 * int64(cap(c.hashes))
		if c.dict != nil {
			sum += c.dict.held()
		}
	}
	for i := range f.groups {
		sum += f.groups[i].held
	}
	return sum
}

// chunkBytes is what a chunk takes.
const chunkBytes = 96

// Beside are the columns beside promoted ones that a closed file has: those of values that did not fit.
func (f *File) Beside() []string {
	var names []string
	for i := range f.layout.slots {
		for s := lake.SideBigInt; s < lake.Sides; s++ {
			if leaf := f.layout.slots[i][s]; leaf != noLeaf && f.used[leaf] {
				names = append(names, f.layout.leaves[leaf].path[0])
			}
		}
	}
	return names
}

// ColumnBytes is how many bytes each column of a closed file takes, as its footer says: of a map its keys and values
// together, by name. Bloom filters and page indexes are not counted.
func (f *File) ColumnBytes() []lake.ColumnBytes {
	var list []lake.ColumnBytes
	for i, l := range f.layout.leaves {
		switch last := len(list) - 1; {
		case !f.used[i]:
		case last >= 0 && list[last].Name == l.path[0]:
			list[last].Bytes += f.sizes[i]
		default:
			list = append(list, lake.ColumnBytes{Name: l.path[0], Bytes: f.sizes[i]})
		}
	}
	slices.SortFunc(list, func(a, b lake.ColumnBytes) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Rows is how many rows were appended.
func (f *File) Rows() int64 { return f.rows }

// Close writes the last row group and the footer. It does not close out. A second Close does nothing.
func (f *File) Close() error {
	if f.closed || f.err != nil {
		f.Abandon()
		return f.err
	}
	f.flush()
	if f.err == nil {
		f.fail("write the footer", f.writeFooter())
	}
	f.Abandon()
	return f.err
}

// Abandon gives up what the file holds. A file that is neither closed nor abandoned leaves less room to the others.
func (f *File) Abandon() {
	if f.closed {
		return
	}
	f.closed = true
	f.tail.drop()
	f.cool()
	f.count()
	f.layout.files.Add(-1)
	f.chunks, f.groups, f.pageBytes = nil, nil, 0
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
