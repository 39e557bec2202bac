// Package course decides how a run of a job is begun and watched: when to send a start
// again, how equal runs on a cluster come down to one, how long to wait between looks.
// Its invariants: of all starts with one token one run stays, or the end says that there
// may be another; no call is repeated more often than its bound. It sends nothing and
// asks no clock; services/jobs performs its effects, one at a time. Owned by whoever owns
// weir jobs.
package course

import (
	"slices"
	"time"
)

// Op is what is to be done next.
type Op uint8

// The operations.
const (
	None   Op = iota // it is over: End says how
	Find             // the runs that have the token, in the order in which EMR took them
	Start            // or start again, with the same token
	Wait             // for Effect.Wait
	Cancel           // the run Effect.Run: it is one too many
	Look             // how far the run is
)

// Effect is an operation with what it needs.
type Effect struct {
	Op   Op
	Wait time.Duration
	Run  string
}

// Outcome is what came of an operation.
type Outcome uint8

// The outcomes.
const (
	OK       Outcome = iota
	Busy             // it did not take effect, and may later
	Lost             // nobody knows whether it took effect
	Refused          // it did not take effect and never will
	Unwanted         // whoever waited went away; a call may have taken effect all the same
)

// Input is what came of an effect.
type Input struct {
	Outcome Outcome
	Run     string   // its id: of a start, or of the oldest that was found, "" = none
	Younger []string // of a find: those that EMR took later and that have not ended
	Over    bool     // of a look: the run has ended
}

// End is how the beginning ended.
type End uint8

// The ends.
const (
	Unfinished End = iota
	Began          // Run is new, or that of an earlier start with the token: an application does not tell
	Stood          // Run had begun before
	Unchecked      // Run began on a cluster, and whether another has its token could not be looked at
	Twice          // Run stood, and Extra, which began beside it, could not be cancelled
	NotBegun       // the start was refused
	GivenUp        // no answer, or nobody wanted one any more
)

// Bounds of patience. A wait grows by half of itself, up to longest.
const (
	shortest = 500 * time.Millisecond
	longest  = 10 * time.Second
	tries    = 8 // of one call, on top of what the SDK does: about half a minute
)

// Beginning is the course of one start.
type Beginning struct {
	tokens bool // EMR knows tokens again: an application
	doing  Op
	before Op // what a wait is for
	tries  int
	wait   time.Duration
	maybe  bool // a start may have taken effect though its answer is not known
	end    End
	mine   string   // the run that was started here
	run    string   // the one that stays
	extras []string // those that do not, not cancelled yet
}

// Begin gives a beginning and its first effect. Of an application the token is EMR's own
// to know again; on a cluster it stands in the step's name, and is looked for before a
// start, after every one whose answer was lost, and after the one that was answered: the
// oldest stays, and whoever sees younger ones cancels them.
func Begin(tokens bool) (Beginning, Effect) {
	b := Beginning{tokens: tokens, wait: shortest}
	if tokens {
		return b, b.do(Effect{Op: Start})
	}
	return b, b.do(Effect{Op: Find})
}

// End says how it ended, with which run, which one is too many, and whether one may have
// begun that nobody knows the id of.
func (b *Beginning) End() (end End, run, extra string, maybe bool) {
	if b.end == Twice {
		extra = b.extras[0]
	}
	return b.end, b.run, extra, b.maybe
}

// Step takes what came of the last effect and gives the next one.
func (b *Beginning) Step(in Input) Effect {
	switch b.doing {
	case Find:
		return b.do(b.found(in))
	case Start:
		return b.do(b.started(in))
	case Cancel:
		return b.do(b.cancelled(in))
	case Wait:
		if in.Outcome == Unwanted {
			return b.do(b.giveUp())
		}
		return b.do(b.resume())
	}
	return Effect{}
}

func (b *Beginning) do(e Effect) Effect {
	b.doing = e.Op
	return e
}

func (b *Beginning) found(in Input) Effect {
	switch {
	case in.Outcome == Busy, in.Outcome == Lost:
		return b.again(Find)
	case in.Outcome != OK:
		return b.giveUp()
	case in.Run == "" && b.mine != "": // the list is late
		return b.finish(Began, b.mine)
	case in.Run == "":
		if !b.maybe { // the tries of a lost start go on
			b.tries, b.wait = 0, shortest
		}
		return Effect{Op: Start}
	}
	b.run, b.maybe = in.Run, false // one whose answer was lost is among these
	b.extras = slices.Clone(in.Younger)
	if b.mine != "" && b.mine != in.Run && !slices.Contains(b.extras, b.mine) {
		b.extras = append(b.extras, b.mine)
	}
	b.tries, b.wait = 0, shortest
	return b.cancelOrEnd()
}

func (b *Beginning) cancelOrEnd() Effect {
	switch {
	case len(b.extras) > 0:
		return Effect{Op: Cancel, Run: b.extras[0]}
	case b.run == b.mine:
		return b.finish(Began, b.run)
	}
	return b.finish(Stood, b.run)
}

func (b *Beginning) started(in Input) Effect {
	switch in.Outcome {
	case OK:
		b.mine, b.tries, b.wait = in.Run, 0, shortest
		if b.tokens {
			b.maybe = false
			return b.finish(Began, in.Run)
		}
		return Effect{Op: Find}
	case Busy:
		return b.again(Start)
	case Lost:
		b.maybe = true
		if b.tokens {
			return b.again(Start)
		}
		return b.again(Find)
	case Unwanted:
		b.maybe = true
		return b.finish(GivenUp, "")
	}
	return b.finish(NotBegun, "")
}

func (b *Beginning) cancelled(in Input) Effect {
	switch in.Outcome {
	case OK:
		b.extras, b.tries, b.wait = b.extras[1:], 0, shortest
		return b.cancelOrEnd()
	case Busy, Lost:
		return b.again(Cancel)
	}
	return b.finish(Twice, b.run)
}

// again waits and then does op once more, unless that was done too often.
func (b *Beginning) again(op Op) Effect {
	if b.tries++; b.tries >= tries {
		return b.giveUp()
	}
	e := Effect{Op: Wait, Wait: b.wait}
	b.before, b.wait = op, min(b.wait+b.wait/2, longest)
	return e
}

func (b *Beginning) resume() Effect {
	if b.before == Cancel {
		return Effect{Op: Cancel, Run: b.extras[0]}
	}
	return Effect{Op: b.before}
}

// giveUp ends it with what is known.
func (b *Beginning) giveUp() Effect {
	switch {
	case len(b.extras) > 0:
		return b.finish(Twice, b.run)
	case b.mine != "":
		return b.finish(Unchecked, b.mine)
	}
	return b.finish(GivenUp, "")
}

func (b *Beginning) finish(end End, run string) Effect {
	b.end, b.run = end, run
	return Effect{}
}
