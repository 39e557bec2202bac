package change

import "time"

// Bounds of the pace, in calls a second. Glue publishes no limit for the calls
// that register partitions, so the limit is felt for: halved when a call is
// throttled, one more after every ten seconds without.
const (
	PaceStart = 10.0
	PaceMin   = 0.1
	PaceMax   = 50.0

	paceStep = 10 * time.Second
)

// Pace spaces calls out, additive increase and multiplicative decrease. The
// zero value starts at PaceStart. It is not safe for concurrent use.
type Pace struct {
	rate   float64   // calls a second; 0 = not started
	raised time.Time // when the rate was last changed
	next   time.Time // no call before
}

// Rate is the present number of calls a second.
func (p *Pace) Rate() float64 {
	if p.rate == 0 {
		return PaceStart
	}
	return p.rate
}

// Take reserves the next call and says how long to wait before it.
func (p *Pace) Take(now time.Time) time.Duration {
	p.grow(now)
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(time.Duration(float64(time.Second) / p.rate))
	return at.Sub(now)
}

// Throttled halves the rate, and puts off the next call by the longer interval.
func (p *Pace) Throttled(now time.Time) {
	p.grow(now)
	p.rate = max(PaceMin, p.rate/2)
	p.raised = now
	p.next = now.Add(time.Duration(float64(time.Second) / p.rate))
}

func (p *Pace) grow(now time.Time) {
	if p.rate == 0 {
		p.rate, p.raised = PaceStart, now
	}
	if steps := now.Sub(p.raised) / paceStep; steps > 0 {
		p.rate = min(PaceMax, p.rate+float64(steps))
		p.raised = p.raised.Add(steps * paceStep)
	}
}
