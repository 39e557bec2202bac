package settings

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bound of the heap is the runtime's, and what the process may use stays what it was.
func TestBoundHeap(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	percent := debug.SetGCPercent(100)
	defer func() { debug.SetMemoryLimit(before); debug.SetGCPercent(percent); bounded.Store(0) }()
	limit := MemoryLimit()
	t.Setenv("GOMEMLIMIT", "1GiB")
	BoundHeap()
	require.Equal(t, before, debug.SetMemoryLimit(-1), "whoever set it knows better")
	t.Setenv("GOMEMLIMIT", "")
	BoundHeap()
	require.InDelta(t, 0.9*float64(limit), debug.SetMemoryLimit(-1), 100)
	require.Equal(t, limit, MemoryLimit())

	t.Setenv("GOGC", "")
	CollectAt(30)
	require.Equal(t, 30, debug.SetGCPercent(100))
	t.Setenv("GOGC", "200")
	CollectAt(30)
	require.Equal(t, 100, debug.SetGCPercent(100))
}
