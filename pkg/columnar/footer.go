package columnar

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const magic = "PAR1"

// bloomBits is bits of a Bloom filter per value: one in a hundred look-ups is in vain.
const bloomBits = 10

// group is what the footer says of a row group that is written, and the page indexes that stand before the footer.
type group struct {
	format.RowGroup                       // without its chunks
	chunks          []*format.ColumnChunk // by leaf of the layout; nil where the file has none of it
	columns         []*format.ColumnIndex // nil for leaves without bounds
	offsets         []*format.OffsetIndex
	held            int64
}

// writeGroup writes the pages of the open row group, leaf by leaf, and behind them the Bloom filters.
func (f *File) writeGroup() error {
	if err := f.writeMagic(); err != nil {
		return err
	}
	s := presses.Get().(*press)
	defer s.giveBack()
	if err := f.admit(s); err != nil {
		return err
	}
	n := len(f.chunks)
	g := group{
		RowGroup: format.RowGroup{NumRows: int64(f.groupRows), FileOffset: f.out.n, Ordinal: int16(len(f.groups))},
		chunks:   make([]*format.ColumnChunk, n),
		columns:  make([]*format.ColumnIndex, n), offsets: make([]*format.OffsetIndex, n),
	}
	for i := range f.chunks {
		if f.used[i] {
			if err := f.writeChunk(s, i, &f.chunks[i], &g); err != nil {
				return err
			}
		}
	}
	for i := range f.chunks {
		if err := f.writeBloom(f.chunks[i].hashes, g.chunks[i]); err != nil {
			return err
		}
		f.chunks[i] = chunk{refused: f.chunks[i].refused}
	}
	f.groups = append(f.groups, g)
	return nil
}

