package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// traceLines bounds the trace of one run: what is older is dropped.
const traceLines = 20_000

// trace is what happened, in the order in which it was heard of, by virtual time.
type trace struct {
	began time.Time

	mu      sync.Mutex
	lines   []string
	dropped int
}

func (t *trace) add(who, format string, args ...any) {
	line := fmt.Sprintf("%10.3fs %-12s %s", time.Since(t.began).Seconds(), who, fmt.Sprintf(format, args...))
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == traceLines {
		t.dropped += traceLines / 2
		t.lines = append(t.lines[:0], t.lines[traceLines/2:]...)
	}
	t.lines = append(t.lines, line)
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	if t.dropped > 0 {
		fmt.Fprintf(&b, "… %d earlier lines\n", t.dropped)
	}
	for _, l := range t.lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.String()
}

// logger puts a process's log into the trace, from level on.
func (t *trace) logger(who string, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(traceWriter{t, who}, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type traceWriter struct {
	trace *trace
	who   string
}

func (w traceWriter) Write(p []byte) (int, error) {
	w.trace.add(w.who, "log %s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
