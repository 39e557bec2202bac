package columnar

import (
	"math"
	"testing"

	reference "github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDeltasComeBack(t *testing.T) {
	extremes := rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64})
	rapid.Check(t, func(t *rapid.T) {
		values := stretches(t, rapid.OneOf(rapid.Int64(), rapid.Int64Range(1_795_428_000_000_000, 1_795_428_001_000_000), extremes))
		got, err := new(reference.BinaryPackedEncoding).DecodeInt64(nil, appendDelta(nil, values, 64))
		require.NoError(t, err)
		require.Equal(t, append([]int64{}, values...), append([]int64{}, got...))
	})
}

func TestNarrowDeltasComeBack(t *testing.T) {
	extremes := rapid.SampledFrom([]int32{math.MinInt32, -1, 0, 1, math.MaxInt32})
	rapid.Check(t, func(t *rapid.T) {
		values := stretches(t, rapid.OneOf(rapid.Int32(), extremes))
		wide := make([]int64, len(values))
		for i, v := range values {
			wide[i] = int64(v)
		}
		got, err := new(reference.BinaryPackedEncoding).DecodeInt32(nil, appendDelta(nil, wide, 32))
		require.NoError(t, err)
		require.Equal(t, append([]int32{}, values...), append([]int32{}, got...))
	})
}

// Offsets rise by one: 128 of them take the five bytes of an empty block.
func TestOffsetsTakeNothing(t *testing.T) {
	values := make([]int64, 128*100+1)
	for i := range values {
		values[i] = 1<<40 + int64(i)
	}
	require.LessOrEqual(t, len(appendDelta(nil, values, 64)), 100*5+16)
}
