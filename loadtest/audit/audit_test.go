package audit

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each kind of fault is noticed, and a clean lake is not accused.
func TestJudge(t *testing.T) {
	p0, p1, p2 := Place{0, 0}, Place{0, 1}, Place{1, 0}
	log := Log{IDs: map[Place]string{p0: "a", p1: "b", p2: ""}}
	clean := func() (Lake, map[Place]int) {
		return Lake{Rows: map[Place]int{p0: 1, p1: 1}, Raw: map[string]int{"a": 1, "b": 1}}, map[Place]int{p2: 1}
	}
	lake, dead := clean()
	require.True(t, Judge(log, lake, dead, []string{"a", "b"}).OK())
	dead[p2] = 2
	again := Judge(log, lake, dead, nil)
	require.True(t, again.OK(), "a dead letter is known by its place")
	require.Equal(t, 1, again.DeadLettersRepeated)

	cases := map[string]struct {
		change func(*Lake, map[Place]int)
		acked  []string
		found  func(Verdict) int
	}{
		"missing row":       {func(l *Lake, _ map[Place]int) { delete(l.Rows, p0) }, nil, func(v Verdict) int { return len(v.MissingInTable) }},
		"doubled row":       {func(l *Lake, _ map[Place]int) { l.Rows[p1] = 2 }, nil, func(v Verdict) int { return len(v.DoubledInTable) }},
		"unknown row":       {func(l *Lake, _ map[Place]int) { l.Rows[Place{9, 9}] = 1 }, nil, func(v Verdict) int { return len(v.UnknownInTable) }},
		"missing raw":       {func(l *Lake, _ map[Place]int) { delete(l.Raw, "a") }, nil, func(v Verdict) int { return len(v.MissingInRaw) }},
		"doubled raw":       {func(l *Lake, _ map[Place]int) { l.Raw["b"] = 3 }, nil, func(v Verdict) int { return len(v.DoubledInRaw) }},
		"lost ack":          {func(*Lake, map[Place]int) {}, []string{"c"}, func(v Verdict) int { return len(v.LostAcknowledged) }},
		"letter and row":    {func(l *Lake, _ map[Place]int) { l.Rows[p2] = 1 }, nil, func(v Verdict) int { return len(v.WrongDeadLetters) }},
		"missing letter":    {func(_ *Lake, d map[Place]int) { delete(d, p2) }, nil, func(v Verdict) int { return len(v.WrongDeadLetters) }},
		"an event's letter": {func(_ *Lake, d map[Place]int) { d[p0] = 1 }, nil, func(v Verdict) int { return len(v.WrongDeadLetters) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			lake, dead := clean()
			c.change(&lake, dead)
			v := Judge(log, lake, dead, c.acked)
			require.Equal(t, 1, c.found(v), v.String())
			require.False(t, v.OK())
		})
	}
}
