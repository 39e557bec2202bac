package group

import "time"

// absence is for how long the group refuses a member; zero while it does not.
type absence struct {
	lasts  time.Duration
	newest time.Time // refusal
}

// refused counts one more refusal. Of the time since the one before no more than most counts: the process may have stood
// still in it, and a member that did not ask was not refused.
func (a *absence) refused(now time.Time, most time.Duration) time.Duration {
	if !a.newest.IsZero() {
		a.lasts += min(now.Sub(a.newest), most)
	}
	a.newest = now
	return a.lasts
}
