package kafka

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Retention is how long a topic keeps its records: whole days such as 7d, any of
// Go's durations, or forever.
type Retention time.Duration

// Forever keeps records until someone deletes them.
const Forever Retention = -1

const day = Retention(24 * time.Hour)

// ParseRetention reads the text form of Retention.
func ParseRetention(text string) (Retention, error) {
	s := strings.TrimSpace(text)
	if strings.EqualFold(s, "forever") {
		return Forever, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseInt(days, 10, 32); err == nil && n > 0 && n <= 100_000 {
			return Retention(n) * day, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= time.Millisecond {
		return Retention(d), nil
	}
	return 0, fmt.Errorf("%q is no retention: want days such as 7d, a duration such as 36h, or forever", text)
}

func (r Retention) String() string {
	switch {
	case r == Forever:
		return "forever"
	case r > 0 && r%day == 0:
		return strconv.FormatInt(int64(r/day), 10) + "d"
	}
	return time.Duration(r).String()
}

// Milliseconds is the form of Kafka's retention.ms, where -1 is for ever.
func (r Retention) Milliseconds() int64 {
	if r == Forever {
		return -1
	}
	return time.Duration(r).Milliseconds()
}

// MarshalText and UnmarshalText make Retention a setting.
func (r Retention) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r *Retention) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRetention(string(text))
	return err
}
