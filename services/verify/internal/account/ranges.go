package account

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"weir/pkg/flush"
)

// Range is a run of neighbouring offsets, both ends included.
type Range struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Ranges are disjoint, not adjacent, and ascending. nil is the empty set.
type Ranges []Range

// RangesOf lists the runs of a set.
func RangesOf(o *flush.Offsets) Ranges {
	var rs Ranges
	for first, end := range o.Ranges() {
		rs = append(rs, Range{first, end - 1})
	}
	return rs
}

// Span is every offset from first (included) to end (excluded).
func Span(first, end int64) Ranges {
	if first >= end {
		return nil
	}
	return Ranges{{first, end - 1}}
}

// Len counts the offsets.
func (rs Ranges) Len() int64 {
	var n int64
	for _, r := range rs {
		n += r.Last - r.First + 1
	}
	return n
}

// Add returns the set with one more offset, which must be the highest.
func (rs Ranges) Add(offset int64) Ranges {
	if n := len(rs); n > 0 && rs[n-1].Last+1 >= offset {
		rs[n-1].Last = max(offset, rs[n-1].Last)
		return rs
	}
	return append(rs, Range{offset, offset})
}

func (rs Ranges) has(offset int64) bool {
	i := sort.Search(len(rs), func(i int) bool { return rs[i].Last >= offset })
	return i < len(rs) && rs[i].First <= offset
}

// And is what both hold.
func (rs Ranges) And(other Ranges) Ranges {
	var out Ranges
	for i, j := 0, 0; i < len(rs) && j < len(other); {
		first, last := max(rs[i].First, other[j].First), min(rs[i].Last, other[j].Last)
		if first <= last {
			out = append(out, Range{first, last})
		}
		if rs[i].Last < other[j].Last {
			i++
		} else {
			j++
		}
	}
	return out
}

// Without is what other does not hold.
func (rs Ranges) Without(other Ranges) Ranges {
	var out Ranges
	j := 0
	for _, r := range rs {
		at := r.First
		for ; j < len(other) && other[j].Last < at; j++ {
		}
		for k := j; k < len(other) && other[k].First <= r.Last; k++ {
			if other[k].First > at {
				out = append(out, Range{at, other[k].First - 1})
			}
			at = max(at, other[k].Last+1)
		}
		if at <= r.Last {
			out = append(out, Range{at, r.Last})
		}
	}
	return out
}

// Or is what either holds.
func (rs Ranges) Or(other Ranges) Ranges {
	all := slices.Concat(rs, other)
	slices.SortFunc(all, func(a, b Range) int {
		switch {
		case a.First < b.First:
			return -1
		case a.First > b.First:
			return 1
		}
		return 0
	})
	var out Ranges
	for _, r := range all {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Join fills the holes of less than size offsets.
func (rs Ranges) Join(size int64) Ranges {
	var out Ranges
	for _, r := range rs {
		if n := len(out); n > 0 && r.First-out[n-1].Last <= size {
			out[n-1].Last = r.Last
			continue
		}
		out = append(out, r)
	}
	return out
}

// String is 3-5,8,10-12, in full: a report names exactly what is wrong.
func (rs Ranges) String() string {
	var b strings.Builder
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(',')
		}
		if r.First == r.Last {
			fmt.Fprintf(&b, "%d", r.First)
		} else {
			fmt.Fprintf(&b, "%d-%d", r.First, r.Last)
		}
	}
	return b.String()
}
