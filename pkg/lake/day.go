package lake

import (
	"fmt"
	"time"
)

// Day is a UTC day as days since 1970-01-01: what dt of a lake partition names.
type Day int32

const secondsPerDay = 24 * 60 * 60

// DayOf is the UTC day that t falls on.
func DayOf(t time.Time) Day {
	seconds := t.Unix()
	day := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		day--
	}
	return Day(day)
}

// Time is the first instant of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String is the day as it stands in keys and in the dt column: 2026-11-23.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// ParseDay is the inverse of String.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("parse day %q: want YYYY-MM-DD", s)
	}
	return DayOf(t), nil
}
