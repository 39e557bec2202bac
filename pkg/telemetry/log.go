package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"

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
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return inUnits(a) }}
	if o.LogFormat == "text" {
		return traceHandler{slog.NewTextHandler(out, opts)}, nil
	}
	return traceHandler{slog.NewJSONHandler(out, opts)}, nil
}

// inUnits writes a duration as Go does, 1.5s: JSON and OpenTelemetry have no durations, and their nanoseconds would be
// a number whose unit nobody can see.
func inUnits(a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
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

func (g gated) Handle(ctx context.Context, r slog.Record) error {
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		plain.AddAttrs(inUnits(a))
		return true
	})
	return g.Handler.Handle(ctx, plain)
}

func (g gated) WithAttrs(attrs []slog.Attr) slog.Handler {
	plain := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		plain[i] = inUnits(a)
	}
	return gated{g.Handler.WithAttrs(plain), g.gate}
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
