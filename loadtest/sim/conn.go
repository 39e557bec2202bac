package sim

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is one connection of a process to a broker. The client writes one request with each Write, so that what a trap
// does can be done to a request.
type conn struct {
	net.Conn
	link *link

	once   sync.Once
	closed chan struct{}

	mu     sync.Mutex
	mute   bool   // no answer arrives any more
	answer func() // done once, in the place of the next answer
	held   bool   // the far end stays open for a request that is still on its way

	free atomic.Bool // the newest request was one of the unhindered
}

// brokerDelay is the longest that a request is on its way.
const brokerDelay = 3 * time.Millisecond

// unhindered are the requests that a client makes while it holds a lock for which others of its goroutines wait: were
// they held back, the virtual clock would stand still, because a goroutine that waits for a lock does not count as idle.
// They change nothing that anybody else sees.
func unhindered(p []byte) bool {
	key := kmsg.Key(binary.BigEndian.Uint16(p[4:6]))
	return key == kmsg.ApiVersions || key == kmsg.InitProducerID
}

func (c *conn) Write(p []byte) (int, error) {
	if len(p) < 12 || unhindered(p) {
		c.free.Store(true)
		return c.Conn.Write(p)
	}
	c.free.Store(false)
	c.link.delay(brokerDelay)
	if err := c.link.pass(c.closed); err != nil {
		return 0, c.broken("write", err)
	}
	op := c.link.w.requestName(p)
	t := c.link.w.spring(c.link, op)
	if t == nil {
		return c.Conn.Write(p)
	}
	switch t.do {
	case reset:
		_ = c.Close()
		return 0, c.broken("write", errReset)
	case lose:
		c.instead(func() { _ = c.Close() })
	case silent:
		c.silence()
	case swallow:
		c.silence()
		return len(p), nil
	case late:
		c.deliver(slices.Clone(p), t.delay)
		return len(p), nil
	case slow:
		select {
		case <-time.After(t.delay):
		case <-c.closed:
		}
	case crashBefore:
		c.link.w.crash(c.link)
		return 0, c.broken("write", errDead)
	case crashAfter:
		c.instead(func() { c.link.w.crash(c.link) })
	case also:
		t.then()
	case alsoAfter:
		c.instead(t.then)
	}
	return c.Conn.Write(p)
}

func (c *conn) broken(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

func (c *conn) instead(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = do
}

func (c *conn) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = true
}

// deliver breaks the connection as the process sees it, and lets the request arrive later all the same.
func (c *conn) deliver(p []byte, after time.Duration) {
	c.mu.Lock()
	c.held = true
	c.mu.Unlock()
	_ = c.Close()
	c.link.w.held.Go(func() {
		defer func() { _ = c.Conn.Close() }()
		time.Sleep(after)
		c.link.w.trace.add(c.link.name, "a request that was held back arrives: %s", c.link.w.requestName(p))
		_ = c.Conn.SetDeadline(time.Now().Add(time.Minute)) // what the client had set is over
		if _, err := c.Conn.Write(p); err == nil {
			_, _ = io.ReadFull(c.Conn, make([]byte, 4)) // it is answered, so it was done
		}
	})
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		c.mu.Lock()
		mute, do := c.mute, c.answer
		if n > 0 {
			c.answer = nil
		}
		c.mu.Unlock()
		select {
		case <-c.closed:
			return 0, c.broken("read", net.ErrClosed)
		default:
		}
		if err != nil {
			return 0, err
		}
		if mute {
			continue
		}
		if do != nil {
			do()
		}
		if c.free.Load() {
			return n, nil
		}
		if err := c.link.pass(c.closed); err != nil {
			return 0, c.broken("read", err)
		}
		select {
		case <-c.closed: // do has broken it
			return 0, c.broken("read", errReset)
		default:
		}
		return n, nil
	}
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		go c.link.forget(c) // kill holds the lock while it closes
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return c.SetReadDeadline(time.Now()) // a reader must not take the late answer
	}
	return c.Conn.Close()
}

// requestName says what a Kafka request asks for, as traps name it.
func (w *World) requestName(p []byte) string {
	switch key := kmsg.Key(binary.BigEndian.Uint16(p[4:6])); key {
	case kmsg.OffsetCommit:
		switch {
		case bytes.Contains(p, []byte(" intent ")):
			return "commit intent"
		case bytes.Contains(p, []byte(" done - ")):
			return "commit start"
		case bytes.Contains(p, []byte(" done ")):
			return "commit done"
		}
		return "commit"
	case kmsg.Produce:
		for _, topic := range []string{topicEvents, topicFlushes, topicLetters, topicRejected} { // newer versions name it by its id
			if id := w.topicID(topic); id != [16]byte{} && bytes.Contains(p, id[:]) {
				return "produce " + topic
			}
		}
		return "produce"
	default:
		return key.Name()
	}
}
