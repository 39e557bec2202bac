package columnar

import (
	"github.com/parquet-go/parquet-go/format"

	"weir/pkg/event"
)

// cells are the values of promoted paths of a few rows. They wait, row by row, until they are given to their leaves leaf by
// leaf: a leaf's builder and dictionary are fetched into the nearest cache once for all of them, not once for each.
type cells struct {
	leaves []int16
	rows   []int32
	values []uint64 // a number, or where a text begins and ends in texts
	texts  []byte
	counts []int32 // by leaf, scratch: how many, then where the next stands in order
	order  []int32
}

func (c *cells) add(leaf int16, row int, cell *event.Cell, text bool) {
	c.leaves, c.rows = append(c.leaves, leaf), append(c.rows, int32(row))
	value := uint64(cell.Number)
	if text {
		c.texts = append(c.texts, cell.Text...)
		value = uint64(len(c.texts)-len(cell.Text))<<32 | uint64(len(c.texts))
	}
	c.values = append(c.values, value)
}

func (c *cells) text(i int32) []byte { return c.texts[c.values[i]>>32 : uint32(c.values[i])] }

// sort orders the cells by leaf, of one leaf by row, and leaves in counts where those of each leaf end.
func (c *cells) sort(leaves int) {
	if cap(c.counts) < leaves {
		c.counts = make([]int32, leaves)
	}
	c.counts = c.counts[:leaves]
	clear(c.counts)
	for _, leaf := range c.leaves {
		c.counts[leaf]++
	}
	at := int32(0)
	for i, n := range c.counts {
		c.counts[i] = at
		at += n
	}
	c.order = append(c.order[:0], c.rows...) // of that length
	for i, leaf := range c.leaves {
		c.order[c.counts[leaf]] = int32(i)
		c.counts[leaf]++
	}
}

func (c *cells) empty() {
	c.leaves, c.rows, c.values, c.texts = c.leaves[:0], c.rows[:0], c.values[:0], kept(c.texts)
}

// held is the memory of the cells.
func (c *cells) held() int64 {
	return 2*int64(cap(c.leaves)) + 4*int64(cap(c.rows)+cap(c.counts)+cap(c.order)) + 8*int64(cap(c.values)) + int64(cap(c.texts))
}

// dealCells gives the waiting cells to their leaves. A file that is cold has none.
func (f *File) dealCells() {
	if f.lent == nil || len(f.lent.cells.leaves) == 0 {
		return
	}
	c, from := &f.lent.cells, int32(0)
	c.sort(len(f.layout.leaves))
	for leaf, to := range c.counts {
		if from < to {
			f.deal(c, leaf, c.order[from:to])
		}
		from = to
	}
	c.empty()
}

// deal gives a leaf the cells that list names.
func (f *File) deal(c *cells, leaf int, list []int32) {
	l, b, chunk := &f.layout.leaves[leaf], &f.builders[leaf], &f.chunks[leaf]
	if !chunk.begun {
		chunk.begin(l)
	}
	b.mark(c.rows, list)
	d := chunk.lookup()
	switch {
	case l.kind != format.ByteArray:
		for _, i := range list {
			b.numbers = append(b.numbers, int64(c.values[i]))
		}
	case d != nil:
		last, index := []byte(nil), uint32(0)
		for n, i := range list {
			value := c.text(i)
			if n == 0 || string(value) != string(last) {
				last, index = value, d.index(value)
			}
			b.indexes = append(b.indexes, index)
		}
	default:
		for _, i := range list {
			b.text(c.text(i))
		}
	}
}
