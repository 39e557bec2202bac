package intake

import (
	"weir/pkg/jsonscan"
)

// redact makes the body what the rules leave of it, before anything is judged or copied: whatever comes after, an
// event, what it inherits or the original of a rejected one, is made of that. Where nothing changes the body stays.
func (in *Intake) redact() error {
	if in.rules == nil || in.rules.event.kids == nil {
		return nil
	}
	r := redactor{in: in, out: in.redacted[:0], most: len(in.body) + in.req.Limits.MaxInheritedBytes}
	ok := r.body()
	in.redacted = r.out
	switch {
	case !ok:
		return errTooLarge // it was read before: nothing else is wrong with it
	case !r.changed:
		return nil
	}
	r.copy(len(in.body))
	in.redacted, in.body = r.out, r.out
	if in.req.Route == List {
		in.req.Ends = in.ends
	}
	in.rewind()
	return in.read()
}

// body passes the whole body.
func (r *redactor) body() bool {
	in := r.in
	switch in.req.Route {
	case List:
		return r.list()
	case Batch:
		in.scan.Reset(in.body)
		return r.value(&in.rules.batch)
	}
	in.scan.Reset(in.body)
	return r.value(&in.rules.event)
}

// list passes each event of a list within its own bounds, and notes where it ends once the rest of it is copied. What is
// no JSON stays: no rule could be applied to it, and nothing of it is kept.
func (r *redactor) list() bool {
	in := r.in
	in.ends = in.ends[:0]
	from := 0
	for i, end := range in.req.Ends {
		if !in.found[i].malformed {
			in.scan.ResetAt(in.body[:end], from)
			if !r.value(&in.rules.event) {
				return false
			}
		}
		from = int(end)
		in.ends = append(in.ends, int32(len(r.out)+from-r.from))
	}
	return true
}

// redactor copies a body, but for what the rules change.
type redactor struct {
	in      *Intake
	out     []byte
	from    int // what of the body is copied or left out
	most    int // bytes that out may have: it bounds how sums can multiply a small body
	changed bool
}

// value passes the value that the cursor stands before, which is false where out would have too many bytes.
func (r *redactor) value(b *branch) bool {
	s := &r.in.scan
	switch s.Peek() {
	case jsonscan.Object:
		return r.object(b)
	case jsonscan.Array:
		for ok := s.EnterArray(); ok && s.NextElement(); {
			ok = r.value(b)
			if !ok {
				return false
			}
		}
		return s.Err() == nil
	}
	v, ok := s.Skip()
	if !ok || len(r.out) > r.most {
		return false
	}
	switch b.act {
	case hashMember:
		r.hash(v)
	case maskMember:
		r.mask(v)
	}
	return true
}

func (r *redactor) object(b *branch) bool {
	s := &r.in.scan
	s.EnterObject()
	dropping := false
	for {
		key, ok := s.NextMember()
		if !ok {
			break
		}
		if dropping {
			r.from, dropping = key.Start, false
		}
		kid := b.under(r.in.unescape(key))
		switch {
		case kid == nil:
			_, ok = s.Skip()
		case kid.act == dropMember:
			r.copy(key.Start)
			dropping = true
			_, ok = s.Skip()
		default:
			ok = r.value(kid)
		}
		if !ok {
			return false
		}
	}
	if dropping { // the comma before it has nothing to part any more
		r.from = s.Offset() - 1
		r.out = trimComma(r.out)
	}
	return s.Err() == nil
}

// copy copies the body up to a place where something changes.
func (r *redactor) copy(to int) {
	r.changed = true
	r.out = append(r.out, r.in.body[r.from:to]...)
	r.from = to
}

// trimComma takes the last comma away, which only white space follows; there is none behind an opening brace.
func trimComma(text []byte) []byte {
	n := len(text)
	for n > 0 && (text[n-1] == ' ' || text[n-1] == '\n' || text[n-1] == '\t' || text[n-1] == '\r') {
		n--
	}
	if n > 0 && text[n-1] == ',' {
		n--
	}
	return text[:n]
}

// hash puts the sum of a scalar in its place: of a string's text, of anything else as it is written.
func (r *redactor) hash(v jsonscan.Value) {
	text := r.in.body[v.Start:v.End]
	if v.Kind == jsonscan.String {
		text = r.in.unescape(v)
	}
	if v.Kind == jsonscan.Null || len(text) == 0 {
		return
	}
	r.copy(v.Start)
	r.out = append(r.out, '"')
	r.out = append(r.in.rules.mac.append(r.out, text), '"')
	r.from = v.End
}

// mask puts what may be stored of an address in its place, and null in the place of what is none.
func (r *redactor) mask(v jsonscan.Value) {
	if v.Kind == jsonscan.Null {
		return
	}
	r.copy(v.Start)
	r.from = v.End
	n := len(r.out)
	r.out = append(r.out, '"')
	if v.Kind == jsonscan.String {
		r.out = r.in.rules.maskIP(r.out, r.in.unescape(v))
	}
	if len(r.out) == n+1 {
		r.out = append(r.out[:n], "null"...)
		return
	}
	r.out = append(r.out, '"')
}
