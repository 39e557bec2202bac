package columnar

import "github.com/parquet-go/parquet-go/format"

// chunk is what a leaf has of the open row group.
type chunk struct {
	dict    *dict // the dictionary; nil where there is none
	begun   bool  // in this row group
	closed  bool  // the dictionary is too large: earlier pages refer to it, later ones do not
	refused bool  // a dictionary did not pay in this file
	pages   []page
	rows    int      // of the pages
	hashes  []uint64 // for the Bloom filter
}

// Where a dictionary stops to pay: by its size, and by its share, with its indexes, of what it stands for.
const (
	dictionaryBytes = 1 << 20
	dictionaryShare = 0.7
	tellingValues   = 256 // fewer say little of the next row group
)

// begin readies c for a row group.
func (c *chunk) begin(l *leaf) {
	*c = chunk{begun: true, refused: c.refused}
	if l.encoding == dictionary && !c.refused {
		c.dict = new(dict)
	}
}

// lookup is where values are looked up; nil where they are spelled out.
func (c *chunk) lookup() *dict {
	if c.closed {
		return nil
	}
	return c.dict
}

// overfull tells whether the page that is being gathered must be the last that refers to the dictionary.
func (c *chunk) overfull() bool {
	e := c.lookup()
	return e != nil && len(e.plain) >= dictionaryBytes
}

// reconsider looks before each page whether the dictionary pays. A first page whose values do not repeat is spelled out;
// later there is only the bound.
func (c *chunk) reconsider(b *builder) {
	e := c.lookup()
	if e == nil || b.values == 0 {
		return
	}
	c.closed = c.overfull()
	if len(c.pages) > 0 || e.share(b.indexes) < dictionaryShare {
		return
	}
	for _, i := range b.indexes {
		b.plain = append(b.plain, e.prefixed(i)...)
	}
	b.indexes = b.indexes[:0]
	c.dict, c.closed = nil, false
	c.refused = b.values >= tellingValues
}

// share is what the entries and indexes take of what they stand for, before compression.
func (e *dict) share(indexes []uint32) float64 {
	spelled := 0
	for _, i := range indexes {
		spelled += len(e.prefixed(i))
	}
	return float64(len(e.plain)+len(indexes)) / float64(spelled)
}

// bounds of all pages; not known where those of a page with values are not.
func (c *chunk) bounds(kind format.Type) bounds {
	var all bounds
	for i := range c.pages {
		p := &c.pages[i]
		switch {
		case p.empty():
		case !p.bounds.known:
			return bounds{}
		case !all.known:
			all = p.bounds
		default:
			if less(p.bounds.least, all.least, kind) {
				all.least = p.bounds.least
			}
			if less(all.greatest, p.bounds.greatest, kind) {
				all.greatest = p.bounds.greatest
			}
		}
	}
	return all
}

func (p *page) empty() bool { return p.levels == p.nulls }
