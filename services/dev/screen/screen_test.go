package screen

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTerminal(t *testing.T) {
	var b strings.Builder
	s := New(&b, true)
	s.Progress("sent %d", 10)
	s.Progress("sent 9")
	s.Line("all")
	s.Done()
	require.Equal(t, "\rsent 10\rsent 9 \nall\n", b.String())
}

func TestElsewhere(t *testing.T) {
	var b strings.Builder
	s := New(&b, false)
	clock := s.last
	s.now = func() time.Time { return clock }
	for range 25 {
		clock = clock.Add(time.Second)
		s.Progress("at %d s", int(clock.Sub(s.last).Seconds()))
	}
	s.Line("all")
	require.Equal(t, "at 10 s\nat 10 s\nall\n", b.String())
}
