package course

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

func TestBeginnings(t *testing.T) {
	ok, busy, lost, refused, unwanted := Input{}, Input{Outcome: Busy}, Input{Outcome: Lost}, Input{Outcome: Refused}, Input{Outcome: Unwanted}
	mine, other := Input{Run: "mine"}, Input{Run: "other"}
	both, three := Input{Run: "other", Younger: []string{"mine"}}, Input{Run: "other", Younger: []string{"third", "mine"}}
	for name, c := range map[string]struct {
		tokens bool
		inputs []Input
		ops    []Op
		end    End
		run    string
		extra  string
		maybe  bool
	}{
		"an application":                     {true, []Input{mine}, []Op{Start, None}, Began, "mine", "", false},
		"a lost answer is asked for again":   {true, []Input{lost, ok, mine}, []Op{Start, Wait, Start, None}, Began, "mine", "", false},
		"a throttled start":                  {true, []Input{busy, ok, mine}, []Op{Start, Wait, Start, None}, Began, "mine", "", false},
		"a refused start":                    {true, []Input{refused}, []Op{Start, None}, NotBegun, "", "", false},
		"lost, then refused":                 {true, []Input{lost, ok, refused}, []Op{Start, Wait, Start, None}, NotBegun, "", "", true},
		"left in a start":                    {true, []Input{unwanted}, []Op{Start, None}, GivenUp, "", "", true},
		"left while busy":                    {true, []Input{busy, unwanted}, []Op{Start, Wait, None}, GivenUp, "", "", false},
		"a cluster":                          {false, []Input{ok, mine, mine}, []Op{Find, Start, Find, None}, Began, "mine", "", false},
		"a list that is late":                {false, []Input{ok, mine, ok}, []Op{Find, Start, Find, None}, Began, "mine", "", false},
		"a step of today":                    {false, []Input{other}, []Op{Find, None}, Stood, "other", "", false},
		"a lost answer of a cluster, landed": {false, []Input{ok, lost, ok, mine}, []Op{Find, Start, Wait, Find, None}, Stood, "mine", "", false},
		"a lost start of a cluster":          {false, []Input{ok, lost, ok, ok, mine, mine}, []Op{Find, Start, Wait, Find, Start, Find, None}, Began, "mine", "", false},
		"lost, again, and the first landed":  {false, []Input{ok, lost, ok, ok, mine, both, ok}, []Op{Find, Start, Wait, Find, Start, Find, Cancel, None}, Stood, "other", "", false},
		"three at once":                      {false, []Input{ok, mine, three, ok, ok}, []Op{Find, Start, Find, Cancel, Cancel, None}, Stood, "other", "", false},
		"ours is the oldest of two":          {false, []Input{ok, mine, {Run: "mine", Younger: []string{"other"}}, ok}, []Op{Find, Start, Find, Cancel, None}, Began, "mine", "", false},
		"a lost one beside an older":         {false, []Input{ok, lost, ok, both, ok}, []Op{Find, Start, Wait, Find, Cancel, None}, Stood, "other", "", false},
		"two at once, and ours not shown":    {false, []Input{ok, mine, other, ok}, []Op{Find, Start, Find, Cancel, None}, Stood, "other", "", false},
		"and the second cannot be cancelled": {false, []Input{ok, mine, both, refused}, []Op{Find, Start, Find, Cancel, None}, Twice, "other", "mine", false},
		"or only at the second try":          {false, []Input{ok, mine, both, busy, ok, ok}, []Op{Find, Start, Find, Cancel, Wait, Cancel, None}, Stood, "other", "", false},
		"the last look is refused":           {false, []Input{ok, mine, refused}, []Op{Find, Start, Find, None}, Unchecked, "mine", "", false},
		"the first look is refused":          {false, []Input{refused}, []Op{Find, None}, GivenUp, "", "", false},
	} {
		b, e := Begin(c.tokens)
		var ops []Op
		for _, in := range c.inputs {
			ops = append(ops, e.Op)
			e = b.Step(in)
		}
		require.Equal(t, c.ops, append(ops, e.Op), name)
		end, run, extra, maybe := b.End()
		require.Equal(t, c.end, end, name)
		require.Equal(t, c.run, run, name)
		require.Equal(t, c.extra, extra, name)
		require.Equal(t, c.maybe, maybe, name)
	}
}

// world is a cluster, or an application, that several submitters of one token use.
type world struct {
	tokens bool
	runs   []string // in the order in which EMR took them
	gone   map[string]bool
}

