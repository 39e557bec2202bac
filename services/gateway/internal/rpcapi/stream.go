package rpcapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/semaphore"

	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"

	ingestv1 "weir/proto/weir/ingest/v1"
)

// What one stream may hold, and how long it may be still.
const (
	window     = 256             // messages that are not answered; one more waits in the reader's hand
	windowSize = 2               // messages of the largest size whose bytes may be unanswered together
	silence    = 5 * time.Minute // without a message
	slowness   = 30 * time.Second
)

// pending is a message whose outcome is awaited.
type pending struct {
	number  uint64
	flight  *produce.Flight
	started ingest.Started
	weight  int64 // in the stream's bytes
}

// stream is one IngestStream. Its reader decodes messages and hands their records to Kafka's client, or to the spill, in
// their order, which its Order keeps between the two; the call's own goroutine waits for them in the same order, and answers.
type stream struct {
	h     *Handler
	c     *call
	conn  connect.StreamingHandlerConn
	bytes *semaphore.Weighted // of unanswered messages
	size  int64               // of bytes
	order produce.Order

	inside chan pending // handed over, not answered
	why    *fault       // why the reader ended; nil = the client has sent all. Read once inside is closed
	failed bool         // neither Kafka nor the spill took a message
	line   line

	ousted atomic.Pointer[fault] // the stream's key is not good any more; nil = it is
}

// serveStream lifts the bounds that the server has for one request, in whose place the stream has its own.
func (h *Handler) serveStream(c *call) {
	control := http.NewResponseController(c.w)
	if control.SetReadDeadline(time.Time{}) != nil || control.SetWriteDeadline(time.Time{}) != nil {
		h.refuse(c, fault{code: connect.CodeUnimplemented, name: "not_found", message: "streams need HTTP/2"})
		return
	}
	ctx, end := h.span(c)
	defer end()
	c.meter = &meter{ReadCloser: c.r.Body, charge: charge{share: h.opts.Hangar.Budget.Of(c.Source), limit: int64(h.opts.MaxBody)}}
	defer c.meter.settle()
	r := c.r.WithContext(context.WithValue(ctx, callKey{}, c))
	r.Body = c.meter
	h.stream.ServeHTTP(c.w, r)
}

// ingestStream is the streaming procedure.
func (h *Handler) ingestStream(ctx context.Context, conn *connect.BidiStream[numbered, ingestv1.IngestStreamResponse]) error {
	c := callOf(ctx)
	size := int64(windowSize * h.opts.MaxBody)
	s := &stream{
		h: h, c: c, conn: conn.Conn(), bytes: semaphore.NewWeighted(size), size: size, inside: make(chan pending, window),
		line: line{control: http.NewResponseController(c.w)},
	}
	c.meter.began = func() { s.line.expect(slowness) }
	defer s.line.close()
	if err := s.run(ctx); err != nil {
		return c.fail(*err)
	}
	c.settle(nil)
	return nil
}

// run answers until the reader has ended and everything before it is answered, or something is refused.
func (s *stream) run(ctx context.Context) (why *fault) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { s.read(ctx) })
	defer func() {
		cancel()
		s.line.cut()
		for p := range s.inside { // until the reader has ended
			s.h.opts.Ingester.Abandon(p.flight, p.started, s.failed)
			p.flight.Release()
		}
		reader.Wait()
	}()
	drained, replaced := s.h.opts.Gate.Drained(), s.follow()
	for {
		select {
		case <-replaced:
			replaced = s.follow()
		case <-drained:
			drained = nil
			s.line.cut() // what is inside is answered
		case p, ok := <-s.inside:
			if !ok {
				return s.why
			}
			if why := s.answer(p); why != nil {
				return why
			}
		}
	}
}

// follow looks at the key that the stream has in its header: where it is not good any more, nothing more is read. It
// says when to look again; a key in a message is looked at with the message.
func (s *stream) follow() <-chan struct{} {
	if len(s.c.key) == 0 {
		return nil
	}
	replaced := s.h.opts.Replaced()
	if _, err := s.h.opts.Ingester.Authorize(s.c.key, s.c.origin); err != nil {
		f := faultOf(err)
		s.ousted.Store(&f)
		s.line.cut() // what is inside is answered
		return nil
	}
	return replaced
}

