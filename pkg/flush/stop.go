package flush

import (
	"fmt"

	"weir/pkg/lake"
)

// Cause says in one word why a partition stopped; it is a label in metrics.
type Cause string

// The causes of a Stop.
const (
	CauseForeign    Cause = "foreign"     // the committed metadata is not weir's
	CauseHome       Cause = "home"        // written for another lake or cluster
	CauseExpired    Cause = "expired"     // flushed before, but nothing is committed
	CauseGate       Cause = "gate"        // the catalog knows more than the committed offset
	CauseBehind     Cause = "behind"      // the lake holds more than the committed offset says
	CauseRetention  Cause = "retention"   // records below the log's start were not flushed
	CauseTruncated  Cause = "truncated"   // the log ends below what was flushed
	CauseManifest   Cause = "manifest"    // the named manifest is missing, unreadable or another partition's
	CauseUnrepaired Cause = "unrepaired"  // a lost upload cannot be written again
	CauseBadCut     Cause = "cut"         // the sink asked for a flush that would lose or double rows
	CauseName       Cause = "name"        // group or topic cannot stand in the committed metadata
	CauseOutOfStep  Cause = "out-of-step" // an answer that belongs to no effect
)

// Cure is what a person does about a Stop.
type Cure struct {
	First string // before the command, "" = nothing
	Only  bool   // there is no command
	Flags string // of `weir sink recover`, beside those that name the partition
}

// Flags of `weir sink recover`.
const (
	FlagAcceptLoss = "--accept-loss"
	FlagFrom       = "--from"
)

var (
	restore    = Cure{}
	acceptLoss = Cure{Flags: FlagAcceptLoss}
)

// goOnAt goes on at from; the records between low and from are lost with it.
func goOnAt(from, low int64) Cure {
	c := Cure{Flags: fmt.Sprintf("%s %d", FlagFrom, from)}
	if from > low {
		c.Flags += " " + FlagAcceptLoss
	}
	return c
}

// tryAgain is for faults of the sink itself: nothing was decided, and what is committed is sound.
func (m *Machine) tryAgain() Cure {
	c := goOnAt(m.state.Low, m.state.Low)
	c.First = "restart the sink, nothing is lost; should it stop here again"
	return c
}

// StopError is why a partition stopped, what it was at, and what to do.
type StopError struct {
	Owner    lake.Owner
	Cause    Cause
	Manifest string // the last manifest that is known, "" when there is none
	Cure     Cure
	Detail   string
	Err      error // what the shell saw, may be nil
}

func (e *StopError) Error() string {
	last, first := e.Manifest, e.Cure.First
	if last == "" {
		last = "none"
	}
	if first == "" {
		first = "to recover"
	}
	detail := e.Detail
	if e.Err != nil {
		detail += ": " + e.Err.Error()
	}
	text := fmt.Sprintf("partition %d of topic %s stopped: %s; last manifest: %s; %s", e.Owner.Partition, e.Owner.Topic, detail, last, first)
	if !e.Cure.Only {
		text += ": " + e.Command()
	}
	return text
}

// Command is the command that recovers.
func (e *StopError) Command() string {
	command := fmt.Sprintf("weir sink recover --group %s --topic %s --partition %d", e.Owner.Group, e.Owner.Topic, e.Owner.Partition)
	if e.Cure.Flags != "" {
		command += " " + e.Cure.Flags
	}
	return command
}

func (e *StopError) Unwrap() error { return e.Err }
