package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// moments unrolls the timeline: every step at its moments, in order. The same seed gives the same moments.
func (s Scenario) moments() []Step {
	rng := rand.New(rand.NewPCG(s.Seed, 1))
	var all []Step
	for _, step := range s.Timeline {
		for at := step.At; at < step.Until; at += step.Every {
			one := step
			one.At = at
			if step.Jitter > 0 {
				one.At += time.Duration(rng.Int64N(int64(step.Jitter)))
			}
			all = append(all, one)
			if step.Every == 0 {
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Step) int { return int(a.At - b.At) })
	return all
}