// answer waits for a message's outcome and tells the client.
func (s *stream) answer(p pending) *fault {
	response, err := s.finish(p)
	if err != nil {
		s.failed = true
		f := faultOf(err)
		return &f
	}
	s.line.expectTaken(slowness)
	err = s.conn.Send(response)
	s.line.taken()
	if err != nil {
		return &givenUp
	}
	s.c.Messages++
	return nil
}

// finish waits for a message's outcome, and lets go of what the message held.
func (s *stream) finish(p pending) (*ingestv1.IngestStreamResponse, error) {
	defer s.bytes.Release(p.weight)
	defer p.flight.Release()
	err := s.h.opts.Ingester.Finish(p.flight, p.started)
	return &ingestv1.IngestStreamResponse{Number: p.number, Response: responseOf(p.flight.Intake.Rejected)}, err
}

// read hands messages to Kafka's client until there are no more, or one is refused.
func (s *stream) read(ctx context.Context) {
	defer close(s.inside)
	defer func() {
		if p := recover(); p != nil {
			f := s.h.defect(s.c, p)
			s.why = &f
		}
	}()
	var m numbered
	for last := uint64(0); ; last = m.number {
		var more bool
		if more, s.why = s.receive(&m); !more {
			return
		}
		if m.number <= last {
			s.why = &order
			return
		}
		p, err := s.start(ctx, &m)
		if err != nil {
			f := faultOf(err)
			s.why = &f
			return
		}
		s.inside <- p // run takes it, whatever comes of it
	}
}

// receive reads the next message. There is none where the client has sent all, or something is the matter.
func (s *stream) receive(m *numbered) (more bool, why *fault) {
	m.reset(0, nil)
	s.c.meter.settle()
	if !s.line.expect(silence) {
		return false, s.ended(nil)
	}
	err := s.conn.Receive(m)
	s.line.heard()
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		return false, nil
	}
	return false, s.ended(err)
}

// ended says why no more can be read.
func (s *stream) ended(err error) *fault {
	if ousted := s.ousted.Load(); ousted != nil {
		return ousted
	}
	select {
	case <-s.h.opts.Gate.Drained():
		return &draining
	default:
	}
	var told fault
	switch code := connect.CodeOf(err); {
	case s.line.still():
		return &silent
	case errors.As(err, &told):
		return &told
	case err == nil, code == connect.CodeCanceled, code == connect.CodeDeadlineExceeded:
		return &givenUp
	case code == connect.CodeInvalidArgument:
		return &undecodable
	}
	return &cutShort
}

// start gives a message its flight and hands it to Kafka's client.
func (s *stream) start(ctx context.Context, m *numbered) (pending, error) {
	p := pending{number: m.number, weight: min(int64(len(m.body)), s.size)}
	r, err := s.h.requestOf(s.c, &m.request, s.c.RequestID+"/"+strconv.FormatUint(m.number, 10))
	if err != nil {
		return p, err
	}
	f, ok := s.h.opts.Hangar.Begin(idOf(r.Source), len(m.body))
	if !ok {
		return p, produce.ErrFull
	}
	defer func() {
		if p.flight == nil { // it did not start, by an error or by a defect
			f.Release()
		}
	}()
	f.Order = &s.order
	f.Body = append(f.Body, m.body...)
	s.h.buffers.put(&m.request)
	s.c.meter.settle()
	if err := s.bytes.Acquire(ctx, p.weight); err != nil { // until older messages are answered
		return p, err
	}
	if p.started, err = s.h.opts.Ingester.Start(f, r); err == nil {
		p.flight = f
	}
	return p, err
}

// idOf is whose budget a message is charged to at first: "" where its events name the source.
func idOf(s *source.Source) string {
	if s == nil {
		return ""
	}
	return s.ID
}
