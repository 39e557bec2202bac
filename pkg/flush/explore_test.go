package flush_test

import (
	"flag"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
)

// TestMain lets the collector run less often: an exploration is one growing map.
func TestMain(m *testing.M) {
	debug.SetGCPercent(300)
	m.Run()
}

var larger = flag.Bool("model", false, "explore at the larger bounds (make model)")

// The exploration is exhaustive within its bounds: breadth first over every interleaving, so that what it finds is a
// shortest way to it.

type node struct {
	parent int32
	did    action
}

type found struct {
	states int
	what   string // "" = nothing is wrong
	trace  string
}

func (k *book) explore(limit int) found {
	type entry struct {
		w  *world
		at int32
	}
	seen := map[[2]uint64]struct{}{}
	var nodes []node
	var queue []entry
	add := func(w *world, parent int32, did action) {
		h := k.digest(w)
		if _, ok := seen[h]; ok {
			return
		}
		seen[h] = struct{}{}
		queue = append(queue, entry{w, int32(len(nodes))})
		nodes = append(nodes, node{parent, did})
	}
	add(k.first(), -1, action{what: "begin", slot: -1})
	for i := 0; i < len(queue); i++ {
		e := queue[i]
		queue[i] = entry{}
		quiet := true
		k.next(e.w, func(next *world, fault bool, did action) {
			quiet = quiet && fault
			add(next, e.at, did)
		})
		if what := k.wrong(e.w, quiet); what != "" {
			return found{len(seen), what, trace(nodes, e.at)}
		}
		if len(seen) > limit {
			return found{len(seen), "more states than the limit", ""}
		}
	}
	return found{states: len(seen)}
}

// digest brings the world into its simplest form and hashes its key.
func (k *book) digest(w *world) [2]uint64 {
	k.calm(w)
	w.forget(k)
	w.refuse()
	k.text = w.key(k, k.text[:0])
	return [2]uint64{maphash.Bytes(k.seeds[0], k.text), maphash.Bytes(k.seeds[1], k.text)}
}

// next emits every world that one step leads to.
func (k *book) next(w *world, out emit) {
	if !k.bounds.lag && len(w.topic) > 0 && w.gate.Marks[0].Alarm == "" {
		k.catalog(w, out) // an eager gate: nobody but a starting owner looks at it, and it refuses more the more it knows
		return
	}
	for p := range processes {
		k.start(w, p, out)
		k.comeback(w, p, out)
	}
	for n := range w.slots {
		if w.slots[n].m == nil {
			continue
		}
		if w.slots[n].m.Doing().Op == flush.None {
			k.cuts(w, n, out)
			continue
		}
		k.perform(w, n, out)
	}
	k.deliver(w, out)
	k.catalog(w, out)
	k.faults(w, out)
}

func trace(nodes []node, at int32) string {
	var steps []string
	for ; at >= 0; at = nodes[at].parent {
		steps = append(steps, nodes[at].did.String())
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString("\n  " + steps[i])
	}
	return b.String()
}

func run(t *testing.T, b bounds, off broken, limit int) found {
	t.Helper()
	begin := time.Now()
	got := newBook(b, off).explore(limit)
	t.Logf("%d states in %.1f s", got.states, time.Since(begin).Seconds())
	return got
}

var scenarios = []struct {
	name         string
	small, large bounds
}{
	{
		"two_phase_flush: rebalances, a crash, an expired upload",
		bounds{records: 3, tables: 1, rebalances: 2, crashes: 1, expiries: 1},
		bounds{records: 4, tables: 1, rebalances: 2, crashes: 2, expiries: 1},
	},
	{
		"unanswered commits land late",
		bounds{records: 2, tables: 1, rebalances: 1, crashes: 1, late: 2},
		bounds{records: 3, tables: 1, rebalances: 1, crashes: 1, late: 2, expiries: 1},
	},
	{
		"the partition is lost and regained while a goroutine lives on",
		bounds{records: 2, tables: 1, rebalances: 2, late: 1, expiries: 1, outlive: true},
		bounds{records: 2, tables: 1, rebalances: 3, late: 1, expiries: 1, outlive: true},
	},
	{
		"the coordinator answers in other ways",
		bounds{records: 2, tables: 1, rebalances: 2, crashes: 1, answers: 2},
		bounds{records: 2, tables: 1, rebalances: 3, crashes: 1, answers: 3},
	},
	{
		"the routing changes",
		bounds{records: 3, tables: 1, rebalances: 1, crashes: 1, expiries: 1, reroutes: 1},
		bounds{records: 4, tables: 1, rebalances: 1, crashes: 1, expiries: 1, reroutes: 2},
	},
	{
		"notifications come twice and out of order to a gate that lags",
		bounds{records: 2, tables: 1, rebalances: 1, crashes: 1, shuffles: 2, lag: true},
		bounds{records: 3, tables: 1, rebalances: 2, crashes: 1, shuffles: 2, lag: true},
	},
	{
		"two tables and a dead letter",
		bounds{records: 2, tables: 2, letters: 0b10, rebalances: 1, crashes: 1, expiries: 1},
		bounds{records: 3, tables: 2, letters: 0b010, rebalances: 1, crashes: 1},
	},
	{
		"the first start is interrupted and the reset position moves",
		bounds{records: 2, tables: 1, rebalances: 2, crashes: 2, resets: 1, late: 1},
		bounds{records: 2, tables: 1, rebalances: 2, crashes: 2, resets: 1, late: 1, answers: 1},
	},
	{
		"all at once",
		bounds{records: 2, tables: 1, rebalances: 2, crashes: 2, expiries: 1, late: 1, reroutes: 1},
		bounds{records: 3, tables: 1, rebalances: 2, crashes: 2, expiries: 1, late: 1, reroutes: 1},
	},
	{
		"an unclean election takes the committed state back",
		bounds{records: 2, tables: 1, rebalances: 1, crashes: 1, back: 1, lag: true},
		bounds{records: 2, tables: 1, rebalances: 1, crashes: 1, back: 2, lag: true},
	},
}

