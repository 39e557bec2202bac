package worker

import (
	"time"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/services/sink/internal/cut"
)

// The facts that an Observer hears. They are values; the observer counts and logs.

// Retried: an attempt failed and will be repeated.
type Retried struct {
	Dependency string // DependencyS3, DependencyKafka
	What       string
	Attempt    int // that failed, from 1
	Err        error
}

// Recovered: what was Retried succeeded.
type Recovered struct{ Dependency string }

// Started: an ownership consumes from State.Low.
type Started struct {
	Partition  int32
	State      flush.State
	RolledOver bool // a flush of an earlier ownership was finished first
}

// Blocked: the partition waits for somebody to raise a topic's limit, and asks again until
// then. Err nil: it goes on.
type Blocked struct {
	Partition int32
	Err       error
}

// Committed: one offset commit was answered, or not.
type Committed struct {
	Partition int32
	Phase     flush.Phase
	Kind      flush.InputKind
	Took      time.Duration
	Err       error // nil when applied
}

// Phases are how long the parts of a flush took.
type Phases struct {
	Encode  time.Duration // the slowest file's last row group and footer
	Upload  time.Duration // the last parts and the manifest, encoding included
	Commit  time.Duration // both commits
	Publish time.Duration // completing, dead letters, notification
	Total   time.Duration
}

// Flushed: a flush ended.
type Flushed struct {
	Partition   int32
	Trigger     cut.Trigger
	Seq         uint64
	Low         int64
	Outcome     string // published, over, stopped, rejoin
	Phases      Phases
	Files       []FlushedFile
	DeadLetters map[event.Reason]int
}

// FlushedFile is one file of a Flushed.
type FlushedFile struct {
	Table       string
	Rows, Bytes int64
}

// Repaired: an upload was lost, and its rows were written again from Kafka, or not.
type Repaired struct {
	Partition int32
	Key       string
	Kind      flush.InputKind
	Err       error
}

// Abandoned: rows that no flush has taken were dropped; the next owner reads them.
type Abandoned struct {
	Partition int32
	Rows      int64
}

// Skipped: records were flushed ahead of low and needed no row again.
type Skipped struct {
	Partition int32
	Records   int64
}
