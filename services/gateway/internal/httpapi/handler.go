// Package httpapi is Segment's HTTP API: it decodes a request, hands its body and
// its key to ingest, and encodes what came of it in the words that the unmodified
// client libraries understand. Its invariants: success is 200 with {"success":true}
// and nothing else, every other answer is JSON with code and message, and nothing is
// ever redirected. It decides nothing about events (intake) or durability (produce).
// Owned by the gateway.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"weir/services/gateway/internal/body"
	"weir/services/gateway/internal/caller"
	"weir/services/gateway/internal/cors"
	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

// Exchange is one answered request, for metrics and the access log.
type Exchange struct {
	Route     string // "" = no such path
	Method    string
	Status    int
	Reason    string // why it was refused: a closed set; "" = it was not
	Source    string // "" = unknown
	RequestID string
	Agent     string
	Bytes     int    // of the decompressed body
	Retry     string // X-Retry-Count as sent; "" = a first attempt
	Took      time.Duration
}

// Options of a Handler.
type Options struct {
	Ingester   *ingest.Ingester
	Hangar     *produce.Hangar
	Gate       *gate.Gate
	MaxBody    int // bytes, decompressed
	Trusted    []netip.Prefix
	PublicHost string        // host[:port] for the settings document; "" = left out
	RetryFor   time.Duration // what the settings document tells clients; 0 = nothing

	Log        *slog.Logger
	Propagator propagation.TextMapPropagator
	Tracer     trace.Tracer // nil = no spans of our own
	Observe    func(Exchange)
	Started    func() // a request begins; Observe ends it
}

// Handler serves the API.
type Handler struct {
	opts   Options
	bodies *body.Reader
}

// New makes a handler.
func New(o Options) *Handler { return &Handler{opts: o, bodies: body.New(o.MaxBody)} }

// exchange is one request on its way through.
type exchange struct {
	Exchange
	w     http.ResponseWriter
	r     *http.Request
	route route
	key   []byte // in the Authorization header; empty = body or query must name one
	start time.Time
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, start: time.Now(), route: match(r.URL.Path)}
	x.Route, x.Method = x.route.name, r.Method
	h.opts.Started()
	defer h.end(x)
	cors.Allow(w.Header(), r.Header["Origin"])
	if h.opts.Gate.State() == gate.Leaving {
		w.Header()["Connection"] = []string{"close"}
	}
	h.serve(x)
}

func (h *Handler) serve(x *exchange) {
	switch {
	case x.route.kind == noRoute:
		x.refuse(noPath)
	case x.r.Method == http.MethodOptions:
		x.Status = http.StatusNoContent
		cors.Preflight(x.w, x.r)
	case !x.allowed():
		x.w.Header()["Allow"] = []string{x.route.method() + ", OPTIONS"}
		x.refuse(noMethod)
	case x.route.kind == pixelRoute:
		h.servePixel(x)
	case h.opts.Gate.State() == gate.Starting:
		x.refuse(starting)
	case h.opts.Gate.State() == gate.Draining:
		x.refuse(draining)
	case x.route.kind == settingsRoute:
		h.serveSettings(x)
	case x.route.kind == metricsRoute:
		x.succeed(nil)
	default:
		h.servePost(x)
	}
}

func (x *exchange) allowed() bool {
	m := x.route.method()
	return x.r.Method == m || m == http.MethodGet && x.r.Method == http.MethodHead
}

// end answers a panic, and reports.
func (h *Handler) end(x *exchange) {
	if p := recover(); p != nil {
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		h.opts.Log.Error("a request met a defect", "panic", p, "route", x.Route, "request_id", x.RequestID, "stack", string(debug.Stack()))
		if x.route.kind == pixelRoute {
			x.note(internal)
			x.Status = http.StatusOK
			writePixel(x.w, x.r)
		} else {
			x.refuse(internal)
		}
	}
	x.Took = time.Since(x.start)
	h.opts.Observe(x.Exchange)
}

func (x *exchange) refuse(f fault) {
	x.note(f)
	x.Status = f.write(x.w, x.r)
}

// note keeps why the request was refused, for who looks on.
func (x *exchange) note(f fault) {
	if x.Reason = f.label(); f.source != "" {
		x.Source = f.source
	}
}

func (x *exchange) succeed(list []intake.Rejection) {
	x.Status = http.StatusOK
	writeSuccess(x.w, list)
}