func (w *world) take(by string) string {
	if w.tokens && len(w.runs) > 0 {
		return w.runs[0]
	}
	w.runs = append(w.runs, by)
	return by
}

func (w *world) list() (in Input) {
	for i, r := range w.runs {
		switch {
		case i == 0:
			in.Run = r
		case !w.gone[r]:
			in.Younger = append(in.Younger, r)
		}
	}
	return in
}

// TestOneRunStays: whatever is lost and however two submitters interleave, at most one
// run with the token is left, or one of them says that there may be another.
func TestOneRunStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{tokens: rapid.Bool().Draw(t, "tokens"), gone: map[string]bool{}}
		type submitter struct {
			b     Beginning
			e     Effect
			steps int
		}
		all := make([]submitter, rapid.IntRange(1, 3).Draw(t, "submitters"))
		for i := range all {
			all[i].b, all[i].e = Begin(w.tokens)
		}
		n := 0
		open := func() (list []int) {
			for i := range all {
				if all[i].e.Op != None {
					list = append(list, i)
				}
			}
			return list
		}
		for len(open()) > 0 {
			s := &all[rapid.SampledFrom(open()).Draw(t, "who")]
			in := Input{Outcome: Outcome(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 4}).Draw(t, "outcome"))}
			landed := in.Outcome == OK || (in.Outcome == Lost || in.Outcome == Unwanted) && rapid.Bool().Draw(t, "landed")
			switch {
			case s.e.Op == Wait && in.Outcome != Unwanted:
				in.Outcome = OK
			case s.e.Op == Find && in.Outcome == OK:
				in = w.list()
			case s.e.Op == Start && landed:
				n++
				in.Run = w.take(string(rune('a' + n)))
			case s.e.Op == Cancel && landed:
				w.gone[s.e.Run] = true
			}
			if in.Outcome != OK {
				in.Run, in.Younger = "", nil
			}
			s.e = s.b.Step(in)
			if s.steps++; s.steps > 200 {
				t.Fatal("it does not end")
			}
		}
		left := slices.DeleteFunc(slices.Clone(w.runs), func(r string) bool { return w.gone[r] })
		if len(left) > 0 && left[0] != w.runs[0] {
			t.Fatal("the oldest was cancelled")
		}
		said := false
		for i := range all {
			end, run, _, maybe := all[i].b.End()
			said = said || maybe || end == Unchecked || end == Twice
			if (end == Began || end == Stood) && w.gone[run] {
				t.Fatalf("%s is named and was cancelled", run)
			}
		}
		if len(left) > 1 && !said {
			t.Fatalf("%d runs and nobody says so", len(left))
		}
	})
}

func TestTriesAreBounded(t *testing.T) {
	for _, tokens := range []bool{true, false} {
		for _, outcome := range []Outcome{Busy, Lost} {
			b, e := Begin(tokens)
			var waits []time.Duration
			starts := 0
			for e.Op != None {
				in := Input{}
				switch e.Op {
				case Start:
					in.Outcome, starts = outcome, starts+1
				case Wait:
					waits = append(waits, e.Wait)
				}
				e = b.Step(in)
			}
			require.Equal(t, tries, starts)
			require.IsNonDecreasing(t, waits)
			end, _, _, maybe := b.End()
			require.Equal(t, GivenUp, end)
			require.Equal(t, outcome == Lost, maybe)
		}
	}
}

func TestWatches(t *testing.T) {
	w, e := Follow()
	var waits []time.Duration
	for range 12 {
		require.Equal(t, Look, e.Op)
		e = w.Step(Input{})
		require.Equal(t, Wait, e.Op)
		waits = append(waits, e.Wait)
		e = w.Step(Input{})
	}
	require.Equal(t, firstLook, waits[0])
	require.Equal(t, lastLook, waits[11])
	require.Equal(t, None, w.Step(Input{Over: true}).Op)
	require.True(t, w.Over())

	for _, in := range []Input{{Outcome: Refused}, {Outcome: Unwanted}} {
		w, _ = Follow()
		require.Equal(t, None, w.Step(in).Op)
		require.False(t, w.Over())
	}
	w, e = Follow()
	looks := 0
	for ; e.Op != None; e = w.Step(Input{Outcome: Busy}) {
		if e.Op == Look {
			looks++
		}
	}
	require.Equal(t, lookTries, looks)
	require.False(t, w.Over())
}
