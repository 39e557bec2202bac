package intake

import (
	"bytes"

	"weir/pkg/jsonscan"
)

// readList reads events whose ends the transport knows. One that is no JSON spoils no other, and no event can pretend
// to be two, or what a batch says about all its events.
func (in *Intake) readList() error {
	if len(in.req.Ends) > in.req.Limits.MaxElements {
		return errTooMany
	}
	from := 0
	for _, end := range in.req.Ends {
		in.readListed(from, int(end))
		from = int(end)
	}
	switch {
	case len(in.found) == 0:
		return errEmpty
	case in.mixed:
		return errMixedKeys
	}
	return nil
}

// readListed reads the event at [from, end). What one that is no JSON has left behind is forgotten, its write key too.
func (in *Intake) readListed(from, end int) {
	cuts, text, key, mixed := len(in.cuts), len(in.text), in.WriteKey, in.mixed
	in.scan.ResetAt(in.body[:end], from)
	if in.readEvent() && in.scan.End() == nil {
		return
	}
	in.cuts, in.text, in.WriteKey, in.mixed = in.cuts[:cuts], in.text[:text], key, mixed
	in.found[len(in.found)-1] = found{malformed: true, value: jsonscan.Value{Start: from, End: end}}
}

// untilKey is a malformed event as the client sent it, but not from where it may name a write key: the name may be written
// with escapes.
func (in *Intake) untilKey(f *found) []byte {
	raw := in.body[f.value.Start:f.value.End]
	for _, sign := range [...]string{"writeKey", `\`} {
		if i := bytes.Index(raw, []byte(sign)); i >= 0 {
			raw = raw[:i]
		}
	}
	from := len(in.arena)
	in.arena = append(in.arena, raw...)
	return in.arena[from:len(in.arena):len(in.arena)]
}
