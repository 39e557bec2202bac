package rpcapi

import (
	"encoding/base64"
	"errors"
	"strconv"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"weir/pkg/jsonscan"
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

// walkJSON walks the members of one object; members whose value each does not pass are skipped.
func walkJSON(s *jsonscan.Scanner, text *[]byte, body []byte, each func(name string) bool) {
	if !s.EnterObject() {
		s.Skip()
		return
	}
	for {
		key, ok := s.NextMember()
		if !ok {
			return
		}
		*text = jsonscan.AppendUnescaped((*text)[:0], body[key.Start:key.End])
		if !each(string(*text)) {
			s.Skip()
		}
	}
}

var (
	errJSON   = errors.New("malformed JSON")
	errEvents = errors.New("events must be a list of base64 texts or objects")
	errKey    = errors.New("writeKey must be a text")
	errNumber = errors.New("number must be a whole number that is not negative")
	errObject = errors.New("the message must be an object")
)

// decodeJSON reads protobuf's JSON, and an event that stands as the object that it is.
func (r *request) decodeJSON(data []byte) error {
	var s jsonscan.Scanner
	s.Reset(data)
	err := r.scan(&s, data)
	if s.End() != nil {
		return errJSON
	}
	return err
}

func (r *request) scan(s *jsonscan.Scanner, data []byte) (err error) {
	if s.Peek() != jsonscan.Object {
		err = errObject
	}
	walkJSON(s, &r.text, data, func(name string) bool {
		switch name {
		case "writeKey", "write_key":
			v, _ := s.Skip()
			if v.Kind == jsonscan.String {
				r.text = jsonscan.AppendUnescaped(r.text[:0], data[v.Start:v.End])
				r.key = string(r.text)
			} else if v.Kind != jsonscan.Null {
				err = errKey
			}
			return true
		case "events":
			if e := r.scanEvents(s, data); e != nil {
				err = e
			}
			return true
		}
		return false
	})
	return err
}

func (r *request) scanEvents(s *jsonscan.Scanner, data []byte) (err error) {
	if !s.EnterArray() {
		if v, _ := s.Skip(); v.Kind != jsonscan.Null {
			return errEvents
		}
		return nil
	}
	for s.NextElement() {
		v, _ := s.Skip()
		switch v.Kind {
		case jsonscan.Object:
			r.add(data[v.Start:v.End])
		case jsonscan.String:
			r.text = jsonscan.AppendUnescaped(r.text[:0], data[v.Start:v.End])
			if !r.addBase64(r.text) {
				err = errEvents
			}
		default:
			err = errEvents
		}
	}
	return err
}

// addBase64 reads both alphabets, with and without padding, as protobuf does.
func (r *request) addBase64(text []byte) bool {
	for len(text) > 0 && text[len(text)-1] == '=' {
		text = text[:len(text)-1]
	}
	for i, c := range text {
		switch c {
		case '-':
			text[i] = '+'
		case '_':
			text[i] = '/'
		}
	}
	n, err := base64.RawStdEncoding.Decode(text, text) // what is read is longer than what is written
	if err == nil {
		r.add(text[:n])
	}
	return err == nil
}

func (n *numbered) decodeJSON(data []byte) (err error) {
	var s jsonscan.Scanner
	s.Reset(data)
	if s.Peek() != jsonscan.Object {
		err = errObject
	}
	walkJSON(&s, &n.text, data, func(name string) bool {
		switch name {
		case "number":
			v, _ := s.Skip()
			text := string(data[v.Start:v.End])
			if v.Kind == jsonscan.String { // as protobuf writes numbers of 64 bits
				text = text[1 : len(text)-1]
			}
			var e error
			if n.number, e = strconv.ParseUint(text, 10, 64); e != nil {
				err = errNumber
			}
			return true
		case "request":
			if e := n.scan(&s, data); e != nil {
				err = e
			}
			return true
		}
		return false
	})
	if s.End() != nil {
		return errJSON
	}
	return err
}
