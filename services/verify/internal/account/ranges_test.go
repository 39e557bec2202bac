package account

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
)

func TestRangesAgainstSets(t *testing.T) {
	offsets := rapid.SliceOf(rapid.Int64Range(0, 40))
	rapid.Check(t, func(t *rapid.T) {
		a, b := flush.NewOffsets(offsets.Draw(t, "a")...), flush.NewOffsets(offsets.Draw(t, "b")...)
		var and, without Ranges
		for o := range a.All() {
			if b.Contains(o) {
				and = and.Add(o)
			} else {
				without = without.Add(o)
			}
		}
		both := a.Clone()
		both.Or(b)
		ra, rb := RangesOf(a), RangesOf(b)
		require.Equal(t, and, ra.And(rb))
		require.Equal(t, without, ra.Without(rb))
		require.Equal(t, RangesOf(both), ra.Or(rb))
		require.Equal(t, a.Len(), ra.Len())
	})
}

func TestRangesString(t *testing.T) {
	require.Equal(t, "", Ranges(nil).String())
	require.Equal(t, "0,2-4,9", RangesOf(flush.NewOffsets(9, 0, 2, 3, 4)).String())
	require.Nil(t, Span(5, 5))
	require.Equal(t, "0-4,9,13-14", RangesOf(flush.NewOffsets(0, 1, 4, 9, 13, 14)).Join(3).String())
	require.Equal(t, "0-14", RangesOf(flush.NewOffsets(0, 1, 4, 9, 13, 14)).Join(5).String())
	require.Equal(t, Ranges{{5, 6}}, Span(5, 7))
}
