package rpcapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"weir/services/gateway/internal/caller"
	"weir/services/gateway/internal/produce"
)

// Call is one call that has ended, for metrics and the access log.
type Call struct {
	Method    string // "" = no such procedure
	Protocol  string // connect, grpc, grpcweb
	Code      string // ok, or a code of Connect
	Reason    string // why it failed: a closed set; "" = it did not
	Source    string // "" = unknown
	RequestID string
	Agent     string
	Messages  int // answered
	Took      time.Duration
}

// call is one call on its way through.
type call struct {
	Call
	w       http.ResponseWriter
	r       *http.Request
	start   time.Time
	key     []byte          // in a header; empty = the message must name one
	origin  string          // of the page that a browser sends from; "" = no browser says one
	flight  *produce.Flight // of a unary call
	meter   *meter          // of a stream
	trace   string
	settled bool // the call has its code
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// settle notes how the call ended.
func (c *call) settle(f *fault) {
	c.settled, c.Code = true, "ok"
	if f != nil {
		c.Code, c.Reason = f.code.String(), f.label()
		if f.source != "" {
			c.Source = f.source
		}
	}
}

func (c *call) fail(f fault) *connect.Error {
	c.settle(&f)
	return f.err()
}

// span starts the call's span where traces are exported, as a child of the client's; it passes the client's on where
// they are not.
func (h *Handler) span(c *call) (context.Context, func()) {
	ctx, end := c.r.Context(), func() {}
	if c.r.Header["Traceparent"] != nil {
		ctx = h.opts.Propagator.Extract(ctx, propagation.HeaderCarrier(c.r.Header))
	}
	if h.opts.Tracer != nil {
		var span trace.Span
		ctx, span = h.opts.Tracer.Start(ctx, c.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(c.start),
			trace.WithAttributes(attribute.String("rpc.method", c.Method), attribute.String("weir.request_id", c.RequestID)))
		end = func() { span.End() }
	}
	c.trace = caller.TraceParent(ctx)
	return ctx, end
}

func protocolOf(r *http.Request) string {
	switch contentType := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return connect.ProtocolGRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return connect.ProtocolGRPC
	}
	return connect.ProtocolConnect
}
