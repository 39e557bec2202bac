package cut

import (
	"cmp"
	"slices"
)

// Shares of the memory budget, in percent. Between cutting and pausing there is room
// for what the cut itself needs; between pausing and resuming, so that a partition
// does not flap.
const (
	cutAbove    = 80
	pauseAbove  = 90
	resumeBelow = 60
)

// Holder is one partition's part of the memory budget.
type Holder struct {
	Held    int64 // bytes: queued records, open files, parts under way
	Files   int64 // of these, bytes that a cut of everything frees: open files, dead letters
	Largest int64 // of these, bytes of the largest of them
	Asked   int64 // bytes that it was asked to free and has not freed yet
	Paused  bool
}

// Relieve says how many bytes each holder is to free by cutting its largest files, so
// that the whole falls below the mark: nothing (nil) while it is below, or while what
// was asked for will do. While somebody is paused the mark is the one at which all go
// on: nothing else brings the whole down to it. The holder of the largest file is asked
// first, for that file, then the next: large files make few and good objects.
func Relieve(holders []Holder, budget int64) []int64 {
	mark := int64(cutAbove)
	var need int64
	for _, h := range holders {
		need += h.Held - h.Asked
		if h.Paused {
			mark = resumeBelow
		}
	}
	need -= budget * mark / 100
	if need <= 0 {
		return nil
	}
	free := make([]int64, len(holders))
	for need > 0 {
		i, left := next(holders, free)
		if left <= 0 {
			break
		}
		give := min(max(holders[i].Largest, 1), left)
		free[i] += give
		need -= give
	}
	return free
}

// next is the holder to ask, and what it could still free.
func next(holders []Holder, free []int64) (best int, left int64) {
	var size int64
	for i, h := range holders {
		l := h.Files - h.Asked - free[i]
		if s := min(h.Largest, l); s > size {
			best, left, size = i, l, s
		}
	}
	return best, left
}

// Throttle says which holders are to be paused from now on: near the end of the
// budget those above their fair share, and they stay so until the whole is well below
// it. One large partition therefore never stops the small ones.
func Throttle(holders []Holder, budget int64) []bool {
	var held int64
	for _, h := range holders {
		held += h.Held
	}
	paused := make([]bool, len(holders))
	if len(holders) == 0 || held <= budget*resumeBelow/100 {
		return paused
	}
	for i, h := range holders {
		paused[i] = h.Paused
	}
	if held < budget*pauseAbove/100 {
		return paused
	}
	share := budget / int64(len(holders))
	for i, h := range holders {
		paused[i] = h.Paused || h.Held > share
	}
	if held >= budget && !slices.Contains(paused, true) { // many small ones: the largest waits
		i := largest(holders)
		paused[i] = true
	}
	return paused
}

func largest(holders []Holder) int {
	top := slices.MaxFunc(holders, func(a, b Holder) int { return cmp.Compare(a.Held, b.Held) })
	return slices.Index(holders, top)
}
