package segment

import (
	"encoding/binary"
	"errors"
)

// ErrForm means that a frame's payload is not what its kind says: another version wrote it.
var ErrForm = errors.New("a frame of another form")

// Request is what the frame of a request says of all its records.
type Request struct {
	At      int64  // when it was spilled, Unix milliseconds
	Open    bool   // Kafka's client had the records too, and had not said what became of them
	Key     []byte // of every record
	Records int

	rest    []byte
	left    int
	headers []Header
}

// Header is one header of a record.
type Header struct{ Key, Value []byte }

// Record is one record of a request. What it points to belongs to the frame.
type Record struct {
	Topic   []byte
	At      int64 // its timestamp, Unix milliseconds
	Value   []byte
	Headers []Header
	Shared  bool // the headers are those of the record before
}

const flagOpen = 1

// BeginRequest begins the frame of a request; Records times AppendRecord, with its
// headers behind each, and End complete it.
func BeginRequest(dst []byte, r Request) []byte {
	dst = Begin(dst, KindRequest)
	flags := byte(0)
	if r.Open {
		flags = flagOpen
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(r.At))
	dst = appendBytes(dst, r.Key)
	return binary.AppendUvarint(dst, uint64(r.Records))
}

// AppendRecord appends a record; headers times AppendHeader follow. shared says that its headers are those of the record
// before, and then none follow.
func AppendRecord(dst []byte, topic string, at int64, value []byte, headers int, shared bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(topic)))
	dst = append(dst, topic...)
	dst = binary.AppendUvarint(dst, uint64(at))
	dst = appendBytes(dst, value)
	if shared {
		return append(dst, 0)
	}
	return binary.AppendUvarint(dst, uint64(headers)+1)
}

// AppendHeader appends a header of the record before.
func AppendHeader(dst []byte, key string, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return appendBytes(dst, value)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// ReadRequest reads what the payload of a request's frame says of all its records.
func ReadRequest(payload []byte) (Request, error) {
	c := cursor{b: payload}
	flags := c.take(1)
	r := Request{At: int64(c.uvarint()), Key: c.bytes(), Records: int(c.uvarint())}
	if c.bad || flags[0] > flagOpen || r.Records < 0 || r.Records > len(c.b) {
		return Request{}, ErrForm
	}
	r.Open = flags[0] == flagOpen
	r.rest, r.left = c.b, r.Records
	return r, nil
}

// Next reads the next record; false after the last.
func (r *Request) Next(rec *Record) (bool, error) {
	if r.left == 0 {
		if len(r.rest) > 0 {
			return false, ErrForm
		}
		return false, nil
	}
	c := cursor{b: r.rest}
	rec.Topic, rec.At, rec.Value = c.bytes(), int64(c.uvarint()), c.bytes()
	n := c.uvarint()
	if c.bad || n > uint64(len(c.b))+1 || n == 0 && r.left == r.Records {
		return false, ErrForm
	}
	if rec.Shared = n == 0; !rec.Shared {
		r.headers = make([]Header, 0, n-1)
		for range n - 1 {
			r.headers = append(r.headers, Header{c.bytes(), c.bytes()})
		}
	}
	if c.bad {
		return false, ErrForm
	}
	rec.Headers = r.headers
	r.rest, r.left = c.b, r.left-1
	return true, nil
}

// cursor reads what append wrote; bad once something was not there.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.bad = true
		return make([]byte, 1)
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) bytes() []byte { return c.take(c.uvarint()) }
