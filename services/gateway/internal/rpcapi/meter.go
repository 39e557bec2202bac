package rpcapi

import (
	"io"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/gzip"

	"weir/services/gateway/internal/produce"
)

// held is how many bytes the library holds for one that has arrived: it doubles its buffers.
const held = 2

// step is by how much a charge grows at least.
const step = 4 << 10

// charge is what a message holds before it has a flight.
type charge struct {
	share *produce.Share // of whoever sends it; while it is unpacked nobody knows who that is
	limit int64          // of the message
	bytes int64          // of the message, so far
	taken int64
}

// grow charges n bytes more of the message.
func (c *charge) grow(n int) *connect.Error {
	if c.bytes += int64(n); c.bytes > c.limit {
		return tooLarge.err()
	}
	if need := held*c.bytes - c.taken; need > 0 {
		need = (need + step - 1) / step * step
		if !c.share.Take(need, c.taken) {
			return overloaded.err()
		}
		c.taken += need
	}
	return nil
}

// settle gives everything back.
func (c *charge) settle() {
	c.share.Give(c.taken)
	c.bytes, c.taken = 0, 0
}

// meter charges a stream's bytes as they come. One message is over when its reader settles.
type meter struct {
	io.ReadCloser
	charge
	began func() // the first bytes of a message are here
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if n == 0 {
		return n, err
	}
	if m.bytes == 0 {
		m.began()
	}
	if fault := m.grow(n); fault != nil {
		return 0, fault
	}
	return n, err
}

// unzip is the library's decompressor, which charges what it puts out and stops at the limit: the library itself would
// unpack a bomb to its end, to say how large it is.
type unzip struct {
	gzip.Reader
	charge
}

func (u *unzip) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if n > 0 {
		if fault := u.grow(n); fault != nil {
			return 0, fault
		}
	}
	return n, err
}

// Close ends a message. What it unpacked to is in a flight, or dropped, as soon as it is decoded: nothing waits between.
func (u *unzip) Close() error {
	u.settle()
	return nil
}
