package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// CheckLogLevel lets a Config refuse a level that Start would refuse.
func CheckLogLevel(level string) error {
	_, err := parseLevel(level)
	return err
}

// CheckLogFormat does the same for the format.
func CheckLogFormat(format string) error {
	switch format {
	case "", "json", "text":
		return nil
	}
	return fmt.Errorf("%q is no log format: want json or text", format)
}

func parseLevel(level string) (slog.Level, error) {
	switch level {
	case "debug":
		return slog.LevelDebug, nil
	case "", "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%q is no log level: want debug, info, warn or error", level)
}

// newHandler writes lines of the wanted level in the wanted form.
func newHandler(o Options) (slog.Handler, error) {
	level, err := parseLevel(o.LogLevel)
	if err != nil {
		return nil, err
	}
	if err := CheckLogFormat(o.LogFormat); err != nil {
		return nil, err
	}
	out := o.Output
	if out == nil {
		out = os.Stderr
	}
	opts := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "text" {
		return traceHandler{slog.NewTextHandler(out, opts)}, nil
	}
	return traceHandler{slog.NewJSONHandler(out, opts)}, nil
}

// exportedToo sends the lines that local writes to remote as well, and no others.
func exportedToo(local, remote slog.Handler) slog.Handler {
	return slog.NewMultiHandler(local, gated{Handler: remote, gate: local})
}

type gated struct {
	slog.Handler
	gate slog.Handler
}

func (g gated) Enabled(ctx context.Context, level slog.Level) bool {
	return g.gate.Enabled(ctx, level) && g.Handler.Enabled(ctx, level)
}

func (g gated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gated{g.Handler.WithAttrs(attrs), g.gate}
}

func (g gated) WithGroup(name string) slog.Handler { return gated{g.Handler.WithGroup(name), g.gate} }

// traceHandler adds the span that a line was logged under.
type traceHandler struct{ slog.Handler }

func (h traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h traceHandler) WithGroup(name string) slog.Handler {
	return traceHandler{h.Handler.WithGroup(name)}
}

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
