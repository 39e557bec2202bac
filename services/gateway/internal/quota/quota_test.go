package quota

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func at(d time.Duration) time.Time { return time.Unix(1_800_000_000, 0).Add(d) }

func TestTake(t *testing.T) {
	l := Limits{EventsPerSecond: 10, BytesPerSecond: 1000, Burst: 2 * time.Second}
	type step struct {
		at            time.Duration
		events, bytes int
		wait          time.Duration
	}
	for name, steps := range map[string][]step{
		"a burst, then the rate": {
			{0, 15, 10, 0},
			{0, 5, 10, 0},
			{0, 1, 10, 100 * time.Millisecond},
			{100 * time.Millisecond, 1, 10, 0},
			{100 * time.Millisecond, 1, 10, 100 * time.Millisecond},
		},
		"bytes count too": {
			{0, 1, 2000, 0}, {0, 1, 1, time.Millisecond}, {time.Second, 1, 999, 0}, {time.Second, 1, 1, 0}, {time.Second, 1, 1, time.Millisecond},
		},
		"a large request is a debt": {
			{0, 120, 0, 0},
			{0, 1, 0, 10*time.Second + 100*time.Millisecond},
			{5 * time.Second, 1, 0, 5*time.Second + 100*time.Millisecond},
			{10*time.Second + 100*time.Millisecond, 1, 0, 0},
		},
		"quiet time counts up to the burst": {
			{0, 20, 0, 0}, {time.Hour, 20, 0, 0}, {time.Hour, 1, 0, 100 * time.Millisecond},
		},
		"a clock that goes back gives nothing": {
			{time.Minute, 20, 0, 0}, {0, 1, 0, 100 * time.Millisecond}, {time.Minute, 1, 0, 100 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m Meter
			for i, s := range steps {
				got := m.Take(at(s.at), l, s.events, s.bytes)
				require.InDelta(t, s.wait, got, float64(time.Microsecond), "step %d", i)
			}
		})
	}
}

func TestGive(t *testing.T) {
	l := Limits{EventsPerSecond: 10, Burst: time.Second}
	var m Meter
	require.Zero(t, m.Take(at(0), l, 10, 7))
	require.Positive(t, m.Wait(at(0), l))
	m.Give(10, 7)
	require.Zero(t, m.Take(at(0), l, 10, 7))
	require.Positive(t, m.Wait(at(0), l))
}

// Limits are edited while the source sends.
func TestLimitsChange(t *testing.T) {
	var m Meter
	slow := Limits{EventsPerSecond: 1, Burst: time.Second}
	require.Zero(t, m.Take(at(0), slow, 100, 0))
	require.Positive(t, m.Wait(at(time.Second), slow))
	require.Less(t, m.Wait(at(time.Second), Limits{EventsPerSecond: 1000, Burst: time.Second}), time.Second)
	require.Zero(t, m.Wait(at(time.Second), Limits{}), "no limit, no debt")
	require.Zero(t, m.Wait(at(time.Second), slow))
	require.True(t, Limits{Burst: time.Hour}.None())
}

// However a source sends: what it gets through is its rate, its burst and its last request.
func TestRateIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{EventsPerSecond: rapid.Float64Range(1, 1000).Draw(t, "rate"), Burst: time.Duration(rapid.IntRange(1, 20).Draw(t, "burst")) * time.Second}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var m Meter
		var now time.Duration
		taken, last := 0, 0
		for range 500 {
			now += time.Duration(rng.Int64N(int64(200 * time.Millisecond)))
			n := 1 + rng.IntN(300)
			if wait := m.Take(at(now), l, n, 0); wait == 0 {
				taken, last = taken+n, n
			} else {
				later := m
				require.Zero(t, later.Wait(at(now+wait+time.Millisecond), l), "who waits as told is let in")
			}
			require.LessOrEqual(t, float64(taken), l.EventsPerSecond*(now+l.Burst).Seconds()+float64(last))
		}
	})
}