// alone skips what one goroutine does for long where the race detector, which has nothing to find there, is at work.
func alone(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it is long and has one goroutine")
	}
}

func TestExplore(t *testing.T) {
	alone(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			b, limit := s.small, 2_000_000
			if *larger {
				b, limit = s.large, 12_000_000
			}
			got := run(t, b, asDesigned, limit)
			require.Empty(t, got.what, fmt.Sprint("the way there:", got.trace))
		})
	}
}

// Worlds with the same key must have the same future: otherwise the exploration would leave some of it out.
func TestTheKeyTellsWorldsApart(t *testing.T) {
	alone(t)
	type future struct {
		what string
		next map[[2]uint64]string
	}
	for _, b := range []bounds{
		{records: 1, tables: 1, rebalances: 1, crashes: 1, late: 1, answers: 1, outlive: true},
		{records: 2, tables: 1, crashes: 1, expiries: 1, reroutes: 1, shuffles: 1, lag: true},
		{records: 1, tables: 2, letters: 1, rebalances: 1, resets: 1, back: 1, crashes: 1, lag: true},
	} {
		k := newBook(b, asDesigned)
		seen := map[[2]uint64]future{}
		queue, worlds := []*world{k.first()}, 0
		for ; len(queue) > 0; worlds++ {
			w := queue[0]
			queue = queue[1:]
			h, quiet := k.digest(w), true
			f := future{next: map[[2]uint64]string{}}
			var next []*world
			k.next(w, func(c *world, fault bool, did action) {
				quiet = quiet && fault
				f.next[k.digest(c)] = did.String()
				next = append(next, c)
			})
			f.what = k.wrong(w, quiet)
			if old, ok := seen[h]; ok {
				require.Equal(t, old.what, f.what)
				for d, did := range f.next {
					require.Contains(t, old.next, d, "two worlds have one key, only one can: "+did)
				}
				require.Len(t, f.next, len(old.next), "two worlds have one key")
				continue
			}
			seen[h] = f
			queue = append(queue, next...)
		}
		t.Logf("%d worlds, %d keys", worlds, len(seen))
	}
}

func TestEachRuleIsNeeded(t *testing.T) {
	for _, s := range []struct {
		off broken
		in  bounds
	}{
		{noFence, bounds{records: 2, tables: 1, rebalances: 2}},
		{noIntent, bounds{records: 2, tables: 1, rebalances: 1, crashes: 1}},
		{noForward, bounds{records: 2, tables: 1, crashes: 1, rebalances: 1, expiries: 1}},
		{noManifest, bounds{records: 2, tables: 1, back: 1, lag: true}},
		{noGateAtStart, bounds{records: 2, tables: 1, back: 1, lag: true}},
		{noRejoin, bounds{records: 1, tables: 1, crashes: 1, late: 1}},
		{sharedPin, bounds{records: 1, tables: 1, rebalances: 2, outlive: true}},
		{noSets, bounds{records: 2, tables: 1, crashes: 1, expiries: 1, reroutes: 1}},
		{noMarker, bounds{records: 2, tables: 1, crashes: 1, resets: 1}},
		{noRepeat, bounds{records: 1, tables: 1, rebalances: 2, crashes: 1, answers: 2}},
		{noAck, bounds{records: 2, tables: 1, crashes: 1}},
		{noLow, bounds{records: 2, tables: 1, crashes: 1}},
		{noSkip, bounds{records: 2, tables: 1, crashes: 1}},
		{noHead, bounds{records: 1, tables: 1, crashes: 1, expiries: 1}},
		{noCondition, bounds{records: 1, tables: 1, rebalances: 1, expiries: 1}},
		{noSettle, bounds{records: 1, tables: 1, rebalances: 1, answers: 1}},
		{noLetterAck, bounds{records: 1, tables: 1, letters: 1, crashes: 1}},
		{noChain, bounds{records: 2, tables: 1, shuffles: 1, lag: true}},
	} {
		t.Run(string(s.off), func(t *testing.T) {
			t.Parallel()
			got := run(t, s.in, s.off, 1_000_000)
			require.NotEmpty(t, got.trace, "switching it off was not noticed")
			t.Logf("noticed: %s%s", got.what, got.trace)
			// The same bounds with the rule in force are clean, so it is the rule that was missed.
			require.Empty(t, run(t, s.in, asDesigned, 1_000_000).what)
		})
	}
}
