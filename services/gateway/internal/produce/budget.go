package produce

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Budget bounds how many bytes requests hold together.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget allows limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Take charges n bytes, or nothing when they do not fit: nobody waits for a budget,
// because whoever waits holds a connection and a client that will send again anyway.
func (b *Budget) Take(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Give returns n bytes.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

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
