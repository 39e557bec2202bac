// Package rawcopy makes the raw copy: one event a line, compressed. Its invariant: a line is the record's value byte
// for byte, but for line breaks between tokens, which become spaces; so the lines of a file are its rows, in the order
// they were appended. It does not judge whether a value is an event (pkg/event did), nor decide when a file ends or
// where it goes (the sink's worker does). A File belongs to one goroutine.
package rawcopy

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"weir/pkg/event"
)

// frameBytes is how much text is compressed at once. Each piece is a frame of its own (zstd) or a member (gzip), which
// readers join, so that a file that waits for more rows holds this much text at most and no compressor: with a thousand
// open files those would be gigabytes.
const frameBytes = 256 << 10

// File is one file of the raw copy under construction.
type File struct {
	out    io.Writer
	codec  codec
	tail   []byte // lines that are not compressed yet
	rows   int64
	err    error // the first; the file is of no use then
	closed bool
}

// NewFile begins a file compressed with codec: zstd or gzip.
func NewFile(codec string, out io.Writer) (*File, error) {
	c, err := codecOf(codec)
	if err != nil {
		return nil, fmt.Errorf("make a raw file: %w", err)
	}
	return &File{out: out, codec: c}, nil
}

var errClosed = errors.New("the file is closed")

// Append adds the record's value as a line; the view is not needed. It copies what it needs.
func (f *File) Append(r *event.Record, _ *event.View) error {
	switch {
	case f.err != nil:
		return f.err
	case f.closed:
		return errClosed
	}
	from := len(f.tail)
	f.tail = append(f.tail, r.Value...)
	oneLine(f.tail[from:])
	f.tail = append(f.tail, '\n')
	f.rows++
	if len(f.tail) >= frameBytes {
		f.flush()
	}
	return f.err
}

// oneLine turns line breaks into spaces. In JSON they stand between tokens only.
func oneLine(line []byte) {
	for _, c := range [...]byte{'\n', '\r'} {
		for rest := line; ; {
			i := bytes.IndexByte(rest, c)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
}

func (f *File) flush() {
	if len(f.tail) == 0 {
		return
	}
	if err := f.codec(f.out, f.tail); err != nil {
		f.err = fmt.Errorf("write lines of a raw file: %w", err)
	}
	f.tail = f.tail[:0]
	if cap(f.tail) > 4*frameBytes {
		f.tail = nil // of a very large event
	}
}

// Buffered is how many bytes of memory the file holds.
func (f *File) Buffered() int64 { return int64(cap(f.tail)) }

// Rows is how many rows were appended.
func (f *File) Rows() int64 { return f.rows }

// Abandon gives up what the file holds.
func (f *File) Abandon() { f.closed, f.tail = true, nil }

// Close writes the last lines. It does not close the writer below. A second Close does nothing.
func (f *File) Close() error {
	if f.closed || f.err != nil {
		return f.err
	}
	f.closed = true
	f.flush()
	f.tail = nil
	return f.err
}
