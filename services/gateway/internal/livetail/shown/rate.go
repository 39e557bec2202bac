package shown

import "time"

// Rate lets so many pass in a second, and as many at once after a pause of a second. The zero Rate has had its pause.
type Rate struct {
	left float64
	at   time.Time // when left was true
}

// Take takes one, if there is one.
func (r *Rate) Take(now time.Time, perSecond float64) bool {
	if r.at.IsZero() {
		r.left = perSecond
	} else if pause := now.Sub(r.at); pause > 0 {
		r.left += pause.Seconds() * perSecond
	}
	r.left, r.at = min(r.left, perSecond), now
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}
