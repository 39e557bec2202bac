// Package execution decides what to do about one query that somebody else runs: start
// it, ask how far it is, read its answer page by page, cancel it. Its invariants: a
// query that may be running is cancelled before it is given up, however its owner came
// to give it up; no call is repeated more often than its bound. It sends nothing and
// asks no clock; services/query/athena performs its effects, one at a time. Owned by
// whoever owns weir query.
package execution

import "time"

// Op is what is to be done next.
type Op uint8

// The operations. Start, Stop and LastLook are not cut short by whoever waits for the
// answer: a start that was sent must be answered before it can be cancelled.
const (
	None     Op = iota // it is over: End says how
	Start              // or start again, with the same token
	Wait               // for Effect.Wait, or until nobody wants the answer any more
	Look               // how far it is
	Page               // read the piece that Effect.Next names
	Stop               // cancel it
	LastLook           // what it had read until it was cancelled
)

// Effect is an operation with what it needs.
type Effect struct {
	Op   Op
	Wait time.Duration
	Next string // "" = the first page
}

// Outcome is what came of an operation.
type Outcome uint8

// The outcomes.
const (
	OK       Outcome = iota
	Busy             // it did not take effect, and may later
	Lost             // nobody knows whether it took effect
	Refused          // it did not take effect and never will
	Unwanted         // nobody wants the answer any more
)

// State is how far a query is.
type State uint8

// The states. A query may go from Running back to waiting: both are Going.
const (
	Going State = iota
	Succeeded
	Failed
	Cancelled // by somebody else
)

// Input is what came of an effect.
type Input struct {
	Outcome Outcome
	State   State  // of a look
	Next    string // of a page: what names the next one; "" = it was the last
}

// End is how it ended.
type End uint8

// The ends.
const (
	Unfinished     End = iota
	Answered           // every page was read
	NotStarted         // the start was refused, or never answered
	FailedThere        // the engine says that it failed
	CancelledThere     // somebody else cancelled it
	CancelledHere      // its owner did
	GaveUp             // asking how far it is came to nothing
	Unread             // it succeeded, and its answer cannot be read
)

// Bounds of patience. A wait grows by half of itself, up to longest.
const (
	shortest   = 100 * time.Millisecond
	longest    = 5 * time.Second
	startTries = 10 // about 20 s, on top of the tries of each call
	lookTries  = 10
	pageTries  = 6
)

type phase uint8

const (
	starting phase = iota
	looking
	paging
	stopping
	over
)

// Machine is one query's course.
type Machine struct {
	phase  phase
	doing  Op
	wait   time.Duration
	tries  int // in a row that came to nothing
	next   string
	unload bool
	maybe  bool // a start may have taken effect though its answer is not known
	left   bool // it may be running on
	end    End
}

// New gives a machine and its first effect. Of a query whose answer goes elsewhere
// (unload) no page is read.
func New(unload bool) (Machine, Effect) {
	m := Machine{wait: shortest, unload: unload}
	return m, m.do(Effect{Op: Start})
}

// End says how it ended, and whether the query may be running on all the same.
func (m *Machine) End() (end End, mayRunOn bool) { return m.end, m.left }

// Step takes what came of the last effect and gives the next one.
func (m *Machine) Step(in Input) Effect {
	switch m.phase {
	case starting:
		return m.do(m.started(in))
	case looking:
		return m.do(m.looked(in))
	case paging:
		return m.do(m.read(in))
	case stopping:
		return m.do(m.stopped(in))
	}
	return Effect{}
}

func (m *Machine) do(e Effect) Effect {
	m.doing = e.Op
	return e
}

func (m *Machine) started(in Input) Effect {
	switch {
	case in.Outcome == OK && m.doing == Wait:
		return Effect{Op: Start}
	case in.Outcome == OK && m.end == CancelledHere:
		return m.stop(CancelledHere)
	case in.Outcome == OK:
		m.phase, m.tries, m.wait = looking, 0, shortest
		return m.pause()
	case m.end == CancelledHere: // the last try to learn its id
		return m.finish(CancelledHere, m.maybe || in.Outcome == Lost)
	case in.Outcome == Unwanted && m.maybe: // there may be a query: its id is needed to cancel it
		m.end = CancelledHere
		return Effect{Op: Start}
	case in.Outcome == Unwanted:
		return m.finish(CancelledHere, false)
	case in.Outcome == Lost:
		m.maybe = true
	case in.Outcome == Refused:
		return m.finish(NotStarted, m.maybe)
	}
	return m.again(startTries, func() Effect { return m.finish(NotStarted, m.maybe) })
}

func (m *Machine) looked(in Input) Effect {
	switch {
	case in.Outcome == Unwanted:
		return m.stop(CancelledHere)
	case in.Outcome == Refused:
		return m.stop(GaveUp)
	case in.Outcome != OK:
		return m.again(lookTries, func() Effect { return m.stop(GaveUp) })
	case m.doing == Wait:
		return Effect{Op: Look}
	}
	m.tries = 0
	switch in.State {
	case Succeeded:
		if m.unload {
			return m.finish(Answered, false)
		}
		m.phase, m.wait = paging, shortest
		return Effect{Op: Page}
	case Failed:
		return m.finish(FailedThere, false)
	case Cancelled:
		return m.finish(CancelledThere, false)
	}
	return m.pause()
}

// read: the query has succeeded, so nothing is left to cancel.
func (m *Machine) read(in Input) Effect {
	switch {
	case in.Outcome == Unwanted:
		return m.finish(CancelledHere, false)
	case in.Outcome == Refused:
		return m.finish(Unread, false)
	case in.Outcome != OK:
		return m.again(pageTries, func() Effect { return m.finish(Unread, false) })
	case m.doing == Wait:
		return Effect{Op: Page, Next: m.next}
	case in.Next == "":
		return m.finish(Answered, false)
	}
	m.tries, m.wait, m.next = 0, shortest, in.Next
	return Effect{Op: Page, Next: m.next}
}

func (m *Machine) stopped(in Input) Effect {
	if m.doing == Stop && in.Outcome == OK {
		return Effect{Op: LastLook}
	}
	return m.finish(m.end, m.doing == Stop)
}

func (m *Machine) stop(end End) Effect {
	m.phase, m.end = stopping, end
	return Effect{Op: Stop}
}

func (m *Machine) finish(end End, left bool) Effect {
	m.phase, m.end, m.left = over, end, left
	return Effect{}
}

// again waits and then repeats, unless that was done too often.
func (m *Machine) again(bound int, giveUp func() Effect) Effect {
	if m.tries++; m.tries >= bound {
		return giveUp()
	}
	return m.pause()
}

func (m *Machine) pause() Effect {
	e := Effect{Op: Wait, Wait: m.wait}
	m.wait = min(m.wait+m.wait/2, longest)
	return e
}
