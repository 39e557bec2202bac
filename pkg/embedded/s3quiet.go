package embedded

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3err"
)

// versitygw prints to standard error what is not S3's to answer, and that its end took too long. Neither gets there:
// such errors are logged and answered before it sees them, and connections that its end would wait for are cut.

// tell puts an S3 error in the place of one that is none.
func (r *rooted) tell(op string, err *error) {
	if *err == nil {
		return
	}
	if _, known := (*err).(s3err.S3Error); known { // as versitygw itself asks
		return
	}
	if hungUp(*err) {
		r.log.Debug("the embedded S3's client hung up", "op", op, "err", *err)
		*err = s3err.GetAPIError(s3err.ErrIncompleteBody)
		return
	}
	r.log.Error("the embedded S3 failed", "op", op, "err", *err)
	*err = s3err.GetAPIError(s3err.ErrInternalError)
}

func hungUp(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled)
}

// transport is what versitygw keeps to itself of its HTTP server.
type transport struct {
	log  *slog.Logger
	once sync.Once

	mu    sync.Mutex
	open  map[net.Conn]struct{} // that requests came over
	prune int                   // forget the closed ones when there are as many
}

func newTransport(log *slog.Logger) *transport {
	return &transport{log: log, open: make(map[net.Conn]struct{})}
}

// healthy answers the health check. The first one comes before any client knows of the server, and is where the
// server itself can be had: requests that end before their body does never reach the backend.
func (t *transport) healthy(ctx fiber.Ctx) error {
	t.once.Do(func() {
		server := ctx.App().Server()
		others := server.ErrorHandler
		server.ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) {
			if !hungUp(err) {
				others(ctx, err)
				return
			}
			t.log.Debug("the embedded S3's client hung up", "err", err)
			ctx.SetStatusCode(fasthttp.StatusBadRequest)
		}
	})
	return ctx.SendStatus(fiber.StatusOK)
}

// track is a middleware. An answer's body is written after it returns, so a connection stays known until it is closed.
func (t *transport) track(ctx fiber.Ctx) error {
	t.add(ctx.RequestCtx().Conn())
	return ctx.Next()
}

func (t *transport) add(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[conn] = struct{}{}
	if len(t.open) < t.prune {
		return
	}
	for known := range t.open {
		if errors.Is(known.SetWriteDeadline(time.Time{}), net.ErrClosed) { // versitygw sets none: this only asks
			delete(t.open, known)
		}
	}
	t.prune = 2*len(t.open) + 64
}

// cut ends what is still read or written.
func (t *transport) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for conn := range t.open {
		_ = conn.Close() // an error says that it is closed
	}
}
