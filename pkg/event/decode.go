package event

import (
	"strconv"

	"weir/pkg/jsonscan"
)

// walk passes the whole value of the record once. Maps are filled on the way; of the other fields the last value is
// noted, because of duplicate keys the last counts.
func (v *View) walk() Reason {
	s := &v.scan
	s.Reset(v.text)
	if len(v.text) == 0 {
		return Empty
	}
	if !s.EnterObject() {
		s.Skip()
		if err := s.End(); err != nil {
			return reasonOf(err)
		}
		return NotObject
	}
	for {
		k, ok := s.NextMember()
		if !ok {
			break
		}
		key := v.string(k)
		switch f := fieldOf(key); {
		case f == fields:
			if value, ok := s.Skip(); ok {
				v.Rescued.put(key, classOf(key), v.json(value), value.Kind)
			}
		case f >= context:
			v.walkMap(f)
		default:
			v.last[f], _ = s.Skip()
		}
	}
	if err := s.End(); err != nil {
		return reasonOf(err)
	}
	return ""
}

func (v *View) walkMap(f field) {
	m, s := v.mapColumn(f), &v.scan
	m.empty()
	v.last[f] = jsonscan.Value{}
	root := v.root(f)
	if !s.EnterObject() {
		v.last[f], _ = s.Skip()
		return
	}
	m.Valid = true
	alone := v.Promotion != nil && v.Promotion.alone
	for {
		k, ok := s.NextMember()
		if !ok {
			return
		}
		key := v.string(k)
		class := classOf(key)
		var c *child
		if root != nil {
			c = root.find(key, class)
		}
		if value, ok := v.walkChild(c); ok && !alone {
			m.put(key, class, v.value(value), value.Kind)
		}
	}
}

// resolveTexts gives the string columns their values.
func (v *View) resolveTexts() {
	for f := anonymousID; f <= version; f++ {
		text := v.column(f)
		switch value := v.last[f]; value.Kind {
		case jsonscan.Invalid, jsonscan.Null:
			*text = Text{}
		case jsonscan.Object, jsonscan.Array:
			*text = Text{}
			v.rescue(f)
		default:
			*text = Text{B: v.value(value), Valid: true}
		}
	}
}

// resolveTimes gives the time columns their values. What an event claims of receivedAt and timestamp, which are
// weir's to say, is rescued where it differs.
func (v *View) resolveTimes(viaGateway bool) {
	v.SentAt = v.time(sentAt)
	ownOriginal := !v.absent(originalTimestamp)
	if ownOriginal {
		v.OriginalTimestamp = v.time(originalTimestamp)
	} else {
		v.OriginalTimestamp = v.time(timestamp)
		if viaGateway && v.OriginalTimestamp == v.ReceivedAt {
			v.OriginalTimestamp = Instant{} // the gateway's own: the client claimed nothing
		}
	}
	v.Timestamp = CorrectedTime(v.OriginalTimestamp, v.SentAt, v.ReceivedAt)
	if ownOriginal {
		v.claim(timestamp, v.Timestamp)
	}
	v.claim(receivedAt, v.ReceivedAt)
}

// time reads a time field; a value that is no time is rescued.
func (v *View) time(f field) Instant {
	if v.absent(f) {
		return Instant{}
	}
	t, ok := v.parse(f)
	if !ok {
		v.rescue(f)
	}
	return t
}

// claim rescues what the event says of a time if it is not so.
func (v *View) claim(f field, is Instant) {
	if v.absent(f) {
		return
	}
	if t, ok := v.parse(f); !ok || t != is {
		v.rescue(f)
	}
}

func (v *View) parse(f field) (Instant, bool) {
	if v.last[f].Kind != jsonscan.String {
		return Instant{}, false
	}
	return ParseTime(v.string(v.last[f]))
}

// absent also holds for null and "", which clients send for a time that they do not have.
func (v *View) absent(f field) bool {
	value := v.last[f]
	return value.Kind <= jsonscan.Null || value.Kind == jsonscan.String && value.End-value.Start == 2
}

// resolveMaps rescues what stands where a map belongs, and then leaves each key once.
func (v *View) resolveMaps() {
	for f := context; f < fields; f++ {
		if v.last[f].Kind > jsonscan.Null {
			v.rescue(f)
		}
		v.order = v.mapColumn(f).unique(v.order)
	}
	v.order = v.Rescued.unique(v.order)
}

// rescue keeps the value of a field that does not fit its column.
func (v *View) rescue(f field) {
	key := v.own(append(v.arena, f.key()...))
	v.Rescued.put(key.B, classOf(key.B), v.json(v.last[f]), v.last[f].Kind)
}

// value is a value as it stands in a string column or a map: a scalar as its text, anything else as JSON text; nil for
// null.
func (v *View) value(value jsonscan.Value) []byte {
	switch value.Kind {
	case jsonscan.Null:
		return nil
	case jsonscan.String:
		return v.string(value)
	}
	return v.json(value)
}

// string is the text of a string.
func (v *View) string(value jsonscan.Value) []byte {
	if value.Flags == 0 {
		return v.text[value.Start+1 : value.End-1 : value.End-1]
	}
	return v.own(jsonscan.AppendUnescaped(v.arena, v.text[value.Start:value.End])).B
}

// json is the JSON text of a value.
func (v *View) json(value jsonscan.Value) []byte {
	if value.Flags&jsonscan.Dirty == 0 {
		return v.text[value.Start:value.End:value.End]
	}
	return v.own(jsonscan.AppendClean(v.arena, v.text[value.Start:value.End])).B
}

// appendMessageID derives the id of an event that has none from where it stands.
func appendMessageID(dst []byte, r *Record) []byte {
	dst = append(r.TopicID.Append(dst), '-')
	dst = append(strconv.AppendInt(dst, int64(r.Partition), 10), '-')
	return strconv.AppendInt(dst, r.Offset, 10)
}
