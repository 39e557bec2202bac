package event

import "strconv"

// MaxFanout is over how many lanes a source is spread at most.
const MaxFanout = 256

// Lane says which of the partitions of a hot source a record belongs to: HeaderFanout holds it. A source is spread over
// Fanout partitions, a power of two, from the one of its key on; all events of one user are in one lane. Each change of a
// source's fan-out is a new epoch, so that a user's records stand in order by (epoch, offset). A source that never was
// hot has no such header, and its epoch is 0.
type Lane struct {
	Lane   int // below Fanout
	Fanout int
	Epoch  int64
}

// ValidFanout tells whether a source can be spread over n lanes.
func ValidFanout(n int) bool { return n >= 1 && n <= MaxFanout && n&(n-1) == 0 }

// Append appends the header's value.
func (l Lane) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(l.Lane), 10)
	dst = strconv.AppendInt(append(dst, '/'), int64(l.Fanout), 10)
	return strconv.AppendInt(append(dst, '/'), l.Epoch, 10)
}

// ParseLane reads the header's value; false if it is not what Append writes.
func ParseLane(text []byte) (l Lane, ok bool) {
	lane, text, ok1 := number(text, '/')
	fanout, text, ok2 := number(text, '/')
	epoch, rest, ok3 := number(text, 0)
	if !ok1 || !ok2 || !ok3 || len(rest) > 0 || fanout > MaxFanout || !ValidFanout(int(fanout)) || lane >= fanout || epoch == 0 {
		return Lane{}, false
	}
	return Lane{int(lane), int(fanout), epoch}, true
}

// number reads decimal digits up to end, or up to the end of the text where that is 0.
func number(text []byte, end byte) (n int64, rest []byte, ok bool) {
	const digits = 18 // fit in an int64
	for i, c := range text {
		switch {
		case c == end && end != 0:
			return n, text[i+1:], i > 0
		case c < '0' || c > '9' || i == digits || i == 1 && n == 0:
			return 0, nil, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, nil, end == 0 && len(text) > 0
}
