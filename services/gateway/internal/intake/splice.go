package intake

import (
	"cmp"
	"slices"

	"weir/pkg/event"
	"weir/pkg/jsonscan"
)

// op replaces a range of the body, while an event is copied, with a range of Intake.patch.
type op struct{ at, text span }

// splice copies one event into the arena with what the gateway adds: a field that the event has is replaced where it
// stands, one that it lacks is added at the end.
func (in *Intake) splice(i int, f *found, typ string, id []byte) Event {
	in.ops, in.patch, in.tail = in.ops[:0], in.patch[:0], in.tail[:0]
	for _, c := range in.cuts[f.cuts.from:f.cuts.to] {
		in.ops = append(in.ops, op{at: c.span})
	}
	if m := &f.members[fieldWriteKey]; m.there() {
		in.ops = append(in.ops, op{at: span{m.key, m.next}})
	}
	if f.members[fieldType].absent() {
		in.value = jsonscan.AppendQuoted(in.value[:0], typ)
		in.put(f, fieldType, in.value)
	}
	if id == nil {
		id = in.newID()
		in.value = append(append(append(in.value[:0], '"'), id...), '"')
		in.put(f, fieldMessageID, in.value)
	}
	in.putTimes(f)
	in.putContext(f)
	in.putIntegrations(f)
	return Event{Index: i, Value: in.emit(f, f.value.Flags&jsonscan.Dirty != 0), MessageID: id, Type: typ}
}

// original is what the client sent, byte for byte, but that the write key is empty.
func (in *Intake) original(f *found) []byte {
	in.ops, in.patch, in.tail = in.ops[:0], in.patch[:0], in.tail[:0]
	for _, c := range in.cuts[f.cuts.from:f.cuts.to] {
		if c.field == fieldWriteKey {
			in.ops = append(in.ops, op{at: c.span})
		}
	}
	if m := &f.members[fieldWriteKey]; m.there() {
		in.value = append(in.value[:0], `""`...)
		in.replace(m.value, in.value)
	}
	return in.emit(f, false)
}

func (in *Intake) newID() []byte {
	from := len(in.text)
	in.text = in.req.NewID(in.text)
	return in.text[from:len(in.text):len(in.text)]
}

// put gives a field of the event a value.
func (in *Intake) put(f *found, name field, value []byte) {
	if m := &f.members[name]; m.there() {
		in.replace(m.value, value)
		return
	}
	in.tail = append(in.tail, ',', '"')
	in.tail = append(in.tail, fieldNames[name]...)
	in.tail = append(in.tail, '"', ':')
	in.tail = append(in.tail, value...)
}

// replace puts text in the place of a range of the body.
func (in *Intake) replace(at span, text []byte) {
	from := int32(len(in.patch))
	in.patch = append(in.patch, text...)
	in.ops = append(in.ops, op{at, span{from, int32(len(in.patch))}})
}

// putTimes sets the four times. originalTimestamp is the client's claim, kept as it is even if it is no time; timestamp
// is that claim moved to the server's clock, or receivedAt where there is none. View.Decode, which corrects the clock
// again from the fields that stand in the event, gets the same.
func (in *Intake) putTimes(f *found) {
	original, sent := &f.members[fieldOriginalTimestamp], &f.members[fieldSentAt]
	if sent.absent() && !in.envelope.sentAt.absent() {
		sent = &in.envelope.sentAt
		in.put(f, fieldSentAt, in.valueOf(sent))
	}
	if claim := &f.members[fieldTimestamp]; original.absent() && !claim.absent() {
		in.put(f, fieldOriginalTimestamp, in.valueOf(claim))
		original = claim
	}
	at := event.CorrectedTime(in.timeOf(original), in.timeOf(sent), in.req.ReceivedAt)
	in.value = appendTime(in.value[:0], at)
	in.put(f, fieldTimestamp, in.value)
	in.put(f, fieldReceivedAt, in.received)
}

func appendTime(dst []byte, t event.Instant) []byte {
	return append(event.AppendTime(append(dst, '"'), t), '"')
}

// timeOf is the instant that a member names; not valid if it names none.
func (in *Intake) timeOf(m *member) event.Instant {
	if m.kind != jsonscan.String {
		return event.Instant{}
	}
	t, _ := event.ParseTime(in.textOf(m))
	return t
}

// valueOf is the clean bytes of a member's value, valid until the next call.
func (in *Intake) valueOf(m *member) []byte {
	in.value = in.appendBody(in.value[:0], m.value, m.flags&jsonscan.Dirty != 0)
	return in.value
}

// emit copies the event into the arena, with its ops.
func (in *Intake) emit(f *found, dirty bool) []byte {
	slices.SortStableFunc(in.ops, func(a, b op) int { return cmp.Compare(a.at.from, b.at.from) })
	start, at, end := len(in.arena), int32(f.value.Start), int32(f.value.End)
	for _, o := range in.ops {
		if o.at.from < at {
			continue // inside a member that is cut as a whole
		}
		in.arena = in.appendBody(in.arena, span{at, o.at.from}, dirty)
		in.arena = append(in.arena, in.patch[o.text.from:o.text.to]...)
		at = o.at.to
	}
	if tail := in.tail; len(tail) > 0 {
		in.arena = in.appendBody(in.arena, span{at, end - 1}, dirty)
		if f.last == 0 || f.last == f.members[fieldWriteKey].key {
			tail = tail[1:] // nothing stands before it, or something with its comma
		}
		in.arena = append(in.arena, tail...)
		at = end - 1
	}
	in.arena = in.appendBody(in.arena, span{at, end}, dirty)
	return in.arena[start:len(in.arena):len(in.arena)]
}

func (in *Intake) appendBody(dst []byte, s span, dirty bool) []byte {
	if dirty {
		return jsonscan.AppendClean(dst, in.body[s.from:s.to])
	}
	return append(dst, in.body[s.from:s.to]...)
}
