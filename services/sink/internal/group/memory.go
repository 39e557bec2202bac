package group

import (
	"sync"
	"time"

	"weir/services/sink/internal/cut"
)

// askedFor is how long a request for memory counts before it is made again: a cut may
// wait for a slow store.
const askedFor = 30 * time.Second

// memory is the budget that all partitions of the process share. Workers report what
// they hold; it asks the ones with the largest files to cut them, and pauses those
// above their share when that does not come fast enough.
type memory struct {
	limit int64

	mu      sync.Mutex
	holders []*holder
	total   int64
}

type holder struct {
	cut.Holder
	o     *ownership
	asked time.Time
}

func newMemory(limit int64) *memory { return &memory{limit: limit} }

func (m *memory) held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// report takes what an ownership holds now. Fewer bytes in files than last time mean
// that a cut was made.
func (m *memory) report(o *ownership, now cut.Holder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.of(o)
	m.total += now.Held - h.Held
	if now.Files < h.Files || time.Since(h.asked) > askedFor {
		h.Asked = 0
	}
	now.Asked, now.Paused = h.Asked, h.Paused
	h.Holder = now
	if m.total*2 < m.limit && !m.anyPaused() {
		return
	}
	m.balance()
}

func (m *memory) balance() {
	all := make([]cut.Holder, len(m.holders))
	for i, h := range m.holders {
		all[i] = h.Holder
	}
	for i, need := range cut.Relieve(all, m.limit) {
		if h := m.holders[i]; need > 0 {
			h.Asked, h.asked = h.Asked+need, time.Now()
			h.o.worker.Relieve(h.Asked)
		}
	}
	for i, pause := range cut.Throttle(all, m.limit) {
		if h := m.holders[i]; pause != h.Paused {
			h.Paused = pause
			h.o.set(budget, pause)
		}
	}
}

func (m *memory) anyPaused() bool {
	for _, h := range m.holders {
		if h.Paused {
			return true
		}
	}
	return false
}

func (m *memory) of(o *ownership) *holder {
	for _, h := range m.holders {
		if h.o == o {
			return h
		}
	}
	h := &holder{o: o}
	m.holders = append(m.holders, h)
	return h
}

// forget drops an ownership that was given up.
func (m *memory) forget(o *ownership) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, h := range m.holders {
		if h.o == o {
			m.total -= h.Held
			m.holders = append(m.holders[:i], m.holders[i+1:]...)
			return
		}
	}
}
