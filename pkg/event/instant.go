package event

import "time"

// Instant is a point in time in whole milliseconds, from the year 1 to 9999.
type Instant struct {
	Micros int64 // since 1970 UTC, a multiple of 1000
	Valid  bool
}

// The bounds of an Instant, in milliseconds since 1970.
const (
	minMillis = -62135596800000 // 0001-01-01T00:00:00.000Z
	maxMillis = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// InstantOf is t cut to milliseconds; not valid outside of the years 1 to 9999.
func InstantOf(t time.Time) Instant { return fromMillis(t.UnixMilli()) }

func fromMillis(ms int64) Instant {
	if ms < minMillis || ms > maxMillis {
		return Instant{}
	}
	return Instant{Micros: ms * 1000, Valid: true}
}

// Time is the instant in UTC; the zero Time if it is not valid.
func (t Instant) Time() time.Time {
	if !t.Valid {
		return time.Time{}
	}
	return time.UnixMicro(t.Micros).UTC()
}

// CorrectedTime is when an event happened by the server's clock: received − (sent − original). Without sent, or where
// the claims lead out of the calendar, it is original; without that, received.
func CorrectedTime(original, sent, received Instant) Instant {
	if !original.Valid {
		return received
	}
	if !sent.Valid || !received.Valid {
		return original
	}
	if t := fromMillis((received.Micros - (sent.Micros - original.Micros)) / 1000); t.Valid {
		return t
	}
	return original
}

// AppendTime appends t as RFC 3339 in UTC with milliseconds: 2026-11-23T10:00:00.000Z. It appends nothing if t is not
// valid.
func AppendTime(dst []byte, t Instant) []byte {
	if !t.Valid {
		return dst
	}
	ms := t.Micros / 1000
	days, rest := floorDiv(ms, 86400000)
	year, month, day := civil(days)
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), month, 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), rest/3600000, 2)
	dst = appendDigits(append(dst, ':'), rest/60000%60, 2)
	dst = appendDigits(append(dst, ':'), rest/1000%60, 2)
	dst = appendDigits(append(dst, '.'), rest%1000, 3)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, n int64, width int) []byte {
	for div := [...]int64{1, 10, 100, 1000}[width-1]; div > 0; div /= 10 {
		dst = append(dst, byte('0'+n/div%10))
	}
	return dst
}

// ParseTime reads RFC 3339: a date and a time with 0 to 9 digits of fraction and any offset, cut to milliseconds.
func ParseTime(b []byte) (Instant, bool) {
	year, ok1 := digitsAt(b, 0, 4)
	month, ok2 := digitsAt(b, 5, 2)
	day, ok3 := digitsAt(b, 8, 2)
	hour, ok4 := digitsAt(b, 11, 2)
	minute, ok5 := digitsAt(b, 14, 2)
	second, ok6 := digitsAt(b, 17, 2)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' ||
		b[13] != ':' || b[16] != ':' || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return Instant{}, false
	}
	millis, rest, ok := fraction(b[19:])
	if !ok {
		return Instant{}, false
	}
	offset, ok := zone(rest)
	if !ok {
		return Instant{}, false
	}
	seconds := daysFrom(year, month, day)*86400 + hour*3600 + minute*60 + second - offset
	t := fromMillis(seconds*1000 + millis)
	return t, t.Valid
}

// parseDate reads RFC 3339's full-date as days since 1970.
func parseDate(b []byte) (days int64, ok bool) {
	year, ok1 := digitsAt(b, 0, 4)
	month, ok2 := digitsAt(b, 5, 2)
	day, ok3 := digitsAt(b, 8, 2)
	if !ok1 || !ok2 || !ok3 || len(b) != 10 || b[4] != '-' || b[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return daysFrom(year, month, day), true
}

// fraction reads .d to .ddddddddd, or nothing, and keeps the milliseconds.
func fraction(b []byte) (millis int64, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, true
	}
	n := 1
	for scale := int64(100); n < len(b) && b[n]-'0' <= 9; n++ {
		millis += int64(b[n]-'0') * scale
		scale /= 10
	}
	return millis, b[n:], n > 1 && n <= 10
}

// zone reads Z or ±hh:mm as seconds east of UTC.
func zone(b []byte) (offset int64, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	hours, ok1 := digitsAt(b, 1, 2)
	minutes, ok2 := digitsAt(b, 4, 2)
	if len(b) != 6 || !ok1 || !ok2 || b[3] != ':' || hours > 23 || minutes > 59 {
		return 0, false
	}
	offset = hours*3600 + minutes*60
	switch b[0] {
	case '+':
		return offset, true
	case '-':
		return -offset, true
	}
	return 0, false
}

func digitsAt(b []byte, at, n int) (v int64, ok bool) {
	if len(b) < at+n {
		return 0, false
	}
	for _, c := range b[at : at+n] {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}
