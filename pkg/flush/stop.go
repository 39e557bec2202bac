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
	CauseRetention  Cause = "retention"   // records below the log's start were not flushed
	CauseTruncated  Cause = "truncated"   // the log ends below what was flushed
	CauseManifest   Cause = "manifest"    // the named manifest is missing, unreadable or another partition's
	CauseUnrepaired Cause = "unrepaired"  // a lost upload cannot be written again
	CauseBadCut     Cause = "cut"         // the sink asked for a flush that would lose or double rows
	CauseName       Cause = "name"        // group or topic cannot stand in the committed metadata
	CauseOutOfStep  Cause = "out-of-step" // an answer that belongs to no effect
)

// StopError is why a partition stopped, what it was at, and what to do.
type StopError struct {
	Owner    lake.Owner
	Cause    Cause
	Manifest string // the last manifest that is known, "" when there is none
	Detail   string
	Err      error // what the shell saw, may be nil
}

func (e *StopError) Error() string {
	last := e.Manifest
	if last == "" {
		last = "none"
	}
	detail := e.Detail
	if e.Err != nil {
		detail += ": " + e.Err.Error()
	}
	return fmt.Sprintf("partition %d of topic %s stopped: %s; last manifest: %s; to recover: weir sink recover --group %s --topic %s --partition %d",
		e.Owner.Partition, e.Owner.Topic, detail, last, e.Owner.Group, e.Owner.Topic, e.Owner.Partition)
}

func (e *StopError) Unwrap() error { return e.Err }
