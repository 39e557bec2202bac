//go:build duckdb && e2e

package held

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire stands between a client and its broker and can hold one offset commit back: its bytes wait, the client hears
// nothing, and when the client hangs up the broker does not notice, as where a network delivers late.
type wire struct {
	mu   sync.Mutex
	want func(*kmsg.OffsetCommitRequest) bool // of each commit, until one is held
	held *heldCommit
	got  chan struct{} // closed once a commit is held
}

// heldCommit is a request that has not arrived.
type heldCommit struct {
	request kmsg.OffsetCommitRequest
	bytes   []byte
	broker  net.Conn
}

func newWire(want func(*kmsg.OffsetCommitRequest) bool) *wire {
	return &wire{want: want, got: make(chan struct{})}
}

// dial is for kgo.Dialer.
func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, wire: w, closed: make(chan struct{})}, nil
}

type conn struct {
	net.Conn
	wire *wire

	once    sync.Once
	closed  chan struct{}
	holding bool // under wire.mu: this connection's broker has yet to hear of a commit
}

// Write gets one whole request: that is how the client writes. What is written behind the held one does not arrive.
func (c *conn) Write(b []byte) (int, error) {
	c.wire.mu.Lock()
	if r, ok := offsetCommit(b); ok && c.wire.held == nil && c.wire.want(r) {
		c.wire.held = &heldCommit{request: *r, bytes: append([]byte(nil), b...), broker: c.Conn}
		c.holding = true
		close(c.wire.got)
	}
	holding := c.holding
	c.wire.mu.Unlock()
	if holding {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	c.wire.mu.Lock()
	holding := c.holding
	c.wire.mu.Unlock()
	if holding {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// Close ends the client's side only, where the broker's still waits for bytes.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.wire.mu.Lock()
	holding := c.holding
	c.wire.mu.Unlock()
	if holding {
		return nil
	}
	return c.Conn.Close()
}

// release lets the bytes arrive and returns the broker's answer.
func (w *wire) release() (*kmsg.OffsetCommitResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.held
	defer h.broker.Close()
	if err := h.broker.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := h.broker.Write(h.bytes); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(h.broker, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(h.broker, answer); err != nil {
		return nil, err
	}
	answer = answer[4:] // the correlation id
	resp := h.request.ResponseKind().(*kmsg.OffsetCommitResponse)
	resp.Version = h.request.Version
	if resp.IsFlexible() {
		answer = answer[1:] // no tags
	}
	return resp, resp.ReadFrom(answer)
}

// offsetCommit reads a request, if it is one: length, key, version, correlation id, client id, in flexible versions
// tags, body (kafka.apache.org/protocol, "Request Header").
func offsetCommit(b []byte) (*kmsg.OffsetCommitRequest, bool) {
	if len(b) < 14 || int16(binary.BigEndian.Uint16(b[4:])) != kmsg.OffsetCommit.Int16() {
		return nil, false
	}
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version = int16(binary.BigEndian.Uint16(b[6:]))
	body := b[12:]
	if n := int16(binary.BigEndian.Uint16(body)); n >= 0 {
		body = body[2+n:]
	} else {
		body = body[2:]
	}
	if r.IsFlexible() {
		body = body[1:]
	}
	return r, r.ReadFrom(body) == nil
}
