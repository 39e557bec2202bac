package group

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Simulation, seed 18: a member was refused once, lost its connections, and stood still for 16 s.
func TestAbsence(t *testing.T) {
	var a absence
	at := time.Unix(0, 0)
	for _, c := range []struct{ pause, want time.Duration }{
		{0, 0},
		{2 * time.Second, 2 * time.Second},
		{7 * time.Second, 9 * time.Second},
		{20 * time.Second, 16 * time.Second},
		{time.Second, 17 * time.Second},
	} {
		at = at.Add(c.pause)
		require.Equal(t, c.want, a.refused(at, 7*time.Second))
	}
	a = absence{}
	require.Zero(t, a.refused(at.Add(time.Second), 7*time.Second), "it was a member meanwhile")
}
