package redrive

import (
	"context"
	"time"
)

// pace spreads records evenly over time. What is not used does not add up.
type pace struct {
	rate int // a second; 0 = no limit
	next time.Time
}

// batch is how many records may go at once: a tenth of a second's.
func (p *pace) batch() int {
	if p.rate == 0 {
		return batchRecords
	}
	return min(max(p.rate/10, 1), batchRecords)
}

// wait waits until n records may go.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.rate == 0 {
		return nil
	}
	if pause := time.Until(p.next); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.next = time.Now().Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return nil
}
