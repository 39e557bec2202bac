package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// stepsPerRun is how many faults a run gets.
const stepsPerRun = 24

// step is one fault of a schedule.
type step struct {
	at, length time.Duration
	fault      Fault
}

// newSchedule deals the faults out: neighbouring seeds draw from one deck until it is used up, so that each kind comes
// as often as every other, and with whichever others. Half of the runs crowd their faults together.
func newSchedule(o Options) []step {
	if o.Quiet {
		return nil
	}
	r := rand.New(rand.NewPCG(o.Seed, 3))
	window := o.Load - 5*time.Second
	if r.IntN(2) == 0 {
		window /= 2
	}
	steps := make([]step, stepsPerRun)
	all := slices.DeleteFunc(Faults(), func(f Fault) bool { return !strings.Contains(f.Name, o.Only) })
	if len(all) < stepsPerRun {
		steps = steps[:len(all)]
	}
	at := time.Second
	for i := range steps {
		n := o.Seed*stepsPerRun + uint64(i)
		deck := rand.New(rand.NewPCG(n/uint64(len(all)), 4)).Perm(len(all))
		at += time.Duration(r.Int64N(int64(2 * window / stepsPerRun)))
		steps[i] = step{at: at, length: time.Duration(1+r.IntN(25)) * time.Second, fault: all[deck[n%uint64(len(all))]]}
	}
	return steps
}

func described(steps []step) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = fmt.Sprintf("%8.3fs %s (up to %s)", s.at.Seconds(), s.fault.Name, s.length)
	}
	return list
}
