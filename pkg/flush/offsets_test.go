package flush_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
)

func TestOffsetsAreSets(t *testing.T) {
	few := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 40), rapid.Int64Range(1<<32-3, 1<<32+3), rapid.Int64Range(1<<62, 1<<63-2)), 0, 30)
	rapid.Check(t, func(t *rapid.T) {
		a, b := few.Draw(t, "a"), few.Draw(t, "b")
		low := rapid.SampledFrom([]int64{0, 1, 20, 1 << 32, 1 << 62}).Draw(t, "low")
		set, other := flush.NewOffsets(a...), flush.NewOffsets(b...)
		want := slices.Compact(slices.Sorted(slices.Values(a)))
		require.Equal(t, int64(len(want)), set.Len())
		require.Equal(t, len(want) == 0, set.Empty())
		require.True(t, slices.Equal(want, slices.Collect(set.All())))
		if len(want) > 0 {
			require.Equal(t, want[0], set.Min())
			require.Equal(t, want[len(want)-1], set.Max())
		} else {
			require.Equal(t, []int64{-1, -1}, []int64{set.Min(), set.Max()})
		}

		var spread []int64
		last := int64(-1)
		for first, end := range set.Ranges() {
			require.Less(t, first, end)
			require.Less(t, last, first, "runs are maximal")
			last = end
			for o := first; o < end; o++ {
				spread = append(spread, o)
			}
		}
		require.True(t, slices.Equal(want, spread))

		from := set.From(low)
		for _, o := range want {
			require.Equal(t, o >= low, from.Contains(o))
		}
		both := set.Clone()
		both.Or(other)
		for _, o := range append(a, b...) {
			require.True(t, both.Contains(o))
		}
		common := set.Common(other)
		require.Equal(t, common >= 0, slices.ContainsFunc(a, other.Contains))
		require.True(t, common < 0 || set.Contains(common) && other.Contains(common))
		require.Equal(t, slices.Equal(want, slices.Compact(slices.Sorted(slices.Values(b)))), set.Equal(other))

		text, err := set.MarshalBinary()
		require.NoError(t, err)
		var read flush.Offsets
		require.NoError(t, read.UnmarshalBinary(text))
		require.True(t, set.Equal(&read))
		require.True(t, slices.Equal(want, slices.Collect(set.All())), "nothing above changed the set")
	})
}

func TestNilIsTheEmptySet(t *testing.T) {
	var none *flush.Offsets
	require.True(t, none.Empty())
	require.False(t, none.Contains(0))
	require.Zero(t, none.Len())
	require.True(t, none.Equal(new(flush.Offsets)))
	require.Empty(t, slices.Collect(none.All()))
	require.Empty(t, none.String())
	require.Equal(t, int64(-1), none.Common(flush.NewOffsets(1)))
	require.True(t, none.From(3).Empty())
}

func TestOffsetsString(t *testing.T) {
	set := flush.NewOffsets(9, 7, 1, 0)
	set.AddRange(20, 30)
	set.AddRange(5, 5)
	require.Equal(t, "0-1,7,9,20-29", set.String())
	long := new(flush.Offsets)
	for o := int64(0); o < 100; o += 2 {
		long.Add(o)
	}
	require.Equal(t, "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38,…", long.String())
}

func FuzzUnmarshalOffsets(f *testing.F) {
	for _, set := range []*flush.Offsets{flush.NewOffsets(), flush.NewOffsets(1, 2, 1<<40)} {
		b, err := set.MarshalBinary()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var set flush.Offsets
		if set.UnmarshalBinary(b) != nil || set.Len() > 1<<20 {
			return
		}
		n := int64(0)
		for o := range set.All() {
			require.GreaterOrEqual(t, o, int64(0))
			n++
		}
		require.Equal(t, set.Len(), n)
	})
}
