package follow

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstWait = 100 * time.Millisecond
	lastWait  = 20 * time.Second
)

// Retry performs do until it succeeds. There is nothing better to do than to
// wait, so only the end of ctx ends it; each failure is a Fault.
func Retry(ctx context.Context, tell Observer, what Dependency, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		if err == nil {
			if n > 0 {
				tell(Fault{Dependency: what})
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := backoff(n)
		tell(Fault{Dependency: what, Err: err, Wait: wait})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff is between half and all of 0.1 s · 2^n, at most 20 s.
func backoff(n int) time.Duration {
	d := lastWait
	if n < 8 {
		d = min(d, firstWait<<n)
	}
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
