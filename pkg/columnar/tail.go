package columnar

import (
	"encoding/binary"
	"sync"

	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// tail is the rows of a cold file, one behind the other in a form that only this package reads: where the record stood,
// then the values in the order of the columns, lengths before the bytes, 0 for NULL. Up to about a thousand rows that is
// smaller than anybody's column buffers, so a file that sees few events costs little more than their bytes.
type tail struct {
	chunks [][]byte // the last is being filled
	rows   int
	bytes  int64 // that the chunks hold
}

// Sizes of chunks: small files begin with a small one.
const (
	firstChunk = 4 << 10
	fullChunk  = 64 << 10
)

var fullChunks = sync.Pool{New: func() any { return new([fullChunk]byte) }}

// add appends a row and tells whether the tail holds more memory now.
func (t *tail) add(l *Layout, r *event.Record, v *event.View) bool {
	before := t.bytes
	need := 2*len(r.Value) + 512 // what a row takes but for the oddest
	if n := len(t.chunks); n == 0 || cap(t.chunks[n-1])-len(t.chunks[n-1]) < need {
		t.grow(need)
	}
	last := &t.chunks[len(t.chunks)-1]
	room := cap(*last)
	*last = appendRow(*last, l, r, v)
	t.bytes += int64(cap(*last) - room)
	t.rows++
	return t.bytes != before
}

func (t *tail) grow(need int) {
	var chunk []byte
	switch {
	case len(t.chunks) == 0 && need <= firstChunk:
		chunk = make([]byte, 0, firstChunk)
	case need <= fullChunk:
		chunk = fullChunks.Get().(*[fullChunk]byte)[:0]
	default:
		chunk = make([]byte, 0, need)
	}
	t.chunks = append(t.chunks, chunk)
	t.bytes += int64(cap(chunk))
}

// drop empties the tail.
func (t *tail) drop() {
	for _, chunk := range t.chunks {
		if cap(chunk) == fullChunk {
			fullChunks.Put((*[fullChunk]byte)(chunk[:fullChunk]))
		}
	}
	*t = tail{}
}

func appendRow(b []byte, l *Layout, r *event.Record, v *event.View) []byte {
	b = appendBytes(b, []byte(r.Topic), true)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Partition))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Offset))
	for i := range l.columns {
		switch c := &l.columns[i]; c.source {
		case fromText:
			text := c.text(v)
			b = appendBytes(b, text.B, text.Valid)
		case fromInstant:
			if at := c.instant(v); at.Valid {
				b = binary.LittleEndian.AppendUint64(append(b, 1), uint64(at.Micros))
			} else {
				b = append(b, 0)
			}
		case fromMap:
			b = appendMap(b, c.entries(v))
		}
	}
	if len(l.slots) > 0 {
		b = appendCells(b, l, v.Cells)
	}
	return b
}

func appendCells(b []byte, l *Layout, cells []event.Cell) []byte {
	b = binary.AppendUvarint(b, uint64(len(cells))+1)
	for i := range cells {
		c := &cells[i]
		b = binary.AppendUvarint(b, uint64(c.Path)*uint64(lake.Sides)+uint64(c.Side)+1)
		if l.isText(c) {
			b = appendBytes(b, c.Text, true)
		} else {
			b = binary.LittleEndian.AppendUint64(b, uint64(c.Number))
		}
	}
	return b
}

func (l *Layout) isText(c *event.Cell) bool {
	return l.leaves[l.slots[c.Path][c.Side]].kind == format.ByteArray
}

// appendBytes writes one more than the length, so that 0 can be NULL.
func appendBytes(b, value []byte, valid bool) []byte {
	if !valid {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(value))+1), value...)
}

func appendMap(b []byte, m *event.Map) []byte {
	if !m.Valid {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Entries))+1)
	for i := range m.Entries {
		e := &m.Entries[i]
		b = appendBytes(b, e.Key, true)
		b = appendBytes(b, e.Value, e.Value != nil)
	}
	return b
}

// reader reads rows back. What it returns points into the tail.
type reader struct{ b []byte }

// row reads a row into r and v.
func (d *reader) row(l *Layout, r *event.Record, v *event.View) {
	if topic, _ := d.bytes(); string(topic) != r.Topic {
		r.Topic = string(topic)
	}
	r.Partition = int32(binary.LittleEndian.Uint32(d.b))
	d.b = d.b[4:]
	r.Offset = d.number()
	for i := range l.columns {
		switch c := &l.columns[i]; c.source {
		case fromText:
			text := c.text(v)
			text.B, text.Valid = d.bytes()
		case fromInstant:
			at := c.instant(v)
			if at.Valid, d.b = d.b[0] == 1, d.b[1:]; at.Valid {
				at.Micros = d.number()
			}
		case fromMap:
			d.entries(c.entries(v))
		}
	}
	if len(l.slots) > 0 {
		d.cells(l, v)
	}
}

func (d *reader) cells(l *Layout, v *event.View) {
	v.Cells = v.Cells[:0]
	for range d.count() {
		at := d.count()
		c := event.Cell{Path: at / int(lake.Sides), Side: lake.Side(at % int(lake.Sides))}
		if l.isText(&c) {
			c.Text, _ = d.bytes()
		} else {
			c.Number = d.number()
		}
		v.Cells = append(v.Cells, c)
	}
}

func (d *reader) entries(m *event.Map) {
	n := d.count()
	m.Entries, m.Valid = m.Entries[:0], n >= 0
	for range n {
		key, _ := d.bytes()
		value, _ := d.bytes()
		m.Entries = append(m.Entries, event.Entry{Key: key, Value: value})
	}
}

// count reads a number that was written plus one; -1 is NULL.
func (d *reader) count() int {
	n, size := uint64(d.b[0]), 1
	if n >= 0x80 {
		n, size = binary.Uvarint(d.b)
	}
	d.b = d.b[size:]
	return int(n) - 1
}

func (d *reader) bytes() (value []byte, valid bool) {
	n := d.count()
	if n < 0 {
		return nil, false
	}
	value, d.b = d.b[:n:n], d.b[n:]
	return value, true
}

func (d *reader) number() int64 {
	n := int64(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	return n
}
