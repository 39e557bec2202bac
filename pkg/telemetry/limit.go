package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxReasons bounds a Limiter's memory; reasons beyond it share one budget.
const maxReasons = 256

// Limiter logs at most one line per second and reason, so that a flood of bad
// input or a server that is down does not become a flood of lines. The next line
// that passes says how many were suppressed. Counting is the metrics' work.
type Limiter struct {
	log     *slog.Logger
	mu      sync.Mutex
	budgets map[string]*lineBudget
}

type lineBudget struct {
	next       time.Time
	suppressed int
}

// NewLimiter limits lines that go to log.
func NewLimiter(log *slog.Logger) *Limiter {
	return &Limiter{log: log, budgets: make(map[string]*lineBudget)}
}

// Log writes the line unless one of the same reason was written within a second.
func (l *Limiter) Log(ctx context.Context, level slog.Level, reason, msg string, args ...any) {
	if !l.log.Enabled(ctx, level) {
		return
	}
	suppressed, ok := l.admit(reason)
	if !ok {
		return
	}
	args = append(args, "reason", reason)
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	l.log.Log(ctx, level, msg, args...)
}

// Warn is Log at its level.
func (l *Limiter) Warn(ctx context.Context, reason, msg string, args ...any) {
	l.Log(ctx, slog.LevelWarn, reason, msg, args...)
}

// Error is Log at its level.
func (l *Limiter) Error(ctx context.Context, reason, msg string, args ...any) {
	l.Log(ctx, slog.LevelError, reason, msg, args...)
}

func (l *Limiter) admit(reason string) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.budget(reason)
	now := time.Now()
	if now.Before(b.next) {
		b.suppressed++
		return 0, false
	}
	suppressed, b.suppressed = b.suppressed, 0
	b.next = now.Add(time.Second)
	return suppressed, true
}

func (l *Limiter) budget(reason string) *lineBudget {
	if b := l.budgets[reason]; b != nil {
		return b
	}
	if len(l.budgets) >= maxReasons {
		reason = "other"
	}
	b := l.budgets[reason]
	if b == nil {
		b = &lineBudget{}
		l.budgets[reason] = b
	}
	return b
}

// ClientLog is Log as a library that speaks to a server gets it: only its warnings and errors, each message at most
// once a second, because a server that is away is reported at every attempt. At log level debug it is Log itself.
func (t *Telemetry) ClientLog() *slog.Logger {
	h := t.Log.Handler()
	if h.Enabled(context.Background(), slog.LevelDebug) {
		return t.Log
	}
	return slog.New(limitedHandler{Handler: h, limiter: NewLimiter(t.Log)})
}

// limitedHandler limits lines by their message: those of a library are constants.
type limitedHandler struct {
	slog.Handler
	limiter *Limiter // shared by all that derive from one another
}

func (h limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	suppressed, ok := h.limiter.admit(r.Message)
	if !ok {
		return nil
	}
	if suppressed > 0 {
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return h.Handler.Handle(ctx, r)
}

func (h limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limitedHandler{h.Handler.WithAttrs(attrs), h.limiter}
}

func (h limitedHandler) WithGroup(name string) slog.Handler {
	return limitedHandler{h.Handler.WithGroup(name), h.limiter}
}
