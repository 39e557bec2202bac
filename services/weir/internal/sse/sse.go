// Package sse reads server-sent events, as far as weir's own streams use them. Its invariant: whatever is sent, it holds no
// more than one event of a bounded size. It neither connects nor tries again; the command that reads does. Owned by whoever
// owns the binary.
package sse

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine is the longest line that is read.
const maxLine = 1 << 20

// ErrTooLong means that the other side sends no stream of events.
var ErrTooLong = errors.New("longer than an event of a stream may be")

// Event is one event.
type Event struct {
	ID   string // "" = it has none
	Name string // "" = message
	Data string // lines are joined by line breaks
}

// Reader reads one stream.
type Reader struct{ lines *bufio.Scanner }

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	return &Reader{lines}
}

// Next is the next event that has data; io.EOF at the end of the stream. What the end cuts short is no event.
func (r *Reader) Next() (e Event, err error) {
	var data []string
	size := 0
	for r.lines.Scan() {
		line := r.lines.Text()
		if line == "" {
			if len(data) > 0 {
				e.Data = strings.Join(data, "\n")
				return e, nil
			}
			e = Event{}
			continue
		}
		if size += len(line); size > maxLine {
			return Event{}, ErrTooLong
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			data = append(data, value)
		}
	}
	if errors.Is(r.lines.Err(), bufio.ErrTooLong) {
		return Event{}, ErrTooLong
	}
	if r.lines.Err() != nil {
		return Event{}, fmt.Errorf("read a stream of events: %w", r.lines.Err())
	}
	return Event{}, io.EOF
}