// admit takes leaves into the file that have their first value in the open row group. The row groups before it get a
// chunk of NULLs, which stands behind their others: a chunk may stand anywhere.
func (f *File) admit(s *press) error {
	for i := range f.chunks {
		if f.used[i] || f.layout.leaves[i].sparse && len(f.chunks[i].pages) == 0 {
			continue
		}
		f.used[i] = true
		for j := range f.groups {
			g := &f.groups[j]
			var empty chunk
			if err := f.writeChunk(s, i, &empty, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill gives the rows of a sparse leaf behind its last value their levels.
func (f *File) fill(s *press, i int, c *chunk, rows int) error {
	if !f.layout.leaves[i].sparse || c.rows == rows {
		return nil
	}
	p, err := s.page(f.layout, &f.layout.leaves[i], c, new(builder), make([]byte, rows-c.rows), nil)
	if err != nil {
		return fmt.Errorf("encode column %s: %w", f.layout.leaves[i].path[0], err)
	}
	p.rows = rows - c.rows
	c.pages, c.rows = append(c.pages, p), rows
	return nil
}

func (f *File) writeMagic() error {
	if f.out.n > 0 {
		return nil
	}
	_, err := f.out.Write([]byte(magic))
	return err
}

// writeChunk writes the dictionary and the pages of a leaf.
func (f *File) writeChunk(s *press, i int, c *chunk, g *group) error {
	if err := f.fill(s, i, c, int(g.NumRows)); err != nil {
		return err
	}
	l := &f.layout.leaves[i]
	m := format.ColumnMetaData{
		Type:         l.kind,
		Encoding:     thrift.Slice[format.Encoding]{format.RLE}, // of levels
		PathInSchema: l.path,
		Codec:        f.layout.codec,
	}
	start := f.out.n
	if refers(c.pages) {
		b, whole, err := s.dictionaryPage(c.dict, f.layout)
		if err != nil {
			return err
		}
		if _, err := f.out.Write(b); err != nil {
			return err
		}
		m.DictionaryPageOffset = start
		m.TotalUncompressedSize = whole
		count(&m, format.DictionaryPage, format.Plain)
	}
	m.DataPageOffset = f.out.n
	offsets, err := f.writePages(c.pages, &m)
	if err != nil {
		return err
	}
	m.TotalCompressedSize = f.out.n - start
	f.sizes[i] += m.TotalCompressedSize
	all := c.bounds(l.kind)
	m.Statistics.MinValue, m.Statistics.MaxValue = all.least, all.greatest
	g.note(f.layout, c, i, all, offsets)
	g.chunks[i] = &format.ColumnChunk{MetaData: m}
	g.held += chunkHeld
	g.TotalByteSize += m.TotalUncompressedSize
	g.TotalCompressedSize += m.TotalCompressedSize
	return nil
}

func refers(pages []page) bool {
	for i := range pages {
		if pages[i].encoding == format.RLEDictionary {
			return true
		}
	}
	return false
}

func (f *File) writePages(pages []page, m *format.ColumnMetaData) (*format.OffsetIndex, error) {
	offsets := &format.OffsetIndex{PageLocations: make(thrift.Slice[format.PageLocation], len(pages))}
	row := int64(0)
	for i := range pages {
		p := &pages[i]
		offsets.PageLocations[i] = format.PageLocation{Offset: f.out.n, CompressedPageSize: int32(len(p.bytes)), FirstRowIndex: row}
		if _, err := f.out.Write(p.bytes); err != nil {
			return nil, err
		}
		row += int64(p.rows)
		m.NumValues += p.levels
		m.Statistics.NullCount += p.nulls
		m.TotalUncompressedSize += p.whole
		count(m, format.DataPage, p.encoding)
	}
	return offsets, nil
}

// count notes one page of a kind and an encoding.
func count(m *format.ColumnMetaData, kind format.PageType, e format.Encoding) {
	for i := range m.EncodingStats {
		if s := &m.EncodingStats[i]; s.PageType == kind && s.Encoding == e {
			s.Count++
			return
		}
	}
	m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: kind, Encoding: e, Count: 1})
	for _, known := range m.Encoding {
		if known == e {
			return
		}
	}
	m.Encoding = append(m.Encoding, e)
}

// note keeps the page indexes of a leaf.
func (g *group) note(layout *Layout, c *chunk, i int, all bounds, offsets *format.OffsetIndex) {
	if layout.options.Plain {
		return
	}
	g.offsets[i] = offsets
	g.held += indexBytes * int64(len(c.pages))
	if l := &layout.leaves[i]; l.bounds && (all.known || allEmpty(c.pages)) {
		g.columns[i] = columnIndex(c.pages, l.kind)
		g.held += indexBytes * int64(len(c.pages))
	}
}

// What the page index of a page and what the footer says of a chunk hold, about.
const (
	indexBytes = 128
	chunkHeld  = 800
)

func allEmpty(pages []page) bool {
	for i := range pages {
		if !pages[i].empty() {
			return false
		}
	}
	return true
}

func columnIndex(pages []page, kind format.Type) *format.ColumnIndex {
	x := &format.ColumnIndex{BoundaryOrder: order(pages, kind)}
	for i := range pages {
		p := &pages[i]
		least, greatest := p.bounds.least, p.bounds.greatest
		if p.empty() {
			least, greatest = []byte{}, []byte{}
		}
		x.NullPages = append(x.NullPages, p.empty())
		x.MinValues, x.MaxValues = append(x.MinValues, least), append(x.MaxValues, greatest)
		x.NullCounts = append(x.NullCounts, p.nulls)
	}
	return x
}

// order tells whether least and greatest values both rise, or both fall, from page to page.
func order(pages []page, kind format.Type) format.BoundaryOrder {
	rising, falling := true, true
	var last *bounds
	for i := range pages {
		if pages[i].empty() {
			continue
		}
		b := &pages[i].bounds
		if last != nil {
			rising = rising && !less(b.least, last.least, kind) && !less(b.greatest, last.greatest, kind)
			falling = falling && !less(last.least, b.least, kind) && !less(last.greatest, b.greatest, kind)
		}
		last = b
	}
	switch {
	case rising:
		return format.Ascending
	case falling:
		return format.Descending
	}
	return format.Unordered
}

// BloomBytes is what the Bloom filters of a file, or of several, take that hold so many messageids; a few dozen bytes for each
// row group come on top.
func BloomBytes(ids int64) int64 {
	return int64(bloom.NumSplitBlocksOf(ids, bloomBits)) * bloom.BlockSize
}

func (f *File) writeBloom(hashes []uint64, c *format.ColumnChunk) error {
	if len(hashes) == 0 {
		return nil
	}
	filter := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(len(hashes)), bloomBits))
	filter.InsertBulk(hashes)
	header := format.BloomFilterHeader{
		NumBytes:    int32(len(filter.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	}
	m := &c.MetaData
	m.BloomFilterOffset = f.out.n
	if _, err := f.writeThrift(&header); err != nil {
		return err
	}
	if _, err := f.out.Write(filter.Bytes()); err != nil {
		return err
	}
	m.BloomFilterLength = int32(f.out.n - m.BloomFilterOffset)
	return nil
}

// writeFooter writes the page indexes and the footer.
func (f *File) writeFooter() error {
	if err := f.writeMagic(); err != nil {
		return err
	}
	if err := f.writeIndexes(); err != nil {
		return err
	}
	schema, leaves := f.schema()
	m := format.FileMetaData{
		Version:          1,
		Schema:           schema,
		NumRows:          f.rows,
		KeyValueMetadata: append(f.layout.metadata[:len(f.layout.metadata):len(f.layout.metadata)], f.origin()...),
		CreatedBy:        f.layout.options.CreatedBy,
		RowGroups:        make(thrift.Slice[format.RowGroup], len(f.groups)),
		ColumnOrders:     make(thrift.Slice[format.ColumnOrder], leaves),
	}
	for i := range f.groups {
		g := f.groups[i].RowGroup
		g.Columns = make(thrift.Slice[format.ColumnChunk], 0, leaves)
		for _, c := range f.groups[i].chunks {
			if c != nil {
				g.Columns = append(g.Columns, *c)
			}
		}
		m.RowGroups[i] = g
	}
	for i := range m.ColumnOrders {
		m.ColumnOrders[i].Value = &format.TypeDefinedOrder{}
	}
	n, err := f.writeThrift(&m)
	if err != nil {
		return err
	}
	_, err = f.out.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...))
	return err
}

