package columnar

import "encoding/binary"

// builder gathers the values of one leaf until they are a page.
type builder struct {
	first int // row of the row group with which the page begins
	next  int // rows of the row group before it have their levels; the ones after it that are absent get them late, all at once

	defs []byte // a level a byte
	reps []byte // empty but for maps

	values  int      // that are there
	plain   []byte   // of text without dictionary
	indexes []uint32 // of text with one
	numbers []int64
}

// absent gives all rows before row that have no value their level. Sparse columns cost next to nothing that way.
func (b *builder) absent(row int, repeated bool) {
	n := row - b.next
	if n <= 0 {
		return
	}
	b.defs = zeros(b.defs, n)
	if repeated {
		b.reps = zeros(b.reps, n)
	}
	b.next = row
}

func zeros(b []byte, n int) []byte {
	at := len(b)
	if at+n > cap(b) {
		b = append(b, make([]byte, n)...)
	}
	b = b[:at+n]
	clear(b[at:])
	return b
}

// present begins a value in row of a flat leaf.
func (b *builder) present(row int) {
	if b.next < row {
		b.absent(row, false)
	}
	b.defs = append(b.defs, 1)
	b.next = row + 1
	b.values++
}

// mark is present for many values at once: those that list names, in ascending rows.
func (b *builder) mark(rows, list []int32) {
	end := int(rows[list[len(list)-1]]) + 1
	b.absent(end, false)
	for _, i := range list {
		b.defs[int(rows[i])-b.first] = 1
	}
	b.values += len(list)
}

// number adds a number in row of a flat leaf.
func (b *builder) number(row int, v int64) {
	b.present(row)
	b.numbers = append(b.numbers, v)
}

// add adds a text in row of a flat leaf, with a dictionary or, where d is nil, without.
func (b *builder) add(d *dict, row int, value []byte) {
	b.present(row)
	if d != nil {
		b.indexes = append(b.indexes, d.index(value))
	} else {
		b.text(value)
	}
}

// text spells a text out.
func (b *builder) text(value []byte) {
	b.plain = append(binary.LittleEndian.AppendUint32(b.plain, uint32(len(value))), value...)
}

// full tells whether the page that ends before row is as large as a page should be: so many rows, or bytes.
func (b *builder) full(row, rows int) bool {
	return row-b.first >= rows || len(b.plain) >= pageBytes || 4*len(b.indexes) >= pageBytes || 8*len(b.numbers) >= pageBytes
}

// begin empties the builder for the page that begins with row.
func (b *builder) begin(row int) {
	b.first, b.next, b.values = row, row, 0
	b.defs, b.reps = kept(b.defs), kept(b.reps)
	b.plain, b.indexes, b.numbers = kept(b.plain), kept(b.indexes), kept(b.numbers)
}

// kept is b emptied, or nothing where a very large event has blown it up.
func kept[T any](b []T) []T {
	if cap(b) > 4*pageBytes {
		return nil
	}
	return b[:0]
}

// held is the memory of the builder.
func (b *builder) held() int64 {
	return int64(cap(b.defs)+cap(b.reps)+cap(b.plain)) + 4*int64(cap(b.indexes)) + 8*int64(cap(b.numbers))
}
