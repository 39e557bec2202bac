package sim

import (
	"strings"
	"time"
)

// deed is what a trap does to the call that springs it.
type deed int

// The deeds. A call that is lost or silent took effect; one that is reset, swallowed or refused did not.
const (
	reset       deed = iota + 1 // the connection breaks before the call arrives
	lose                        // the connection breaks before the answer arrives
	swallow                     // neither the call nor an answer ever arrives
	silent                      // the answer never arrives
	late                        // the caller hears of a broken connection; the call arrives after a delay
	slow                        // the call arrives after a delay
	refuse                      // HTTP: answered with a status and a code
	sayOK                       // HTTP: answered with 200 and an error in the body
	truncate                    // HTTP: the answer's body breaks off
	crashBefore                 // the process dies before the call arrives
	crashAfter                  // the process dies when the call has taken effect
	also                        // the call goes through; something else happens first
	alsoAfter                   // the call goes through; something else happens before it is answered
)

// trap waits for a call and does something to it.
type trap struct {
	fault string // what counts it
	who   string // kind of process; "" = any
	op    string // of the call; "put *" matches every op that begins so
	skip  int    // that many pass first
	count int    // then that many are hit

	do     deed
	status int           // of refuse
	code   string        // of refuse and sayOK
	delay  time.Duration // of late and slow
	then   func()        // of also and alsoAfter
}

func (t *trap) matches(who, op string) bool {
	if t.who != "" && t.who != who {
		return false
	}
	if prefix, ok := strings.CutSuffix(t.op, "*"); ok {
		return strings.HasPrefix(op, prefix)
	}
	return t.op == op
}

// set lays a trap; whoever called it may take it away again.
func (w *World) set(t trap) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = append(w.traps, &t)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		t.count = 0
	}
}

// spring is the trap that a call meets; nil for none.
func (w *World) spring(l *link, op string) *trap {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range w.traps {
		if t.count <= 0 || !t.matches(l.kind, op) {
			continue
		}
		if t.skip > 0 {
			t.skip--
			continue
		}
		if t.count--; t.count == 0 {
			w.traps = append(w.traps[:i:i], w.traps[i+1:]...)
		}
		w.counts[t.fault]++
		w.watch.excuse()
		w.trace.add(l.name, "FAULT %s at %s", t.fault, op)
		return t
	}
	return nil
}

// hit counts a fault that needs no trap.
func (w *World) hit(fault string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[fault] += n
}

// disarm takes every trap away.
func (w *World) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = nil
}
