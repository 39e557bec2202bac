package intake

import (
	"unicode/utf8"

	"weir/pkg/jsonscan"
)

// other is the Type of events whose type is none of Segment's; they are stored like any.
const other = "other"

var typeNames = [...]string{Track: "track", Identify: "identify", Page: "page", Screen: "screen", Group: "group", Alias: "alias"}

// judge decides whether an event is stored: code is empty if it is.
func (in *Intake) judge(i int, f *found) (typ, code string) {
	switch {
	case f.malformed:
		return "", CodeMalformed
	case f.value.Kind != jsonscan.Object:
		return "", CodeNotObject
	case i >= in.req.Limits.MaxEvents:
		return "", CodeTooMany
	case in.weight(f) > in.req.Limits.MaxEventBytes:
		return "", CodeTooLarge
	}
	if typ, code = in.typeOf(f); code == "" {
		code = in.judgeIDs(f)
	}
	if code == "" {
		code = judgeType(typ, f)
	}
	return typ, code
}

// weight is the size of an event with all that it inherits from the batch.
func (in *Intake) weight(f *found) int {
	return f.value.End - f.value.Start + in.inherited()
}

// inherited is the size of what every event may take from the batch.
func (in *Intake) inherited() int {
	e := &in.envelope
	n := e.sentAt.value.len()
	for _, m := range [...]*member{&e.context, &e.integrations} {
		if m.kind == jsonscan.Object {
			n += m.value.len()
		}
	}
	return n
}

// typeOf is the type that the event states, else the route's. In a batch an event that says neither is a track if it
// has an event name, as for records that Kafka producers write themselves.
func (in *Intake) typeOf(f *found) (typ, code string) {
	m := &f.members[fieldType]
	if m.absent() {
		switch {
		case in.req.Route != Batch && in.req.Route != List:
			return typeNames[in.req.Route], ""
		case !f.members[fieldEvent].absent():
			return typeNames[Track], ""
		}
		return "", CodeMissingType
	}
	if m.kind != jsonscan.String {
		return "", CodeInvalidType
	}
	text := in.textOf(m)
	for _, known := range typeNames[Track:] {
		if string(text) == known {
			return known, ""
		}
	}
	return other, ""
}

func (in *Intake) judgeIDs(f *found) string {
	for _, id := range [...]field{fieldUserID, fieldAnonymousID, fieldGroupID, fieldPreviousID, fieldMessageID} {
		if m := &f.members[id]; !m.absent() && m.kind != jsonscan.String {
			return CodeIDNotString
		}
	}
	if f.members[fieldUserID].absent() && f.members[fieldAnonymousID].absent() {
		return CodeNoID
	}
	m := &f.members[fieldMessageID]
	if m.value.to-m.value.from-2 > maxMessageID && utf8.RuneCount(in.textOf(m)) > maxMessageID {
		return CodeIDTooLong
	}
	return ""
}

// judgeType checks the fields that belong to the type. What another type's field holds is nobody's rule; the table
// keeps it.
func judgeType(typ string, f *found) string {
	switch typ {
	case typeNames[Track]:
		switch m := &f.members[fieldEvent]; {
		case m.absent():
			return CodeNoEvent
		case m.kind != jsonscan.String:
			return CodeEventString
		}
		return must(f, fieldProperties, jsonscan.Object, CodeProperties)
	case typeNames[Page], typeNames[Screen]:
		if code := must(f, fieldName, jsonscan.String, CodeNameString); code != "" {
			return code
		}
		if code := must(f, fieldCategory, jsonscan.String, CodeCategoryString); code != "" {
			return code
		}
		return must(f, fieldProperties, jsonscan.Object, CodeProperties)
	case typeNames[Identify], typeNames[Group]:
		return must(f, fieldTraits, jsonscan.Object, CodeTraits)
	}
	return ""
}

// must returns code if the field has a value of another kind. null is no value.
func must(f *found, name field, kind jsonscan.Kind, code string) string {
	if m := &f.members[name]; m.kind <= jsonscan.Null || m.kind == kind {
		return ""
	}
	return code
}

// reject keeps what the client sent, for weir.rejected.
func (in *Intake) reject(i int, f *found, code string) {
	r := Rejection{Index: i, Code: code, Message: messageOf(code)}
	if m := &f.members[fieldMessageID]; m.kind == jsonscan.String && !m.absent() {
		r.MessageID = in.keep(m)
	}
	switch {
	case f.malformed && in.rules.withhold(), in.hidesID(f): // nothing of it may be kept
	case f.malformed:
		r.Original = in.untilKey(f)
	default:
		r.Original = in.original(f)
	}
	in.Rejected = append(in.Rejected, r)
}

// keep copies the text of a string member to where results live.
func (in *Intake) keep(m *member) []byte {
	from := len(in.text)
	in.text = append(in.text, in.textOf(m)...)
	return in.text[from:len(in.text):len(in.text)]
}