// schema is that of the columns which the file has, and how many leaves these are. A file without a row group has those
// that every file has.
func (f *File) schema() (elements []format.SchemaElement, leaves int) {
	l := f.layout
	own := 0
	for own < len(l.leaves) && !l.leaves[own].sparse {
		own++
	}
	first := len(l.elements) - (len(l.leaves) - own) // element of the first promoted leaf
	elements, leaves = slices.Clone(l.elements[:first]), own
	for i := own; i < len(l.leaves); i++ {
		if f.used[i] {
			elements, leaves = append(elements, l.elements[first+i-own]), leaves+1
		}
	}
	elements[0] = root(len(l.columns) + leaves - own)
	return elements, leaves
}

// writeIndexes writes first all column indexes and then all offset indexes, as the format asks (PageIndex.md).
func (f *File) writeIndexes() error {
	for i := range f.groups {
		g := &f.groups[i]
		for j, x := range g.columns {
			if x == nil {
				continue
			}
			c := g.chunks[j]
			c.ColumnIndexOffset = f.out.n
			n, err := f.writeThrift(x)
			if err != nil {
				return err
			}
			c.ColumnIndexLength = int32(n)
		}
	}
	for i := range f.groups {
		g := &f.groups[i]
		for j, x := range g.offsets {
			if x == nil {
				continue
			}
			c := g.chunks[j]
			c.OffsetIndexOffset = f.out.n
			n, err := f.writeThrift(x)
			if err != nil {
				return err
			}
			c.OffsetIndexLength = int32(n)
		}
	}
	return nil
}

func (f *File) writeThrift(v any) (int, error) {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), v)
	if err != nil {
		return 0, err
	}
	return f.out.Write(b)
}

// origin says where the rows come from, if that is one partition.
func (f *File) origin() []format.KeyValue {
	if f.rows == 0 || f.topic == "" {
		return nil
	}
	return []format.KeyValue{
		{Key: "weir.topic", Value: f.topic},
		{Key: "weir.partition", Value: strconv.Itoa(int(f.part))},
		{Key: "weir.first-offset", Value: strconv.FormatInt(f.first, 10)},
		{Key: "weir.last-offset", Value: strconv.FormatInt(f.last, 10)},
	}
}
