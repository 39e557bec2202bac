// Package rpcapi is the gateway for programs that speak Connect, gRPC or gRPC-Web: it decodes a message, hands its
// events and its key to ingest, and encodes what came of it. Its invariants: a message is answered only once its events
// are durable, those of one stream in the order in which they came; what a call holds while it waits is charged to the
// budget; an error that may pass by itself says when to come again. It decides nothing about events (intake) or
// durability (produce), and the protocols themselves are connect-go's. Owned by the gateway.
package rpcapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"github.com/klauspost/compress/gzip"
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

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// Options of a Handler.
type Options struct {
	Ingester  *ingest.Ingester
	Hangar    *produce.Hangar
	Gate      *gate.Gate
	MaxBody   int // bytes of a message, decompressed
	MaxEvents int // of a message; what is far beyond is not even noted
	Trusted   []netip.Prefix
	Serving   func() bool            // what the health check says
	Replaced  func() <-chan struct{} // closed once others take the place of the sources in force: open streams look again

	Log        *slog.Logger
	Propagator propagation.TextMapPropagator
	Tracer     trace.Tracer // nil = no spans of our own
	Observe    func(Call)
	Started    func() // a call begins; Observe ends it
}

// Handler serves the procedures.
type Handler struct {
	opts    Options
	bodies  *body.Reader
	buffers buffers
	errors  *connect.ErrorWriter
	unary   *connect.Handler
	stream  *connect.Handler
	health  http.Handler
}

// New makes a handler.
func New(o Options) *Handler {
	h := &Handler{opts: o, bodies: body.New(o.MaxBody)}
	options := h.options()
	h.errors = connect.NewErrorWriter(options...)
	h.unary = connect.NewUnaryHandler(ingestv1connect.IngestServiceIngestProcedure, h.ingest, options...)
	h.stream = connect.NewBidiStreamHandler(ingestv1connect.IngestServiceIngestStreamProcedure, h.ingestStream, options...)
	_, h.health = grpchealth.NewHandler(checker{o.Serving}, connect.WithReadMaxBytes(maxCheck), connect.WithCompression("gzip", nil, nil))
	return h
}

// maxCheck is the longest message of a health check, in bytes: it has the name of a service. Packed it may not be, since
// what a decompressor holds is charged to nobody there.
const maxCheck = 4 << 10

func (h *Handler) options() []connect.HandlerOption {
	decoding := decoding{most: 4 * h.opts.MaxEvents, buffers: &h.buffers} // more are refused by intake, whatever they are
	decompressor := func() connect.Decompressor {
		return &unzip{charge: charge{share: h.opts.Hangar.Budget.Of(""), limit: int64(h.opts.MaxBody)}}
	}
	return []connect.HandlerOption{
		connect.WithCodec(binary{decoding}),
		connect.WithCodec(text{"json", decoding}),
		connect.WithCodec(text{"json; charset=utf-8", decoding}),
		connect.WithCompression("gzip", decompressor, func() connect.Compressor { return gzip.NewWriter(nil) }),
		connect.WithCompressMinBytes(1 << 10),
	}
}

const (
	service = "/" + ingestv1connect.IngestServiceName + "/"
	health  = "/" + grpchealth.HealthV1ServiceName + "/"
)

// Serves says whether a path is one of a procedure.
func Serves(path string) bool {
	return strings.HasPrefix(path, service) || strings.HasPrefix(path, health)
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == health+"Check" || r.URL.Path == health+"Watch" { // the library would redirect what is like them
		h.serveHealth(w, r)
		return
	}
	c := &call{w: w, r: r, start: time.Now()}
	c.Protocol, c.Agent, c.RequestID = protocolOf(r), r.UserAgent(), ingest.NewRequestID(c.start)
	h.opts.Started()
	defer h.end(c)
	cors.AllowRPC(w.Header(), r.Header["Origin"])
	w.Header()["X-Request-Id"] = []string{c.RequestID}
	if r.Method == http.MethodOptions {
		c.settle(nil)
		cors.Preflight(w, r)
		return
	}
	h.serve(c)
}

func (h *Handler) serve(c *call) {
	procedure := strings.TrimPrefix(c.r.URL.Path, service)
	if procedure != "Ingest" && procedure != "IngestStream" {
		h.refuse(c, fault{code: connect.CodeUnimplemented, name: "not_found", message: "there is no such procedure"})
		return
	}
	c.Method = service[1:] + procedure
	switch h.opts.Gate.State() {
	case gate.Starting:
		h.refuse(c, starting)
		return
	case gate.Draining:
		c.w.Header()["Connection"] = []string{"close"}
		h.refuse(c, draining)
		return
	case gate.Leaving:
		c.w.Header()["Connection"] = []string{"close"} // HTTP/2 says it by a frame
	}
	if err := h.identify(c); err != nil {
		h.refuse(c, faultOf(err))
		return
	}
	if procedure == "Ingest" {
		h.serveUnary(c)
	} else {
		h.serveStream(c)
	}
}

