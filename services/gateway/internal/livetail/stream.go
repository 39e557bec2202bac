package livetail

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// stream writes server-sent events to one watcher.
type stream struct {
	rw      http.ResponseWriter
	control *http.ResponseController
	run     string
	over    int64  // not told yet
	missed  uint64 // not told yet
	buf     []byte
}

func (s *stream) open() {
	h := s.rw.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy would keep lines back
	h.Set("X-Content-Type-Options", "nosniff")
	s.buf = append(s.buf, "retry: 1000\n\n"...)
	_ = s.flush() // who is gone is noticed by its context
}

// write writes entries at once. How many were left out is told where some are missed, else with the next beat.
func (s *stream) write(n news, beat bool) error {
	s.over += n.passedOver
	s.missed += n.missed
	switch {
	case s.missed > 0 || beat && s.over > 0:
		s.status()
	case beat:
		s.buf = append(s.buf, ": beat\n\n"...)
	}
	for i := range n.entries {
		e := &n.entries[i]
		s.buf = append(append(s.buf, "id: "...), s.run...)
		s.buf = strconv.AppendUint(append(s.buf, '-'), e.Seq, 10)
		s.buf = append(append(append(s.buf, "\ndata: "...), e.Line...), "\n\n"...)
	}
	return s.flush()
}

func (s *stream) last(n news) {
	if s.write(n, true) == nil {
		s.buf = append(s.buf, "event: end\ndata: {\"reason\":\"the gateway drains\"}\n\n"...)
		_ = s.flush()
	}
}

func (s *stream) status() {
	s.buf = append(s.buf, "event: status\ndata: {\"missed\":"...)
	s.buf = strconv.AppendUint(s.buf, s.missed, 10)
	s.buf = strconv.AppendInt(append(s.buf, ",\"passedOver\":"...), s.over, 10)
	s.buf = append(s.buf, "}\n\n"...)
	s.over, s.missed = 0, 0
}

func (s *stream) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(slowness)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.rw.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		return err
	}
	return s.control.Flush()
}
