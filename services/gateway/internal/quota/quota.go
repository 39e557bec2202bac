// Package quota says whether a source may send more now: a bucket for its events and one for its bytes. Its invariant:
// over any time t, a source is let in at most its rate × (t + burst) and the last request that was; a request is taken
// whole or refused whole, and one that is larger than the bucket is taken from a full one too, as a debt. It holds no
// clock and no lock: ingest does, and keeps one Meter a source. Owned by the gateway.
package quota

import "time"

// Limits are what a source may send. A zero rate is no limit.
type Limits struct {
	EventsPerSecond float64
	BytesPerSecond  float64       // of bodies, decompressed
	Burst           time.Duration // how long a source that was quiet may send at once what it may in that time
}

// None tells that nothing is limited.
func (l Limits) None() bool { return l.EventsPerSecond <= 0 && l.BytesPerSecond <= 0 }

// Meter is how much of its limits a source has used. The zero Meter is one of a source that was quiet.
type Meter struct {
	events, bytes bucket
}

// Wait is how long a source has to wait before it may send anything; 0 = it may now.
func (m *Meter) Wait(now time.Time, l Limits) time.Duration {
	return max(m.events.wait(now, l.EventsPerSecond, l.Burst), m.bytes.wait(now, l.BytesPerSecond, l.Burst))
}

// Take counts a request, or nothing where the source has to wait.
func (m *Meter) Take(now time.Time, l Limits, events, bytes int) (wait time.Duration) {
	if wait = m.Wait(now, l); wait > 0 {
		return wait
	}
	m.events.level -= float64(events)
	m.bytes.level -= float64(bytes)
	return 0
}

// Give takes a request back that was counted and not let in after all.
func (m *Meter) Give(events, bytes int) {
	m.events.level += float64(events)
	m.bytes.level += float64(bytes)
}

// bucket fills with time up to what a burst takes.
type bucket struct {
	level float64 // below zero: a debt
	at    time.Time
}

func (b *bucket) wait(now time.Time, rate float64, burst time.Duration) time.Duration {
	full := rate * burst.Seconds()
	switch {
	case rate <= 0:
		*b = bucket{}
		return 0
	case b.at.IsZero():
		b.level = full
	case now.After(b.at):
		b.level += rate * now.Sub(b.at).Seconds()
	}
	if b.level = min(b.level, full); b.at.Before(now) {
		b.at = now
	}
	if b.level >= 1 {
		return 0
	}
	return time.Duration((1 - b.level) / rate * float64(time.Second))
}
