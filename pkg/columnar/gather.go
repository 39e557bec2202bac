package columnar

import (
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/event"
)

// gathering is what a warm file gathers its rows in.
type gathering struct {
	builders []builder // by leaf
	cells    cells
}

// gatherings are those that no file has.
var gatherings = sync.Pool{New: func() any { return new(gathering) }}

// Whether a page is full is looked at after so many rows or bytes of events: a page exceeds its size by these at most.
const (
	batchRows  = 64
	batchBytes = 128 << 10
)

// warm lends the file builders, which it keeps until cool.
func (f *File) warm() {
	if f.builders != nil {
		return
	}
	f.lent = gatherings.Get().(*gathering)
	if n := len(f.layout.leaves); len(f.lent.builders) < n {
		f.lent.builders = append(f.lent.builders, make([]builder, n-len(f.lent.builders))...)
	}
	f.builders = f.lent.builders[:len(f.layout.leaves)]
	for i := range f.builders {
		f.builders[i].begin(f.chunks[i].rows)
	}
}

// cool gives the builders back. What they hold is lost.
func (f *File) cool() {
	if f.builders == nil {
		return
	}
	for i := range f.builders {
		f.builders[i].begin(0)
	}
	f.lent.cells.empty()
	gatherings.Put(f.lent)
	f.lent, f.builders = nil, nil
}

// open readies the leaves for a row group.
func (f *File) open() {
	for i := range f.chunks {
		if l := &f.layout.leaves[i]; !l.sparse {
			f.chunks[i].begin(l)
		}
	}
}

// replayed is a row of a tail while it is handed to the builders.
type replayed struct {
	record event.Record
	view   event.View
}

var replays = sync.Pool{New: func() any { return new(replayed) }}

// replay hands the rows of the tail to the builders.
func (f *File) replay() {
	if f.err != nil || f.tail.rows == 0 {
		return
	}
	f.warm()
	row := replays.Get().(*replayed)
	defer replays.Put(row)
	for _, rows := range f.tail.chunks {
		for d := (reader{rows}); len(d.b) > 0; {
			before := len(d.b)
			d.row(f.layout, &row.record, &row.view)
			f.gather(&row.record, &row.view, before-len(d.b))
		}
	}
	f.tail.drop()
	*row = replayed{} // it pins chunks that others fill now
}

// gather hands a row to the builders, and ends pages that are full. size is about that of the event.
func (f *File) gather(r *event.Record, v *event.View, size int) {
	if f.groupRows == 0 {
		f.open()
	}
	row := f.groupRows
	for i := range f.layout.columns {
		c := &f.layout.columns[i]
		switch c.source {
		case fromText:
			if text := c.text(v); text.Valid {
				f.text(c.leaf, row, text.B)
			}
		case fromInstant:
			if at := c.instant(v); at.Valid {
				f.builders[c.leaf].number(row, at.Micros)
			}
		case fromMap:
			if m := c.entries(v); m.Valid {
				f.entries(c.leaf, row, m.Entries)
			}
		case fromRecord:
			f.builders[c.leaf].number(row, c.number(r))
		case fromTopic:
			f.text(c.leaf, row, []byte(r.Topic))
		}
	}
	if len(f.layout.slots) > 0 {
		for i := range v.Cells {
			c := &v.Cells[i]
			leaf := f.layout.slots[c.Path][c.Side]
			f.lent.cells.add(leaf, row, c, f.layout.leaves[leaf].kind == format.ByteArray)
		}
	}
	f.groupRows++
	f.batchRows++
	if f.batchBytes += size; f.batchRows >= min(batchRows, f.layout.options.PageRows) || f.batchBytes >= batchBytes {
		f.batchRows, f.batchBytes = 0, 0
		f.fail("encode rows", f.endPages(false))
		f.count()
	}
}

func (f *File) text(leaf, row int, value []byte) {
	f.builders[leaf].add(f.chunks[leaf].lookup(), row, value)
}

// entries adds a map. Its keys and values have the same repetition levels, and what differs in their definition levels
// follows from the values': see keyLevels.
func (f *File) entries(leaf, row int, entries []event.Entry) {
	keys, values := &f.builders[leaf], &f.builders[leaf+1]
	values.absent(row, true)
	values.next = row + 1
	if len(entries) == 0 {
		values.defs, values.reps = append(values.defs, mapEmpty), append(values.reps, 0)
		return
	}
	d := f.chunks[leaf].lookup()
	last := uint32(0)
	repetition := byte(0)
	for i := range entries {
		e := &entries[i]
		if d != nil {
			last = d.after(last, e.Key)
			keys.indexes = append(keys.indexes, last)
		} else {
			keys.text(e.Key)
		}
		level := byte(mapNull)
		if e.Value != nil {
			level = mapValue
			values.text(e.Value)
			values.values++
		}
		values.defs = append(values.defs, level)
		values.reps = append(values.reps, repetition)
		repetition = 1
	}
	keys.values += len(entries)
}

// dropDictionaries takes the dictionaries from leaves that have no page yet and no value for one: it will be their last in
// the row group.
func (f *File) dropDictionaries() {
	f.dealCells()
	for i := range f.builders {
		if c := &f.chunks[i]; len(c.pages) == 0 && f.builders[i].values == 0 {
			c.dict = nil
		}
	}
}

// endPages ends the pages that are full, or all. A file that is cold has ended all of its.
func (f *File) endPages(all bool) error {
	f.dealCells()
	leaves := f.layout.leaves
	for i := 0; i < len(f.builders); i++ {
		b := &f.builders[i]
		if !leaves[i].repeated {
			if leaves[i].sparse && b.values == 0 {
				continue // its rows get their levels with the next value, or when the row group is written
			}
			if all || b.full(f.groupRows, f.layout.options.PageRows) || f.chunks[i].overfull() {
				b.absent(f.groupRows, false)
				if err := f.endPage(i, b.defs, nil); err != nil {
					return err
				}
			}
			continue
		}
		values := &f.builders[i+1]
		if all || b.full(f.groupRows, f.layout.options.PageRows) || values.full(f.groupRows, f.layout.options.PageRows) || f.chunks[i].overfull() {
			values.absent(f.groupRows, true)
			b.defs = keyLevels(b.defs[:0], values.defs)
			if err := f.endPage(i, b.defs, values.reps); err != nil {
				return err
			}
			if err := f.endPage(i+1, values.defs, values.reps); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

// keyLevels are the definition levels of keys by those of their values.
func keyLevels(dst, values []byte) []byte {
	for _, level := range values {
		dst = append(dst, min(level, mapNull))
	}
	return dst
}

// endPage makes a page of what a leaf's builder has gathered, and keeps it until its row group is written.
func (f *File) endPage(i int, defs, reps []byte) error {
	b := &f.builders[i]
	if f.groupRows == b.first {
		return nil
	}
	s := presses.Get().(*press)
	defer s.giveBack()
	p, err := s.page(f.layout, &f.layout.leaves[i], &f.chunks[i], b, defs, reps)
	if err != nil {
		return fmt.Errorf("encode column %s: %w", f.layout.leaves[i].path[0], err)
	}
	p.rows = f.groupRows - b.first
	f.chunks[i].pages = append(f.chunks[i].pages, p)
	f.chunks[i].rows = f.groupRows
	f.groupSize += p.whole
	f.pageBytes += int64(len(p.bytes)) + pageOverhead
	b.begin(f.groupRows)
	return nil
}