func (h *Handler) serveSettings(x *exchange) {
	s, err := h.opts.Ingester.Authorize([]byte(x.route.writeKey), caller.Origin(x.r))
	var refusal *ingest.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Kind == ingest.Foreign:
		x.refuse(faultOf(err))
		return
	case err != nil:
		x.refuse(noKey)
		return
	}
	x.Source, x.Status = s.ID, http.StatusOK
	apiHost := ""
	if h.opts.PublicHost != "" {
		apiHost = h.opts.PublicHost + "/v1"
	}
	writeSettings(x.w, x.r, x.route.writeKey, apiHost, retryFor(h.opts.RetryFor))
}

func (h *Handler) servePost(x *exchange) {
	x.RequestID = ingest.NewRequestID(x.start)
	x.Agent, x.Retry = x.r.UserAgent(), x.r.Header.Get("X-Retry-Count")
	x.w.Header()["X-Request-Id"] = []string{x.RequestID}
	if err := h.identify(x); err != nil {
		x.refuse(faultOf(err))
		return
	}
	if x.r.ContentLength > int64(h.opts.MaxBody) {
		x.refuse(tooLarge)
		return
	}
	f, ok := h.opts.Hangar.Begin(x.Source, body.Room(x.r.ContentLength))
	if !ok {
		x.refuse(overloaded)
		return
	}
	defer f.Release()
	if err := h.post(x, f); err != nil {
		x.refuse(faultOf(err))
		return
	}
	x.succeed(f.Intake.Rejected)
}

func (h *Handler) post(x *exchange, f *produce.Flight) error {
	err := h.bodies.Fill(f, x.r)
	x.Bytes = len(f.Body)
	if err != nil {
		return err
	}
	return h.store(x, f, caller.QueryKey(x.r.URL.RawQuery))
}

// store looks the header's key up anew: while the body came, it may have been taken away, and other limits and rules may
// have come to hold.
func (h *Handler) store(x *exchange, f *produce.Flight, queryKey string) error {
	s, err := h.sourceOf(x)
	if err != nil {
		return err
	}
	ctx, span := h.span(x)
	defer span.End()
	err = h.opts.Ingester.Ingest(f, ingest.Request{
		Route: intakeRoute(x.route), Source: s, QueryKey: queryKey, Origin: caller.Origin(x.r),
		ClientIP: caller.Address(x.r, h.opts.Trusted), ID: x.RequestID, ReceivedAt: time.Now(),
		TraceParent: caller.TraceParent(ctx),
	})
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// identify finds the key in the Authorization header, and whether its source may send now, before the body is read.
func (h *Handler) identify(x *exchange) error {
	authorization := x.r.Header["Authorization"]
	if len(authorization) == 0 {
		return nil
	}
	x.key = caller.BasicKey(authorization[0])
	s, err := h.sourceOf(x)
	if s == nil || err != nil {
		return err
	}
	return h.opts.Ingester.Admit(s)
}

// sourceOf finds the source of the key in the header; nil where there is none.
func (h *Handler) sourceOf(x *exchange) (*source.Source, error) {
	if len(x.key) == 0 {
		return nil, nil
	}
	s, err := h.opts.Ingester.Authorize(x.key, caller.Origin(x.r))
	if err == nil {
		x.Source = s.ID
	}
	return s, err
}

// span starts the request's span where traces are exported, as a child of the
// client's; it passes the client's on where they are not.
func (h *Handler) span(x *exchange) (context.Context, trace.Span) {
	ctx := x.r.Context()
	if x.r.Header["Traceparent"] != nil {
		ctx = h.opts.Propagator.Extract(ctx, propagation.HeaderCarrier(x.r.Header))
	}
	if h.opts.Tracer == nil {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return h.opts.Tracer.Start(ctx, x.Method+" "+x.Route, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.start),
		trace.WithAttributes(attribute.String("http.request.method", x.Method), attribute.String("http.route", x.Route),
			attribute.String("weir.request_id", x.RequestID), attribute.String("weir.source", x.Source)))
}

func intakeRoute(r route) intake.Route {
	if r.kind == batchRoute {
		return intake.Batch
	}
	switch r.typ {
	case "track":
		return intake.Track
	case "identify":
		return intake.Identify
	case "page":
		return intake.Page
	case "screen":
		return intake.Screen
	case "group":
		return intake.Group
	}
	return intake.Alias
}
