// Package screen shows what long work is doing: on a terminal one line that
// changes, elsewhere a line every ten seconds. What was shown is never needed
// later, so writing errors are dropped. It holds no results (rows prints those)
// and no logs (telemetry does). Owned by whoever owns the commands' output; one
// goroutine uses a Screen.
package screen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// quietFor is how long long work may stay silent where nobody watches.
const quietFor = 10 * time.Second

// Screen is one place to show things.
type Screen struct {
	out      io.Writer
	terminal bool
	changing string // the line that changes, as it stands
	last     time.Time
	now      func() time.Time
}

// New shows on out; terminal says that somebody watches it. The first ten seconds
// of work pass without a line elsewhere.
func New(out io.Writer, terminal bool) *Screen {
	return &Screen{out: out, terminal: terminal, last: time.Now(), now: time.Now}
}

// Write passes finished text on, as Line does.
func (s *Screen) Write(text []byte) (int, error) {
	s.Done()
	return s.out.Write(text)
}

// Line shows a line that stays.
func (s *Screen) Line(format string, args ...any) {
	s.Done()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// Progress shows how far the work is.
func (s *Screen) Progress(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.terminal {
		fmt.Fprint(s.out, "\r"+text+strings.Repeat(" ", max(0, len(s.changing)-len(text))))
		s.changing = text
		return
	}
	if now := s.now(); now.Sub(s.last) >= quietFor {
		fmt.Fprintln(s.out, text)
		s.last = now
	}
}

// Done ends the line that changes.
func (s *Screen) Done() {
	if s.changing != "" {
		fmt.Fprintln(s.out)
		s.changing = ""
	}
}
