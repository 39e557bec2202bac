package event

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fanout := 1 << rapid.IntRange(0, 8).Draw(t, "bits")
		l := Lane{
			Lane: rapid.IntRange(0, fanout-1).Draw(t, "lane"), Fanout: fanout,
			Epoch: rapid.Int64Range(1, 1e18-1).Draw(t, "epoch"),
		}
		got, ok := ParseLane(l.Append(nil))
		require.True(t, ok)
		require.Equal(t, l, got)
	})
	require.Equal(t, "3/4/17", string(Lane{3, 4, 17}.Append(nil)))
}

func TestWhatIsNoLane(t *testing.T) {
	for _, text := range []string{
		"", "/", "//", "0", "0/1", "0/1/", "0/1/0", "1/1/1", "2/2/1", "0/3/1", "0/0/1", "0/512/1", "-1/2/1", "0/2/-1", "+0/2/1", "00/2/1", "0/02/1",
		"0/2/01", " 0/2/1", "0/2/1 ", "0/2/1/", "0/2/1/1", "a/2/1", "0/2/1000000000000000000", "99999999999999999999/2/1", "0/18446744073709551617/1",
	} {
		l, ok := ParseLane([]byte(text))
		require.False(t, ok, text)
		require.Zero(t, l)
	}
	require.False(t, ValidFanout(math.MinInt))
}

func FuzzParseLane(f *testing.F) {
	f.Add([]byte("3/4/17"))
	f.Add([]byte("0/1/x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if l, ok := ParseLane(text); ok {
			require.Equal(t, string(text), string(l.Append(nil)), "one spelling each")
		}
	})
}
