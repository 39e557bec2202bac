package intake

import (
	"bytes"
	"math"

	"weir/pkg/jsonscan"
)

// read scans the body once and notes where everything stands.
func (in *Intake) read() error {
	if len(in.body) > math.MaxInt32 {
		return errTooLarge
	}
	in.scan.Reset(in.body)
	if in.req.Route == List {
		return in.readList()
	}
	switch {
	case in.scan.Peek() != jsonscan.Object:
		in.fault = errNotObject
		in.scan.Skip()
	case in.req.Route == Batch:
		in.fault = errNoBatch
		in.readBatch()
	default:
		in.readEvent()
	}
	switch err := in.scan.End(); {
	case in.fault == errTooMany:
		return errTooMany // the scan was given up
	case err != nil:
		return malformed(err)
	case in.fault != nil:
		return in.fault
	case in.mixed:
		return errMixedKeys
	}
	return nil
}

func (in *Intake) readBatch() {
	s := &in.scan
	for ok := s.EnterObject(); ok; {
		key, more := s.NextMember()
		if !more {
			return
		}
		switch string(in.unescape(key)) {
		case "batch":
			ok = in.readEvents()
		case "writeKey":
			var m member
			ok = in.pass(&m)
			in.claim(&m)
		case "sentAt":
			ok = in.pass(&in.envelope.sentAt)
		case "context":
			ok = in.passContext(&in.envelope.context, &in.envelope.sender)
		case "integrations":
			ok = in.pass(&in.envelope.integrations)
		default:
			_, ok = s.Skip()
		}
	}
}

// readEvents reads the array of a batch. If the body has two, the last counts, as for every key.
func (in *Intake) readEvents() bool {
	s := &in.scan
	in.found, in.cuts, in.fault = in.found[:0], in.cuts[:0], errNoBatch
	if !s.EnterArray() {
		_, ok := s.Skip()
		return ok
	}
	in.fault = errEmpty
	for s.NextElement() {
		if len(in.found) == in.req.Limits.MaxElements {
			in.fault = errTooMany
			return false
		}
		in.fault = nil
		if !in.readEvent() {
			return false
		}
	}
	return s.Err() == nil
}

// readEvent reads one event, or whatever stands in its place.
func (in *Intake) readEvent() bool {
	s := &in.scan
	in.found = append(in.found, found{})
	f := &in.found[len(in.found)-1]
	if s.Peek() != jsonscan.Object {
		var ok bool
		f.value, ok = s.Skip()
		return ok
	}
	f.value.Kind, f.value.Start = jsonscan.Object, s.Offset()
	f.cuts.from = int32(len(in.cuts))
	s.EnterObject()
	var unknown member
	for last := &unknown; ; {
		key, ok := s.NextMember()
		if !ok {
			last.next = int32(s.Offset() - 1)
			break
		}
		last.next = int32(key.Start)
		f.last = last.next
		if last, ok = in.readMember(f, key, &unknown); !ok {
			return false
		}
		f.value.Flags |= key.Flags | last.flags
	}
	f.value.End = s.Offset()
	f.cuts.to = int32(len(in.cuts))
	in.claim(&f.members[fieldWriteKey])
	return s.Err() == nil
}

// readMember reads the value of key into the event's member of that name, or into unknown.
func (in *Intake) readMember(f *found, key jsonscan.Value, unknown *member) (*member, bool) {
	name := fieldOf(in.unescape(key))
	if name == fields {
		return unknown, in.pass(unknown)
	}
	m := &f.members[name]
	in.override(m, name)
	m.key = int32(key.Start)
	if name == fieldContext {
		return m, in.passContext(m, &f.sender)
	}
	return m, in.pass(m)
}

// override cuts a member that stood before another one of the same name: the last counts.
func (in *Intake) override(m *member, of field) {
	if m.there() {
		in.cuts = append(in.cuts, cut{span{m.key, m.next}, of})
	}
}

// pass passes the next value and notes where it stands.
func (in *Intake) pass(m *member) bool {
	v, ok := in.scan.Skip()
	m.set(v)
	return ok
}

func (m *member) set(v jsonscan.Value) {
	m.value = span{int32(v.Start), int32(v.End)}
	m.kind, m.flags = v.Kind, v.Flags
}

// passContext passes a context and notes what it tells about the sender.
func (in *Intake) passContext(m *member, from *sender) bool {
	*from = sender{}
	s := &in.scan
	if s.Peek() != jsonscan.Object {
		return in.pass(m)
	}
	v := jsonscan.Value{Kind: jsonscan.Object, Start: s.Offset()}
	s.EnterObject()
	var unknown member
	for last := &unknown; ; {
		key, ok := s.NextMember()
		if !ok {
			last.next = int32(s.Offset() - 1)
			break
		}
		last.next = int32(key.Start)
		last = &unknown
		switch string(in.unescape(key)) {
		case "ip":
			in.override(&from.ip, fieldContext)
			last = &from.ip
			ok = in.pass(last)
		case "direct":
			last = &from.direct
			ok = in.pass(last)
		case "library":
			last = &from.library
			ok = in.passLibrary(last, &from.name)
		default:
			ok = in.pass(last)
		}
		if !ok {
			return false
		}
		last.key = int32(key.Start)
		v.Flags |= key.Flags | last.flags
	}
	v.End = s.Offset()
	m.set(v)
	return s.Err() == nil
}

func (in *Intake) passLibrary(m, name *member) bool {
	*name = member{}
	s := &in.scan
	if s.Peek() != jsonscan.Object {
		return in.pass(m)
	}
	v := jsonscan.Value{Kind: jsonscan.Object, Start: s.Offset()}
	s.EnterObject()
	for {
		key, ok := s.NextMember()
		if !ok {
			break
		}
		var other member
		to := &other
		if string(in.unescape(key)) == "name" {
			to = name
		}
		if !in.pass(to) {
			return false
		}
		v.Flags |= key.Flags | to.flags
	}
	v.End = s.Offset()
	m.set(v)
	return s.Err() == nil
}

// claim takes a write key as the body's, and notes if another one was claimed before.
func (in *Intake) claim(m *member) {
	if m.absent() || m.kind != jsonscan.String {
		return
	}
	key := in.textOf(m)
	if in.WriteKey == nil {
		in.text = append(in.text, key...)
		in.WriteKey = in.text[len(in.text)-len(key) : len(in.text) : len(in.text)]
	}
	in.mixed = in.mixed || !bytes.Equal(key, in.WriteKey)
}

// unescape is the text of a string that the scanner has just passed, valid until the next call.
func (in *Intake) unescape(v jsonscan.Value) []byte {
	if v.Flags == 0 {
		return in.body[v.Start+1 : v.End-1]
	}
	in.key = jsonscan.AppendUnescaped(in.key[:0], in.body[v.Start:v.End])
	return in.key
}

// textOf is the text of a string member, valid until the next call.
func (in *Intake) textOf(m *member) []byte {
	return in.unescape(jsonscan.Value{Flags: m.flags, Start: int(m.value.from), End: int(m.value.to)})
}
