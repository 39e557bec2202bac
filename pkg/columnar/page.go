package columnar

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// page is a page as it will stand in the file.
type page struct {
	bytes    []byte // header and body
	whole    int64  // bytes of both, had the body not been compressed
	levels   int64  // values and NULLs
	nulls    int64
	rows     int
	encoding format.Encoding
	bounds   bounds
}

// page makes a data page of version 1, which every reader knows, of what b has gathered.
func (s *press) page(layout *Layout, l *leaf, c *chunk, b *builder, defs, reps []byte) (page, error) {
	c.reconsider(b)
	p := page{levels: int64(len(defs)), nulls: int64(len(defs) - b.values)}
	s.body = s.body[:0]
	if l.repeated {
		s.body = appendLevels(s.body, reps, 1)
	}
	s.body = appendLevels(s.body, defs, uint(bits.Len8(l.maxDef)))
	s.body, p.encoding = appendValues(s.body, l, c, b)
	if b.values > 0 && !layout.options.Plain {
		if l.bounds {
			p.bounds = s.boundsOf(l, c, b)
		}
		if l.bloom {
			c.hashes = appendHashes(c.hashes, b.plain)
		}
	}
	header := format.PageHeader{Type: format.DataPage, DataPageHeader: thrift.New(format.DataPageHeader{
		NumValues:               int32(p.levels),
		Encoding:                p.encoding,
		DefinitionLevelEncoding: format.RLE,
		RepetitionLevelEncoding: format.RLE,
		Statistics:              format.Statistics{NullCount: p.nulls},
	})}
	var err error
	p.bytes, p.whole, err = s.seal(&header, layout)
	return p, err
}

// appendValues appends the values that are there. A page without any refers to the dictionary too, for as long as its
// chunk has one: Spark's vectorized reader loses count of the keys of maps where such a page follows one that does not.
func appendValues(dst []byte, l *leaf, c *chunk, b *builder) ([]byte, format.Encoding) {
	switch {
	case b.values == 0 && c.lookup() != nil:
		return appendIndexes(dst, nil, c.dict.len()), format.RLEDictionary
	case b.values == 0:
		return dst, format.Plain
	case l.encoding == delta:
		size := uint(64)
		if l.kind == format.Int32 {
			size = 32
		}
		return appendDelta(dst, b.numbers, size), format.DeltaBinaryPacked
	case l.encoding == bitwise:
		return appendBits(dst, b.numbers), format.Plain
	case l.kind == format.Double:
		for _, bits := range b.numbers {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(bits))
		}
		return dst, format.Plain
	case len(b.indexes) > 0:
		return appendIndexes(dst, b.indexes, c.dict.len()), format.RLEDictionary
	}
	return append(dst, b.plain...), format.Plain
}

// appendBits appends booleans, the first in the lowest bit (Encodings.md, "PLAIN = 0").
func appendBits(dst []byte, v []int64) []byte {
	for len(v) > 0 {
		n := min(len(v), 8)
		b := byte(0)
		for i, bit := range v[:n] {
			b |= byte(bit) << i
		}
		dst, v = append(dst, b), v[n:]
	}
	return dst
}

func (s *press) boundsOf(l *leaf, c *chunk, b *builder) bounds {
	switch {
	case l.kind != format.ByteArray:
		return boundsOfNumbers(b.numbers, l.kind)
	case len(b.indexes) > 0:
		return boundsOfText(s.entryBounds(c.dict, b.indexes))
	}
	return boundsOfText(textBounds(b.plain))
}

// dictionaryPage is the page that the indexes of a chunk refer to.
func (s *press) dictionaryPage(e *dict, layout *Layout) (b []byte, whole int64, err error) {
	s.body = append(s.body[:0], e.plain...)
	header := format.PageHeader{Type: format.DictionaryPage, DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{
		NumValues: int32(e.len()),
		Encoding:  format.Plain,
	})}
	return s.seal(&header, layout)
}

// seal compresses the body and puts the header before it, in memory of just that size.
func (s *press) seal(header *format.PageHeader, layout *Layout) (b []byte, whole int64, err error) {
	packed, err := s.compress(layout.codec, s.body)
	if err != nil {
		return nil, 0, err
	}
	if len(s.body) > math.MaxInt32 || len(packed) > math.MaxInt32 {
		return nil, 0, fmt.Errorf("a page has %d bytes: more than Parquet allows", len(s.body))
	}
	header.UncompressedPageSize, header.CompressedPageSize = int32(len(s.body)), int32(len(packed))
	if !layout.options.Plain {
		header.CRC = int32(crc32.ChecksumIEEE(packed))
	}
	head, err := thrift.Marshal(new(thrift.CompactProtocol), header)
	if err != nil {
		return nil, 0, fmt.Errorf("encode a page header: %w", err)
	}
	b = make([]byte, len(head)+len(packed))
	copy(b[copy(b, head):], packed)
	return b, int64(len(head) + len(s.body)), nil
}

// appendHashes appends what a Bloom filter knows of values in PLAIN (BloomFilter.md: xxHash of the bytes, seed 0).
func appendHashes(dst []uint64, values []byte) []uint64 {
	for len(values) > 0 {
		n := 4 + int(binary.LittleEndian.Uint32(values))
		dst = append(dst, xxhash.Sum64(values[4:n]))
		values = values[n:]
	}
	return dst
}
