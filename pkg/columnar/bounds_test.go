package columnar

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever the text, its bounds hold, are text and are short.
func TestBoundsHold(t *testing.T) {
	long := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "\x7f", "é", "\u07ff", "\ud7ff", "\ue000", "\uffff", "\U0010ffff"}), 0, 120), func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.OneOf(rapid.String(), long).Draw(t, "text"))
		low := below(text)
		require.LessOrEqual(t, bytes.Compare(low, text), 0)
		require.True(t, utf8.Valid(low))
		require.LessOrEqual(t, len(low), boundBytes)
		high, ok := above(text)
		if !ok {
			require.Greater(t, len(text), boundBytes)
			require.Equal(t, bytes.Repeat([]byte("\U0010ffff"), boundBytes/4), below(text))
			return
		}
		require.GreaterOrEqual(t, bytes.Compare(high, text), 0)
		require.True(t, utf8.Valid(high))
		require.LessOrEqual(t, len(high), boundBytes+1)
	})
}

func TestPlainBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(rapid.String(), 1, 20).Draw(t, "texts")
		var b builder
		d := new(dict)
		least, greatest := texts[0], texts[0]
		for _, s := range texts {
			b.text([]byte(s))
			b.indexes = append(b.indexes, d.index([]byte(s)))
			least, greatest = min(least, s), max(greatest, s)
		}
		for range 3 {
			d.index([]byte(rapid.String().Draw(t, "another"))) // in the dictionary, not in the page
		}
		low, high := textBounds(b.plain)
		require.Equal(t, [2]string{least, greatest}, [2]string{string(low), string(high)})
		low, high = new(press).entryBounds(d, b.indexes)
		require.Equal(t, [2]string{least, greatest}, [2]string{string(low), string(high)})
	})
}

func TestOrder(t *testing.T) {
	of := func(least, greatest int64) page {
		return page{levels: 1, bounds: boundsOfNumbers([]int64{least, greatest}, format.Int64)}
	}
	empty := of(0, 0)
	empty.nulls = 1
	for _, c := range []struct {
		pages []page
		want  format.BoundaryOrder
	}{
		{[]page{of(-5, 1), empty, of(-5, 2), of(3, 4)}, format.Ascending},
		{[]page{of(3, 4), of(1, 4), empty, of(-9, -8)}, format.Descending},
		{[]page{of(1, 9), of(2, 8)}, format.Unordered},
		{[]page{empty, empty}, format.Ascending},
	} {
		require.Equal(t, c.want, order(c.pages, format.Int64))
	}
}
