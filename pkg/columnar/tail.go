package columnar

import (
	"encoding/binary"

	"weir/pkg/event"
)

// tail is the rows that are not encoded yet, one behind the other in a form that only this package reads: lengths as
// varints before the bytes, 0 for NULL. Column buffers begin at half a megabyte for a file of this many columns, so a
// file that sees few events keeps a tail and no column buffers until it is closed.
type tail struct {
	b    []byte
	rows int
}

// add appends a row.
func (t *tail) add(columns []column, r *event.Record, v *event.View) {
	b := t.b
	for i := range columns {
		switch c := &columns[i]; {
		case c.text != nil:
			text := c.text(v)
			b = appendBytes(b, text.B, text.Valid)
		case c.entries != nil:
			b = appendMap(b, c.entries(v))
		case c.instant != nil:
			if at := c.instant(v); at.Valid {
				b = binary.LittleEndian.AppendUint64(append(b, 1), uint64(at.Micros))
			} else {
				b = append(b, 0)
			}
		case c.topic:
			b = append(binary.AppendUvarint(b, uint64(len(r.Topic))+1), r.Topic...)
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(c.number(r)))
		}
	}
	t.b = b
	t.rows++
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

// count reads a number that was written plus one; -1 is NULL.
func (r *reader) count() int {
	n, size := uint64(r.b[0]), 1
	if n >= 0x80 {
		n, size = binary.Uvarint(r.b)
	}
	r.b = r.b[size:]
	return int(n) - 1
}

func (r *reader) bytes() (value []byte, valid bool) {
	n := r.count()
	if n < 0 {
		return nil, false
	}
	value, r.b = r.b[:n:n], r.b[n:]
	return value, true
}

func (r *reader) instant() (micros int64, valid bool) {
	valid, r.b = r.b[0] == 1, r.b[1:]
	if !valid {
		return 0, false
	}
	return r.number(), true
}

func (r *reader) number() int64 {
	n := int64(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return n
}
