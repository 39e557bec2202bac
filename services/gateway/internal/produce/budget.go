package produce

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Budget bounds how many bytes requests hold together, and how many of them one source
// may hold: never more than are still free. One source alone gets half of all, two that
// storm get a third each, and whoever holds little always finds room. A source's only
// request may have whatever is free: none is too large for its share.
type Budget struct {
	limit  int64
	used   atomic.Int64
	shares sync.Map // id of a source → *Share; there are no more than sources were ever named
}

// Share is what one source holds of the budget.
type Share struct {
	budget *Budget
	held   atomic.Int64

	spread atomic.Pointer[Spread] // over how many partitions the source's events go
	given  atomic.Int64           // bytes of events that Kafka has acknowledged
	told   int64                  // of given: what Measure has told
}

// NewBudget allows limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Of gives a source's share; that of "" is held by requests whose source is not known yet.
func (b *Budget) Of(source string) *Share {
	if s, ok := b.shares.Load(source); ok {
		return s.(*Share)
	}
	made := &Share{budget: b}
	made.spread.Store(&Spread{fanout: 1})
	s, _ := b.shares.LoadOrStore(source, made)
	return s.(*Share)
}

// Take charges n bytes to the source for a request that holds own already, or nothing when
// they do not fit: nobody waits for a budget, because whoever waits holds a connection and
// a client that will send again anyway.
func (s *Share) Take(n, own int64) bool {
	held := s.held.Add(n)
	if s.budget.charge(n, held, held == own+n) {
		return true
	}
	s.held.Add(-n)
	return false
}

// charge charges n bytes where they fit, and where a source that then holds held bytes
// leaves as much to others, unless these are of the only request that it has.
func (b *Budget) charge(n, held int64, only bool) bool {
	for {
		used := b.used.Load()
		free := b.limit - used - n
		if free < 0 || held > free && !only {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Give returns n bytes.
func (s *Share) Give(n int64) {
	s.held.Add(-n)
	s.budget.Give(n)
}

// Take charges n bytes that are in no source's share: what the spill gives back belongs to many, and has a bound of its own.
func (b *Budget) Take(n int64) bool { return b.charge(n, n, true) }

// Give returns n bytes that are in no source's share.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// adopt moves n bytes, all that a request holds, from another share to this one.
func (s *Share) adopt(n int64, from *Share) bool {
	if held := s.held.Add(n); held > n && held > s.budget.limit-s.budget.used.Load() {
		s.held.Add(-n)
		return false
	}
	from.held.Add(-n)
	return true
}

// Used is how many bytes are charged.
func (b *Budget) Used() int64 { return b.used.Load() }

// Limit is how many bytes there are.
func (b *Budget) Limit() int64 { return b.limit }

// Buffers come in powers of two, so that a flight is charged what it holds and a
// large request does not leave a large buffer with a small one. Beyond the largest
// class a buffer is made for its flight alone, in whole pages.
const (
	smallest = 12 // 4 KiB
	largest  = 21 // 2 MiB
	page     = 1 << smallest
)

type buffers [largest - smallest + 1]sync.Pool

type buffer struct{ bytes []byte }

func sizeOf(n int) int {
	if n > 1<<largest {
		return (n + page - 1) / page * page
	}
	return 1 << max(smallest, bits.Len(uint(max(n, 1)-1)))
}

func (p *buffers) get(size int) *buffer {
	if size <= 1<<largest {
		if b, ok := p[bits.Len(uint(size))-1-smallest].Get().(*buffer); ok {
			return b
		}
	}
	return &buffer{bytes: make([]byte, size)}
}

func (p *buffers) put(b *buffer) {
	if size := cap(b.bytes); size <= 1<<largest {
		p[bits.Len(uint(size))-1-smallest].Put(b)
	}
}
