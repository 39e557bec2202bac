package course

import "time"

// A job takes minutes or hours: looks come ever more rarely, and an API that is away for
// some minutes is no reason to stop looking.
const (
	firstLook = 2 * time.Second
	lastLook  = 30 * time.Second
	lookTries = 20 // in a row that came to nothing, about eight minutes
)

// Watch is the course of waiting for a run's end.
type Watch struct {
	doing Op
	tries int
	wait  time.Duration
	over  bool
}

// Follow gives a watch and its first effect.
func Follow() (Watch, Effect) { return Watch{doing: Look, wait: firstLook}, Effect{Op: Look} }

// Over tells whether the run has ended; else the watch was given up.
func (w *Watch) Over() bool { return w.over }

// Step takes what came of the last effect and gives the next one.
func (w *Watch) Step(in Input) Effect {
	e := w.next(in)
	w.doing = e.Op
	return e
}

func (w *Watch) next(in Input) Effect {
	switch {
	case in.Outcome == Unwanted, in.Outcome == Refused:
		return Effect{}
	case w.doing == Wait:
		return Effect{Op: Look}
	case in.Outcome != OK:
		if w.tries++; w.tries >= lookTries {
			return Effect{}
		}
	case in.Over:
		w.over = true
		return Effect{}
	default:
		w.tries = 0
	}
	e := Effect{Op: Wait, Wait: w.wait}
	w.wait = min(w.wait+w.wait/2, lastLook)
	return e
}
