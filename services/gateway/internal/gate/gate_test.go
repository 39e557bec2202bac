package gate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAGateGoesOneWay(t *testing.T) {
	g := New()
	require.Equal(t, Starting, g.State())
	g.Open()
	require.Equal(t, Open, g.State())
	g.Leave()
	g.Open() // what was waited for came too late
	require.Equal(t, Leaving, g.State())
	select {
	case <-g.Drained():
		t.Fatal("it does not drain yet")
	default:
	}
	g.Drain()
	g.Drain()
	require.Equal(t, Draining, g.State())
	<-g.Drained()
}

func TestAGateThatNeverOpened(t *testing.T) {
	g := New()
	g.Drain()
	g.Open()
	require.Equal(t, Draining, g.State())
}
