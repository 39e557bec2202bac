package rpcapi

import (
	"errors"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// request is an IngestRequest, decoded for intake: its events one right after the other.
type request struct {
	key  string
	body []byte
	ends []int32 // of the events in body
	most int     // events noted; one more is enough to be refused
	text []byte  // scratch of JSON
}

// numbered is an IngestStreamRequest.
type numbered struct {
	request
	number uint64
}

// reset makes the request ready for another message, into a buffer that is empty.
func (r *request) reset(most int, body []byte) {
	r.key, r.body, r.ends, r.most = "", body, r.ends[:0], most
}

// buffers are those that messages are decoded into, for the moment until they have a flight.
type buffers struct{ idle sync.Pool }

// keep bounds the buffers that are used again.
const keep = 1 << 20

// get gives an empty buffer of at least n bytes.
func (b *buffers) get(n int) []byte {
	if idle, ok := b.idle.Get().(*[]byte); ok && cap(*idle) >= n {
		return (*idle)[:0]
	}
	return make([]byte, 0, n)
}

// put takes the request's buffer back. One that is not put back is garbage, and no loss.
func (b *buffers) put(r *request) {
	if n := cap(r.body); n > 0 && n <= keep {
		body := r.body
		b.idle.Put(&body)
	}
	r.body = nil
}

// add takes an event; of too many the bytes do not matter any more.
func (r *request) add(event []byte) {
	if len(r.ends) > r.most {
		return
	}
	r.body = append(r.body, event...)
	r.ends = append(r.ends, int32(len(r.body)))
}

// Fields of weir.ingest.v1.
const (
	fieldWriteKey = 1
	fieldEvents   = 2

	fieldNumber  = 1
	fieldRequest = 2
)

var errWire = errors.New("malformed protobuf")

func (r *request) decode(data []byte) error {
	return fields(data, func(number protowire.Number, typ protowire.Type, value []byte) error {
		switch {
		case number == fieldWriteKey && typ == protowire.BytesType:
			r.key = string(value)
		case number == fieldEvents && typ == protowire.BytesType:
			r.add(value)
		}
		return nil
	})
}

func (n *numbered) reset(most int, body []byte) {
	n.number = 0
	n.request.reset(most, body)
}

func (n *numbered) decode(data []byte) error {
	return fields(data, func(number protowire.Number, typ protowire.Type, value []byte) error {
		switch {
		case number == fieldNumber && typ == protowire.VarintType:
			n.number, _ = protowire.ConsumeVarint(value)
		case number == fieldRequest && typ == protowire.BytesType:
			return n.request.decode(value)
		}
		return nil
	})
}

// fields walks the fields of a message and gives the content of each.
func fields(data []byte, each func(protowire.Number, protowire.Type, []byte) error) error {
	for len(data) > 0 {
		number, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return errWire
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, typ, data); n < 0 {
			return errWire
		}
		value := data[:n]
		if typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		data = data[n:]
		if err := each(number, typ, value); err != nil {
			return err
		}
	}
	return nil
}
