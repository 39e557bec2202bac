package query

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
)

// A producer that writes to Kafka by itself may claim any receivedat; the line under an
// answer is about what came in.
func TestFreshnessBelievesNoFuture(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	made := now.Add(-20 * time.Second) // the last flush
	flushOf := func(newest ...time.Time) *flush.Manifest {
		m := &flush.Manifest{CreatedAt: made}
		for _, at := range newest {
			m.Files = append(m.Files, flush.File{Table: "eventlogs", MaxTime: at}, flush.File{Table: "others", MaxTime: at.Add(time.Millisecond)})
		}
		return m
	}
	for name, c := range map[string]struct {
		flushes []*flush.Manifest
		want    string
	}{
		"nothing":           {nil, "eventlogs visible through: nothing of it is in the last flushes"},
		"dead letters only": {[]*flush.Manifest{flushOf()}, "eventlogs visible through: nothing of it is in the last flushes"},
		"the newest row": {
			[]*flush.Manifest{flushOf(now.Add(-time.Hour)), flushOf(now.Add(-30*time.Second), now.Add(-40*time.Second))},
			"eventlogs visible through 2026-11-23 11:59:30.000 UTC, lag 30s: receivedat of the newest row",
		},
		"a clock that is a little ahead": {
			[]*flush.Manifest{flushOf(made.Add(time.Second))},
			"eventlogs visible through 2026-11-23 11:59:40.000 UTC, lag 20s: receivedat of the newest row",
		},
		"one row of the year 9999": {
			[]*flush.Manifest{flushOf(now.Add(-30*time.Second), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), flushOf(now.Add(-time.Hour))},
			"eventlogs visible through 2026-11-23 11:59:40.000 UTC, lag 20s: receivedat of the newest row, or its flush where receivedat lies in the future",
		},
		"between its flush and now": {
			[]*flush.Manifest{{CreatedAt: now.Add(-time.Hour), Files: []flush.File{{Table: "eventlogs", MaxTime: now.Add(-time.Minute)}}}},
			"eventlogs visible through 2026-11-23 11:00:00.000 UTC, lag 1h0m0s: receivedat of the newest row, or its flush where receivedat lies in the future",
		},
		"a sink whose clock is ahead": {
			[]*flush.Manifest{{CreatedAt: now.Add(time.Hour), Files: []flush.File{{Table: "eventlogs", MaxTime: now.Add(time.Second)}}}},
			"eventlogs visible through 2026-11-23 12:00:00.000 UTC, lag 0s: receivedat of the newest row",
		},
	} {
		f := Freshness{Table: "eventlogs", Column: "receivedat", Now: now}
		for _, m := range c.flushes {
			f.add(m)
		}
		require.Equal(t, c.want, f.String(), name)
	}
}
