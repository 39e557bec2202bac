package event

import (
	"bytes"
	"cmp"
	"slices"

	"weir/pkg/jsonscan"
)

// fewEntries is how many entries are searched for a duplicate one by one. Beyond, unique finds them by sorting, so that
// no event can make the search quadratic.
const fewEntries = 64

// empty makes m NULL. It keeps the room but nothing of the content, which pins the bytes of other records.
func (m *Map) empty() {
	clear(m.Entries)
	*m = Map{Entries: m.Entries[:0]}
	if cap(m.Entries) > keepEntries {
		m.Entries = nil
	}
}

// put sets a key of a class. The map is valid then.
func (m *Map) put(key []byte, class uint, value []byte, kind jsonscan.Kind) {
	m.Valid = true
	bit := uint64(1) << (class & 63)
	if m.seen&bit != 0 {
		if len(m.Entries) > fewEntries {
			m.crowded = true
		} else if i := m.find(key); i >= 0 {
			m.Entries[i].Value, m.Entries[i].Kind = value, kind
			return
		}
	}
	m.seen |= bit
	m.Entries = append(m.Entries, Entry{key, value, kind})
}

// classOf tells most keys of one event apart.
func classOf(key []byte) uint {
	n := uint(len(key))
	if n == 0 {
		return 0
	}
	return n*7 + uint(key[0])*3 + uint(key[n/2])*5 + uint(key[n-1])
}

func (m *Map) find(key []byte) int {
	for i := range m.Entries {
		if string(m.Entries[i].Key) == string(key) {
			return i
		}
	}
	return -1
}

// unique leaves of each key the last entry. It returns order, its scratch.
func (m *Map) unique(order []int32) []int32 {
	if !m.crowded {
		return order
	}
	m.crowded = false
	order = order[:0]
	for i := range m.Entries {
		order = append(order, int32(i))
	}
	slices.SortFunc(order, func(a, b int32) int {
		if c := bytes.Compare(m.Entries[a].Key, m.Entries[b].Key); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	for i, at := range order[:len(order)-1] {
		if bytes.Equal(m.Entries[at].Key, m.Entries[order[i+1]].Key) {
			m.Entries[at].Key = nil
		}
	}
	m.Entries = slices.DeleteFunc(m.Entries, func(e Entry) bool { return e.Key == nil })
	return order
}
