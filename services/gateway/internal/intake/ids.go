package intake

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// idSet finds messageIds that stand twice in one batch: an open-addressing table over the events kept so far. Its hash
// is not keyed, which at the few thousand events of a batch a hostile client cannot turn into more than milliseconds.
type idSet struct {
	slots []int32 // index of an event, plus one
}

// reset makes room for n ids. One alone cannot stand twice.
func (s *idSet) reset(n int) {
	if s.slots = s.slots[:0]; n < 2 {
		return
	}
	size := 1 << bits.Len(uint(2*n))
	s.slots = grow(s.slots, size)[:size]
	clear(s.slots)
}

// seen tells whether one of events has the id. If not, the id is taken to be that of the event appended next.
func (s *idSet) seen(events []Event, id []byte) bool {
	if len(s.slots) == 0 {
		return false
	}
	mask := len(s.slots) - 1
	for i := int(hash(id)) & mask; ; i = (i + 1) & mask {
		if s.slots[i] == 0 {
			s.slots[i] = int32(len(events) + 1)
			return false
		}
		if bytes.Equal(events[s.slots[i]-1].MessageID, id) {
			return true
		}
	}
}

func hash(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(len(b)) * odd
	for ; len(b) >= 8; b = b[8:] {
		high, low := bits.Mul64(h^binary.LittleEndian.Uint64(b), odd)
		h = high ^ low
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * odd
	}
	return h ^ h>>32
}
