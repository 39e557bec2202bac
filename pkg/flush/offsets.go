package flush

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// Offsets is a set of Kafka offsets. The zero value and nil are the empty set; nil must not be added to.
//
// What is flushed is remembered as such sets and never as boundaries (I7), because the lake partition of a record may
// change with configuration and code.
type Offsets struct{ bits roaring64.Bitmap }

// NewOffsets returns the set of the given offsets.
func NewOffsets(offsets ...int64) *Offsets {
	o := new(Offsets)
	for _, v := range offsets {
		o.Add(v)
	}
	return o
}

// Add puts one offset into the set. Offsets are never negative and always have a next one.
func (o *Offsets) Add(offset int64) { o.bits.Add(uint64(offset)) }

// AddRange puts every offset from (included) to (excluded) into the set.
func (o *Offsets) AddRange(from, to int64) {
	if from < to {
		o.bits.AddRange(uint64(from), uint64(to))
	}
}

// Or puts every offset of p into the set.
func (o *Offsets) Or(p *Offsets) {
	if p != nil {
		o.bits.Or(&p.bits)
	}
}

// Contains reports whether offset is in the set.
func (o *Offsets) Contains(offset int64) bool {
	return o != nil && offset >= 0 && o.bits.Contains(uint64(offset))
}

// Empty reports whether nothing is in the set.
func (o *Offsets) Empty() bool { return o == nil || o.bits.IsEmpty() }

// Len counts the offsets.
func (o *Offsets) Len() int64 {
	if o == nil {
		return 0
	}
	return int64(o.bits.GetCardinality())
}

// Min is the lowest offset, -1 of the empty set.
func (o *Offsets) Min() int64 {
	if o.Empty() {
		return -1
	}
	return int64(o.bits.Minimum())
}

// Max is the highest offset, -1 of the empty set.
func (o *Offsets) Max() int64 {
	if o.Empty() {
		return -1
	}
	return int64(o.bits.Maximum())
}

// Clone returns a copy that shares nothing.
func (o *Offsets) Clone() *Offsets {
	c := new(Offsets)
	c.Or(o)
	return c
}

// From returns a new set: the offsets that are low or higher.
func (o *Offsets) From(low int64) *Offsets {
	c := o.Clone()
	if low > 0 {
		c.bits.RemoveRange(0, uint64(low))
	}
	return c
}

// And returns a new set: the offsets that are in both.
func (o *Offsets) And(p *Offsets) *Offsets {
	if o.Empty() || p.Empty() {
		return new(Offsets)
	}
	c := o.Clone()
	c.bits.And(&p.bits)
	return c
}

// Without returns a new set: the offsets that are not in p.
func (o *Offsets) Without(p *Offsets) *Offsets {
	c := o.Clone()
	if !p.Empty() {
		c.bits.AndNot(&p.bits)
	}
	return c
}

// Common returns an offset that is in both sets, -1 when there is none.
func (o *Offsets) Common(p *Offsets) int64 {
	if o.Empty() || p.Empty() || !o.bits.Intersects(&p.bits) {
		return -1
	}
	c := o.Clone()
	c.bits.And(&p.bits)
	return c.Min()
}

// Equal reports whether both sets hold the same offsets.
func (o *Offsets) Equal(p *Offsets) bool {
	if o.Empty() || p.Empty() {
		return o.Empty() && p.Empty()
	}
	return o.bits.Equals(&p.bits)
}

// All yields the offsets in ascending order.
func (o *Offsets) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if o == nil {
			return
		}
		for it := o.bits.Iterator(); it.HasNext(); {
			if !yield(int64(it.Next())) {
				return
			}
		}
	}
}

// Ranges yields the maximal runs of neighbouring offsets in ascending order: first (included), end (excluded).
func (o *Offsets) Ranges() iter.Seq2[int64, int64] {
	return func(yield func(int64, int64) bool) {
		first, end := int64(-1), int64(-1)
		for v := range o.All() {
			if v == end {
				end++
				continue
			}
			if first >= 0 && !yield(first, end) {
				return
			}
			first, end = v, v+1
		}
		if first >= 0 {
			yield(first, end)
		}
	}
}

// maxShownRanges bounds what String prints: it goes into error texts.
const maxShownRanges = 20

// String shows the runs with both ends included: 0-4,7,9-12.
func (o *Offsets) String() string {
	var b strings.Builder
	shown := 0
	for first, end := range o.Ranges() {
		if shown == maxShownRanges {
			b.WriteString(",…")
			break
		}
		if shown > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(first, 10))
		if end-1 > first {
			b.WriteByte('-')
			b.WriteString(strconv.FormatInt(end-1, 10))
		}
		shown++
	}
	return b.String()
}

// MarshalBinary returns the portable serialization of a 64-bit roaring bitmap, runs compressed.
func (o *Offsets) MarshalBinary() ([]byte, error) {
	c := o.Clone()
	c.bits.RunOptimize()
	return c.bits.MarshalBinary()
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses everything that is no such set.
func (o *Offsets) UnmarshalBinary(b []byte) error {
	// The bitmap begins with the number of its 32-bit bitmaps, and its reader allocates that many before it looks further.
	const head, smallest = 8, 12
	if len(b) < head || binary.LittleEndian.Uint64(b) > uint64(len(b)-head)/smallest {
		return fmt.Errorf("read offsets: %d bytes are no set", len(b))
	}
	var c Offsets
	rest := bytes.NewReader(b)
	if _, err := c.bits.ReadFrom(rest); err != nil {
		return fmt.Errorf("read offsets: %w", err)
	}
	if rest.Len() > 0 {
		return fmt.Errorf("read offsets: %d bytes too many", rest.Len())
	}
	if err := c.bits.Validate(); err != nil {
		return fmt.Errorf("read offsets: %w", err)
	}
	if !c.bits.IsEmpty() && c.bits.Maximum() >= math.MaxInt64 {
		return fmt.Errorf("read offsets: %d is no Kafka offset", c.bits.Maximum())
	}
	o.bits = c.bits
	return nil
}
