package execution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

// play feeds inputs to a machine and gives what it did.
func play(unload bool, inputs ...Input) (ops []Op, m Machine) {
	m, e := New(unload)
	for _, in := range inputs {
		ops = append(ops, e.Op)
		e = m.Step(in)
	}
	return append(ops, e.Op), m
}

func TestCourses(t *testing.T) {
	ok, busy, lost, refused, unwanted := Input{}, Input{Outcome: Busy}, Input{Outcome: Lost}, Input{Outcome: Refused}, Input{Outcome: Unwanted}
	going, succeeded := Input{State: Going}, Input{State: Succeeded}
	for name, c := range map[string]struct {
		unload bool
		inputs []Input
		ops    []Op
		end    End
		left   bool
	}{
		"an answer of two pages": {
			false,
			[]Input{ok, ok, going, ok, succeeded, {Next: "n"}, ok},
			[]Op{Start, Wait, Look, Wait, Look, Page, Page, None},
			Answered, false,
		},
		"an unload":                      {true, []Input{ok, ok, succeeded}, []Op{Start, Wait, Look, None}, Answered, false},
		"a start that is refused":        {false, []Input{refused}, []Op{Start, None}, NotStarted, false},
		"a start that loses its answer":  {false, []Input{lost, ok, ok, ok, {State: Failed}}, []Op{Start, Wait, Start, Wait, Look, None}, FailedThere, false},
		"lost, and then refused":         {false, []Input{lost, ok, refused}, []Op{Start, Wait, Start, None}, NotStarted, true},
		"given up while busy":            {false, []Input{busy, unwanted}, []Op{Start, Wait, None}, CancelledHere, false},
		"given up after a lost start":    {false, []Input{lost, unwanted, ok, ok, ok}, []Op{Start, Wait, Start, Stop, LastLook, None}, CancelledHere, false},
		"and its id is not to be had":    {false, []Input{lost, unwanted, lost}, []Op{Start, Wait, Start, None}, CancelledHere, true},
		"given up while it runs":         {false, []Input{ok, unwanted, ok, ok}, []Op{Start, Wait, Stop, LastLook, None}, CancelledHere, false},
		"and it cannot be cancelled":     {false, []Input{ok, unwanted, lost}, []Op{Start, Wait, Stop, None}, CancelledHere, true},
		"cancelled by somebody else":     {false, []Input{ok, ok, {State: Cancelled}}, []Op{Start, Wait, Look, None}, CancelledThere, false},
		"a look that is refused":         {false, []Input{ok, ok, refused, refused}, []Op{Start, Wait, Look, Stop, None}, GaveUp, true},
		"given up while it is read":      {false, []Input{ok, ok, succeeded, unwanted}, []Op{Start, Wait, Look, Page, None}, CancelledHere, false},
		"a page that is tried again":     {false, []Input{ok, ok, succeeded, {Next: "n"}, busy, ok, ok}, []Op{Start, Wait, Look, Page, Page, Wait, Page, None}, Answered, false},
		"an answer that cannot be read":  {false, []Input{ok, ok, succeeded, refused}, []Op{Start, Wait, Look, Page, None}, Unread, false},
		"throttled looks, then a state":  {false, []Input{ok, ok, busy, ok, busy, ok, {State: Failed}}, []Op{Start, Wait, Look, Wait, Look, Wait, Look, None}, FailedThere, false},
		"it goes back to waiting and on": {true, []Input{ok, ok, going, ok, going, ok, going, ok, succeeded}, []Op{Start, Wait, Look, Wait, Look, Wait, Look, Wait, Look, None}, Answered, false},
	} {
		ops, m := play(c.unload, c.inputs...)
		require.Equal(t, c.ops, ops, name)
		end, left := m.End()
		require.Equal(t, c.end, end, name)
		require.Equal(t, c.left, left, name)
	}
}

func TestAPageThatIsTriedAgainIsTheSame(t *testing.T) {
	m, _ := New(false)
	for _, in := range []Input{{}, {}, {State: Succeeded}, {Next: "second"}, {Outcome: Lost}} {
		m.Step(in)
	}
	require.Equal(t, Effect{Op: Page, Next: "second"}, m.Step(Input{}))
}

func TestWaitsGrowUpToABound(t *testing.T) {
	m, _ := New(false)
	e := m.Step(Input{})
	var all []time.Duration
	for range 20 {
		all = append(all, e.Wait)
		m.Step(Input{})
		e = m.Step(Input{State: Going})
	}
	require.Equal(t, shortest, all[0])
	require.Equal(t, longest, all[19])
	require.IsNonDecreasing(t, all)
}

// Whatever comes, it ends; and a query that was started and is not known to have ended
// was cancelled, or the end says that it may run on.
func TestNothingRunsOnUnseen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, e := New(false)
		running, fruitless := false, 0
		for e.Op != None {
			in := Input{
				Outcome: Outcome(rapid.IntRange(0, int(Unwanted)).Draw(t, "outcome")),
				State:   State(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}).Draw(t, "state")),
			}
			if (e.Op == Start || e.Op == Stop || e.Op == LastLook) && in.Outcome == Unwanted {
				in.Outcome = Lost // they are not cut short
			}
			if e.Op == Wait && in.Outcome != Unwanted {
				in.Outcome = OK
			}
			landed := in.Outcome == OK || in.Outcome == Lost && rapid.Bool().Draw(t, "landed")
			switch {
			case e.Op == Start && landed:
				running = true
			case e.Op == Stop && landed:
				running = false
			case e.Op == Look && in.Outcome == OK && in.State != Going:
				running = false
			}
			if e.Op == Wait || in.Outcome == OK {
				fruitless = 0
			} else if fruitless++; fruitless > 3 {
				t.Fatal("it does not wait between tries")
			}
			e = m.Step(in)
		}
		end, left := m.End()
		if running && !left {
			t.Fatalf("the query runs on and nobody says so: end %d", end)
		}
	})
}
