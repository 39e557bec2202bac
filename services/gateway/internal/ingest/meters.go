package ingest

import (
	"sync"
	"time"

	"weir/services/gateway/internal/quota"
	"weir/services/gateway/internal/source"
)

// meters keep what each source has used of its limits, by its id, so that a source whose
// limits are edited starts no new bucket. There are no more than sources were ever named.
type meters struct{ byID sync.Map } // id → *meter

type meter struct {
	mu sync.Mutex
	quota.Meter
}

func (m *meters) of(s *source.Source) *meter {
	if found, ok := m.byID.Load(s.ID); ok {
		return found.(*meter)
	}
	found, _ := m.byID.LoadOrStore(s.ID, new(meter))
	return found.(*meter)
}

func (m *meters) wait(s *source.Source, now time.Time) time.Duration {
	if s.Limits.None() {
		return 0
	}
	one := m.of(s)
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.Wait(now, s.Limits)
}

func (m *meters) take(s Started) time.Duration {
	if s.source.Limits.None() {
		return 0
	}
	one := m.of(s.source)
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.Take(s.at, s.source.Limits, s.events, s.bytes)
}

func (m *meters) give(s Started) {
	if s.source.Limits.None() {
		return
	}
	one := m.of(s.source)
	one.mu.Lock()
	defer one.mu.Unlock()
	one.Give(s.events, s.bytes)
}
