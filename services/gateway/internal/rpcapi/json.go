package rpcapi

import (
	"encoding/base64"
	"errors"
	"strconv"

	"weir/pkg/jsonscan"
)

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
