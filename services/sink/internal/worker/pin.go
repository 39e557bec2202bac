package worker

import (
	"context"
	"sync"
)

// Identity is under what a commit is sent.
type Identity struct {
	MemberID   string
	Generation int32
}

// Pin is the identity under which one ownership of one partition commits. It belongs
// to that ownership alone: ended once, it stays ended, and a regained partition gets
// another one, so that nothing which outlives its ownership can commit again.
type Pin struct {
	mu      sync.Mutex
	id      Identity
	over    bool
	spent   bool
	changed chan struct{} // closed and replaced at each change
}

// NewPin pins an ownership.
func NewPin(id Identity) *Pin {
	return &Pin{id: id, changed: make(chan struct{})}
}

// Renew follows the group to another generation: the partition was retained, or is
// being revoked and may still be flushed.
func (p *Pin) Renew(id Identity) { p.change(func() { p.id = id }) }

// End ends the ownership: revoked, lost, or drained.
func (p *Pin) End() { p.change(func() { p.over = true }) }

// Spend ends what the ownership may begin, not what it has decided: the member has an
// unanswered commit somewhere, and will be replaced.
func (p *Pin) Spend() { p.change(func() { p.spent = true }) }

func (p *Pin) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// Current is the identity to commit under. ok is false once the ownership is over.
func (p *Pin) Current() (id Identity, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id, !p.over
}

// Spent tells whether no flush may be decided any more.
func (p *Pin) Spent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent || p.over
}

// Wait returns once the pin is another than used (true), or over (false).
func (p *Pin) Wait(ctx context.Context, used Identity) bool {
	for {
		p.mu.Lock()
		id, over, changed := p.id, p.over, p.changed
		p.mu.Unlock()
		switch {
		case over:
			return false
		case id != used:
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
