package produce

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// storm begins requests of n bytes until one is refused.
func storm(h *Hangar, source string, n int) (all []*Flight) {
	for {
		f, ok := h.Begin(source, n)
		if !ok {
			return all
		}
		all = append(all, f)
	}
}

func land(flights ...[]*Flight) {
	for _, all := range flights {
		for _, f := range all {
			f.Release()
		}
	}
}

// However hard sources storm, one that did not finds as much free as each of them holds.
func TestAStormLeavesRoom(t *testing.T) {
	const limit, size = 1 << 20, 4096
	h := NewHangar(limit)
	a := storm(h, "a", size)
	require.Len(t, a, limit/2/size, "alone: a half")
	b := storm(h, "b", size)
	require.Len(t, b, limit/4/size, "of what is free")
	for range len(a) / 3 { // some of a's are answered, and both want more
		a[0].Release()
		a = append(a[1:], storm(h, "a", size)...)
		b = append(b, storm(h, "b", size)...)
	}
	require.InDelta(t, len(a), len(b), 2, "a third each")
	require.GreaterOrEqual(t, h.Budget.Limit()-h.Budget.Used(), int64(limit/3-2*size))
	land(a, b)
	require.Zero(t, h.Budget.Used())
}

// No request is too large for its share: where nobody else holds any, and none of the same source.
func TestOneRequestMayBeLargerThanItsShare(t *testing.T) {
	const limit = 1 << 20
	h := NewHangar(limit)
	f, ok := h.Begin("a", 1)
	require.True(t, ok)
	require.True(t, f.Reserve(limit-4096), "nobody else wants any")
	require.False(t, f.Reserve(1))
	_, ok = h.Begin("b", 1)
	require.False(t, ok)
	f.Release()

	one, _ := h.Begin("a", 1)
	two, _ := h.Begin("a", 1)
	require.False(t, two.Reserve(limit*3/4), "it has another")
	one.Release()
	require.True(t, two.Reserve(limit*3/4))
	two.Release()
	require.Zero(t, h.Budget.Used())
}

// A request whose body names its source is charged to it, or refused where the source has
// its share already.
func TestBelong(t *testing.T) {
	const limit, size = 1 << 20, 4096
	h := NewHangar(limit)
	a := storm(h, "a", size)
	f, ok := h.Begin("", size)
	require.True(t, ok, "nobody knows yet whose it is")
	require.False(t, f.Belong("a"))
	require.True(t, f.Belong("b"))
	require.True(t, f.Belong("b"))
	require.Zero(t, h.Budget.Of("").held.Load())
	require.EqualValues(t, size, h.Budget.Of("b").held.Load())
	land(a, []*Flight{f})
	require.Zero(t, h.Budget.Used())
	require.Zero(t, h.Budget.Of("b").held.Load())
}

// Whatever flights do, the budget is what the shares hold together, and never too much.
func TestSharesAddUp(t *testing.T) {
	const limit = 1 << 18
	rapid.Check(t, func(t *rapid.T) {
		h := NewHangar(limit)
		names := []string{"", "a", "b", "c"}
		held := func() (sum int64) {
			for _, name := range names {
				sum += h.Budget.Of(name).held.Load()
			}
			return sum
		}
		var flights []*Flight
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "source")
			switch step := rapid.IntRange(0, 3).Draw(t, "step"); {
			case step < 2:
				before := h.Budget.Of(name).held.Load()
				f, ok := h.Begin(name, rapid.IntRange(0, limit/8).Draw(t, "bytes"))
				if ok {
					flights = append(flights, f)
					now := h.Budget.Of(name).held.Load()
					require.True(t, before == 0 || now <= limit-h.Budget.Used(), "no more than is still free")
				}
			case len(flights) == 0:
			case step == 2:
				flights[0].Belong(name)
			default:
				flights[0].Release()
				flights = flights[1:]
			}
			require.Equal(t, h.Budget.Used(), held())
			require.LessOrEqual(t, h.Budget.Used(), int64(limit))
		}
		land(flights)
		require.Zero(t, h.Budget.Used())
		require.Zero(t, held())
	})
}