// serveHealth answers a health check, which is no call of the service: nothing counts it.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			c := &call{Call: Call{Method: r.URL.Path[1:]}, w: w, r: r}
			h.refuse(c, h.defect(c, p))
		}
	}()
	h.health.ServeHTTP(w, r)
}

// identify finds the key in the header, and whether its source may send now, before anything is read.
func (h *Handler) identify(c *call) error {
	c.origin = caller.Origin(c.r)
	authorization := c.r.Header["Authorization"]
	if len(authorization) == 0 {
		return nil
	}
	if c.key = caller.AnyKey(authorization[0]); len(c.key) == 0 {
		return nil
	}
	s, err := h.opts.Ingester.Authorize(c.key, c.origin)
	if err != nil {
		return err
	}
	c.Source = s.ID
	return h.opts.Ingester.Admit(s)
}

// refuse answers a call that the library has not seen.
func (h *Handler) refuse(c *call, f fault) {
	_ = h.errors.Write(c.w, c.r, c.fail(f)) // whoever hung up needs no answer
}

// end answers a defect, and reports.
func (h *Handler) end(c *call) {
	if p := recover(); p != nil {
		h.refuse(c, h.defect(c, p))
	}
	if !c.settled { // the library has answered by itself: a message or a header that is none of the protocol's
		c.Code, c.Reason = "unknown", "protocol"
	}
	c.Took = time.Since(c.start)
	h.opts.Observe(c.Call)
}

func (h *Handler) defect(c *call, p any) fault {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	h.opts.Log.Error("a call met a defect", "panic", p, "method", c.Method, "request_id", c.RequestID, "stack", string(debug.Stack()))
	return internal
}

// serveUnary reads the whole body under the budget before the library sees it, so that nothing that waits for a client
// holds more than it was charged.
func (h *Handler) serveUnary(c *call) {
	if c.r.ContentLength > int64(h.opts.MaxBody) {
		h.refuse(c, tooLarge)
		return
	}
	f, ok := h.opts.Hangar.Begin(c.Source, body.Room(c.r.ContentLength))
	if !ok {
		h.refuse(c, overloaded)
		return
	}
	defer f.Release()
	if err := h.read(f, c); err != nil {
		h.refuse(c, faultOf(err))
		return
	}
	c.flight = f
	ctx, end := h.span(c)
	defer end()
	r := c.r.WithContext(context.WithValue(ctx, callKey{}, c))
	r.Body = io.NopCloser(bytes.NewReader(f.Body))
	h.unary.ServeHTTP(c.w, r)
}

// read reads the body. Connect's is encoded as HTTP's bodies are; that of the others has a frame, which the library reads.
func (h *Handler) read(f *produce.Flight, c *call) error {
	if c.Protocol != connect.ProtocolConnect {
		return h.bodies.FillRaw(f, c.r)
	}
	err := h.bodies.Fill(f, c.r)
	c.r.Header.Del("Content-Encoding") // it has none any more
	return err
}

// ingest is the unary procedure.
func (h *Handler) ingest(ctx context.Context, r *connect.Request[request]) (*connect.Response[ingestv1.IngestResponse], error) {
	c := callOf(ctx)
	if err := h.store(c, r.Msg); err != nil {
		return nil, c.fail(faultOf(err))
	}
	c.settle(nil)
	c.Messages = 1
	return connect.NewResponse(responseOf(c.flight.Intake.Rejected)), nil
}

func (h *Handler) store(c *call, m *request) error {
	r, err := h.requestOf(c, m, c.RequestID)
	if err != nil {
		return err
	}
	err = c.flight.Replace(len(m.body), func(into, _ []byte) []byte { return append(into, m.body...) })
	h.buffers.put(m) // none is held while Kafka is waited for
	if err != nil {
		return err
	}
	return h.opts.Ingester.Ingest(c.flight, r)
}

func (h *Handler) requestOf(c *call, m *request, id string) (ingest.Request, error) {
	s, err := h.sourceOf(c, m)
	if err != nil {
		return ingest.Request{}, err
	}
	return ingest.Request{
		Route: intake.List, Ends: m.ends, Source: s, Origin: c.origin, ID: id, ReceivedAt: time.Now(),
		ClientIP: caller.Address(c.r, h.opts.Trusted), TraceParent: c.trace,
	}, nil
}

// sourceOf finds the source of the key in the header, else in the message; nil where the events must name one. It looks
// for each message anew: while a stream is open its key may be taken away, and other limits and rules may come to hold.
func (h *Handler) sourceOf(c *call, m *request) (*source.Source, error) {
	key := c.key
	if len(key) == 0 {
		key = []byte(m.key)
	}
	if len(key) == 0 {
		return nil, nil
	}
	s, err := h.opts.Ingester.Authorize(key, c.origin)
	if err == nil {
		c.Source = s.ID
	}
	return s, err
}
