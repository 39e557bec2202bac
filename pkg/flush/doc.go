// Package flush is the flush protocol as values: a state machine that says which effect comes next, the state it keeps
// in the committed offset and in manifests, and the gate that lets each flush pass once.
//
// It keeps one promise: every record below the committed low stands in exactly one visible object of every table, or is
// a dead letter, whatever crashes, stalls, is replaced or answers late. The numbered invariants behind the promise are
// in DESIGN.md beside this file; comments name them as I1, I2, and so on.
//
// It performs nothing: no clock, no I/O, no goroutine. The sink's worker performs the effects of a Machine, one at a
// time, and classifies every vendor error into an Input; retries of I/O live there and never here. The catalog's
// follower does the same for a Gate. One ownership of one partition owns one Machine and throws it away when it ends.
package flush
