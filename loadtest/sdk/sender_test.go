//go:build e2e

package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command is one call of a library.
type command struct {
	N    int    `json:"n"`
	Call string `json:"call"`
	Pad  int    `json:"pad"` // bytes that a track event is made longer by
	ID   string `json:"id"`  // the messageId of a track event; "" = the library makes one
}

// sender is a library that sends what it is told.
type sender struct {
	library
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  bytes.Buffer // on stderr
	read  chan struct{}
	sent  []int

	mu   sync.Mutex
	told map[int][]string // what the library said of each event
}

// start runs a library against a gateway; it is ended with the test.
func (l library) start(t *testing.T, url, key string, env ...string) *sender {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	s := &sender{library: l, read: make(chan struct{}), told: map[int][]string{}}
	s.cmd = exec.CommandContext(ctx, l.command[0], append(l.command[1:len(l.command):len(l.command)], url, key)...)
	s.cmd.Env = append(append(os.Environ(), l.env...), env...)
	s.cmd.Stderr = &s.said
	var err error
	s.stdin, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	go s.listen(stdout)
	return s
}

func (s *sender) listen(stdout io.Reader) {
	defer close(s.read)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var said struct {
			N     int
			State string
		}
		if json.Unmarshal(lines.Bytes(), &said) != nil {
			said.State = lines.Text() // the verdict knows no such state
		}
		s.mu.Lock()
		s.told[said.N] = append(s.told[said.N], said.State)
		s.mu.Unlock()
	}
}

// send gives the library events, which end a round. One that is gone is found by end.
func (s *sender) send(commands ...command) {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for _, c := range commands {
		s.sent = append(s.sent, c.N)
		_ = lines.Encode(c)
	}
	text.WriteByte('\n')
	_, _ = s.stdin.Write(text.Bytes())
}

// settled is nil once the library has said of each event what became of it.
func (s *sender) settled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) < len(s.sent) {
		return fmt.Errorf("%s has told of %d of %d events", s.name, len(s.told), len(s.sent))
	}
	return nil
}

// end lets the library finish, and returns what it said of each event.
func (s *sender) end(t *testing.T) map[int][]string {
	t.Helper()
	require.NoError(t, s.stdin.Close())
	<-s.read
	require.NoError(t, s.cmd.Wait(), "%s", s.said.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.told)
}
