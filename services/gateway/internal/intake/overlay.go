package intake

import (
	"bytes"
	"cmp"
	"slices"

	"weir/pkg/jsonscan"
)

// overlay is an object at batch level, context or integrations, that every event inherits one level deep: its members
// stand in the result unless the event has one of the same name.
type overlay struct {
	members []inherited
	sorted  []int32 // members by name
	text    []byte  // the names
	turn    int32   // of the event being merged
	scan    jsonscan.Scanner
}

// inherited is one member: the bytes from its key to the end of its value.
type inherited struct {
	bytes span
	name  span // in overlay.text
	flags jsonscan.Flags
	taken int32 // the last turn in which the event had its own; never: a later member has the same name
}

const never = 1<<31 - 1

func (o *overlay) reset() {
	o.turn = 0
	o.members, o.sorted, o.text = o.members[:0], o.sorted[:0], o.text[:0]
}

func (o *overlay) held() int { return cap(o.members)*24 + cap(o.sorted)*4 + cap(o.text) }

// build notes the members of m, which has been validated. Anything but an object is as good as nothing.
func (o *overlay) build(body []byte, m *member) {
	if m.kind != jsonscan.Object {
		return
	}
	o.scan.Reset(body[m.value.from:m.value.to])
	for ok := o.scan.EnterObject(); ok; {
		key, more := o.scan.NextMember()
		if !more {
			break
		}
		var v jsonscan.Value
		v, ok = o.scan.Skip()
		from := int32(len(o.text))
		o.text = jsonscan.AppendUnescaped(o.text, o.scan.Text(key))
		o.sorted = append(o.sorted, int32(len(o.members)))
		o.members = append(o.members, inherited{
			bytes: span{m.value.from + int32(key.Start), m.value.from + int32(v.End)},
			name:  span{from, int32(len(o.text))},
			flags: key.Flags | v.Flags,
			taken: -1,
		})
	}
	slices.SortFunc(o.sorted, func(a, b int32) int {
		return cmp.Or(bytes.Compare(o.name(a), o.name(b)), cmp.Compare(a, b))
	})
	for i := 1; i < len(o.sorted); i++ {
		if bytes.Equal(o.name(o.sorted[i-1]), o.name(o.sorted[i])) {
			o.members[o.sorted[i-1]].taken = never
		}
	}
}

func (o *overlay) name(i int32) []byte {
	n := o.members[i].name
	return o.text[n.from:n.to]
}

// take notes that the event of this turn has a member of that name itself.
func (o *overlay) take(name []byte) {
	low, high := 0, len(o.sorted)
	for low < high {
		mid := (low + high) / 2
		if bytes.Compare(o.name(o.sorted[mid]), name) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return
	}
	// Of equal names the last counts, and that one stands right before low.
	if m := &o.members[o.sorted[low-1]]; bytes.Equal(o.name(o.sorted[low-1]), name) {
		m.taken = o.turn
	}
}

// takeAll begins a turn and takes every name of the object m of the event. It tells whether m has any member.
func (o *overlay) takeAll(body []byte, m *member, scratch *[]byte) (any bool) {
	o.turn++
	if m.kind != jsonscan.Object {
		return false
	}
	o.scan.Reset(body[m.value.from:m.value.to])
	if len(o.members) == 0 {
		o.scan.EnterObject()
		_, any = o.scan.NextMember()
		return any
	}
	for ok := o.scan.EnterObject(); ok; {
		key, more := o.scan.NextMember()
		if !more {
			break
		}
		any = true
		if key.Flags == 0 {
			text := o.scan.Text(key)
			o.take(text[1 : len(text)-1])
		} else {
			*scratch = jsonscan.AppendUnescaped((*scratch)[:0], o.scan.Text(key))
			o.take(*scratch)
		}
		_, ok = o.scan.Skip()
	}
	return any
}

// free tells whether the event of this turn inherits the member.
func (o *overlay) free(m *inherited) bool { return m.taken != o.turn && m.taken != never }
