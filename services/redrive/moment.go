package redrive

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Moment is a point in time as people write it: RFC 3339, a day in UTC, or how long
// ago. The zero Moment is none.
type Moment struct {
	text string
	at   time.Time     // unless ago is set
	ago  time.Duration // before now
}

// ParseMoment reads the text form of Moment.
func ParseMoment(text string) (Moment, error) {
	s := strings.TrimSpace(text)
	if s == "" {
		return Moment{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return Moment{text: s, at: at}, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return Moment{text: s, ago: time.Duration(n) * 24 * time.Hour}, nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return Moment{text: s, ago: d}, nil
	}
	return Moment{}, fmt.Errorf("%q is no time: want one such as 2026-11-23T10:00:00Z, a day such as 2026-11-23, or an age such as 90m or 3d", text)
}

// Set reports whether m is a point in time.
func (m Moment) Set() bool { return m.text != "" }

// Time is the point in time, seen from now.
func (m Moment) Time(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago)
	}
	return m.at
}

// before holds where one of the two is none. Ages and times are compared as of now.
func (m Moment) before(o Moment) bool {
	now := time.Now()
	return !m.Set() || !o.Set() || m.Time(now).Before(o.Time(now))
}

func (m Moment) String() string { return m.text }

// MarshalText and UnmarshalText make Moment a setting.
func (m Moment) MarshalText() ([]byte, error) { return []byte(m.text), nil }

// UnmarshalText is ParseMoment.
func (m *Moment) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMoment(string(text))
	return err
}
