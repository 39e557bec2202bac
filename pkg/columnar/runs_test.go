package columnar

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// stretches draws values with runs of all lengths about the bounds that the encoder knows.
func stretches[T any](t *rapid.T, value *rapid.Generator[T]) []T {
	var all []T
	for range rapid.IntRange(0, 12).Draw(t, "stretches") {
		if rapid.Bool().Draw(t, "run") {
			v := value.Draw(t, "value")
			for range rapid.IntRange(1, 40).Draw(t, "length") {
				all = append(all, v)
			}
			continue
		}
		all = append(all, rapid.SliceOfN(value, 1, 40).Draw(t, "values")...)
	}
	return all
}

func TestLevelsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 2).Draw(t, "width")
		levels := stretches(t, rapid.ByteRange(0, 1<<width-1))
		b := appendLevels([]byte("before"), levels, uint(width))[len("before"):]
		require.Equal(t, len(b)-4, int(binary.LittleEndian.Uint32(b)))
		got, err := (&rle.Encoding{BitWidth: width}).DecodeLevels(nil, b[4:])
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(got), len(levels), "the last group is padded")
		require.Equal(t, levels, append([]byte(nil), got[:len(levels)]...))
	})
}

func TestIndexesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 1<<21)).Draw(t, "entries")
		indexes := stretches(t, rapid.Uint32Range(0, uint32(n-1)))
		b := appendIndexes(nil, indexes, n)
		width := int(b[0])
		require.Equal(t, max(1, bits.Len(uint(n-1))), width)
		got, err := (&rle.Encoding{BitWidth: width}).DecodeInt32(nil, b[1:])
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(got), len(indexes))
		for i, want := range indexes {
			require.Equal(t, want, uint32(got[i]), i)
		}
	})
}

// A page of one value costs a few bytes, however many rows it has.
func TestLongRunsAreShort(t *testing.T) {
	require.LessOrEqual(t, len(appendLevels(nil, make([]byte, 1<<20), 2)), 4+4+1)
	mixed := append(make([]byte, 1000), 1, 0, 1, 0, 1, 0, 1, 0)
	mixed = append(mixed, make([]byte, 1000)...)
	require.LessOrEqual(t, len(appendLevels(nil, mixed, 1)), 4+3+2+3)
}
