package intake

import "weir/pkg/jsonscan"

// putContext gives the event what it inherits of the batch's context, and the sender's address if the event comes from
// a library that runs with the user and says none itself.
func (in *Intake) putContext(f *found) {
	own := &f.members[fieldContext]
	from, inherits := in.senderOf(f)
	fill := in.req.ClientIP != "" && from.ip.absent() && in.besideUser(&from)
	if !inherits && !fill {
		return
	}
	if own.kind != jsonscan.Object {
		in.value = in.wrap(&in.context, own, fill)
		in.put(f, fieldContext, in.value)
		return
	}
	if fill && f.sender.ip.there() {
		in.value = jsonscan.AppendQuoted(in.value[:0], in.req.ClientIP)
		in.replace(f.sender.ip.value, in.value)
		fill = false
	}
	in.join(&in.context, own, fill)
}

// senderOf is what the event's context says about its sender once it has inherited what it lacks.
func (in *Intake) senderOf(f *found) (s sender, inherits bool) {
	s = f.sender
	own := &f.members[fieldContext]
	if own.kind != jsonscan.Object && !own.absent() || len(in.context.members) == 0 {
		return s, false
	}
	batch := &in.envelope.sender
	if !s.ip.there() {
		s.ip = batch.ip
	}
	if !s.direct.there() {
		s.direct = batch.direct
	}
	if !s.library.there() {
		s.library, s.name = batch.library, batch.name
	}
	return s, true
}

// besideUser tells whether the sender runs where the user is: in a browser or an app, so that the connection's address
// is the user's. Server libraries are not asked: their address would be the customer's own. Nor is C#, which runs in
// both places; such clients set context.direct.
func (in *Intake) besideUser(s *sender) bool {
	if s.direct.kind == jsonscan.True {
		return true
	}
	if s.library.kind != jsonscan.Object || s.name.kind != jsonscan.String {
		return false
	}
	switch string(in.textOf(&s.name)) {
	case "analytics.js",
		"analytics-ios", "analytics-swift",
		"analytics-android", "analytics-kotlin",
		"analytics-react-native", "@segment/analytics-react-native",
		"analytics-flutter", "analytics_flutter":
		return true
	}
	return false
}

func (in *Intake) putIntegrations(f *found) {
	own := &f.members[fieldIntegrations]
	switch {
	case len(in.integrations.members) == 0:
	case own.kind == jsonscan.Object:
		in.join(&in.integrations, own, false)
	case own.absent():
		in.value = in.wrap(&in.integrations, own, false)
		in.put(f, fieldIntegrations, in.value)
	}
}

// wrap builds the object of an event that has none.
func (in *Intake) wrap(o *overlay, own *member, fill bool) []byte {
	in.value = append(in.value[:0], '{')
	in.value = in.appendInherited(in.value, o, own, fill)
	return append(in.value, '}')
}

// join adds to the object that the event has, before its closing brace.
func (in *Intake) join(o *overlay, own *member, fill bool) {
	in.value = in.appendInherited(in.value[:0], o, own, fill)
	end := own.value.to - 1
	in.replace(span{end, end}, in.value)
}

// appendInherited appends the members of o that own lacks, and the sender's address, with the commas they need.
func (in *Intake) appendInherited(dst []byte, o *overlay, own *member, fill bool) []byte {
	comma := o.takeAll(in.body, own, &in.key)
	if fill {
		o.take([]byte("ip"))
	}
	for i := range o.members {
		m := &o.members[i]
		if !o.free(m) {
			continue
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = in.appendBody(dst, m.bytes, m.flags&jsonscan.Dirty != 0)
	}
	if fill {
		if comma {
			dst = append(dst, ',')
		}
		dst = append(dst, `"ip":`...)
		dst = jsonscan.AppendQuoted(dst, in.req.ClientIP)
	}
	return dst
}
