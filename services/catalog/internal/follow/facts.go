package follow

import (
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/services/catalog/internal/change"
)

// Fact is something that the follower saw or did. Who counts and logs it is the
// Observer's business.
type Fact interface{ fact() }

// Observer hears every fact, on the follower's goroutine. It must not block.
type Observer func(Fact)

// Dependency is what the follower leans on.
type Dependency string

const (
	Glue    Dependency = "glue"
	Objects Dependency = "s3"
	Kafka   Dependency = "kafka"
)

// Backlog is what a table waits for.
type Backlog struct {
	Files  int
	Oldest time.Time // when the first of them was published
}

// The facts.
type (
	// Fault is one failed attempt; another follows after Wait. Err nil: the
	// dependency answers again.
	Fault struct {
		Dependency Dependency
		Err        error
		Wait       time.Duration
	}
	// Pending is the work of the round that begins, by table; none is its end.
	Pending map[string]Backlog
	// Visible is one file that can be queried now.
	Visible struct {
		Table string
		Delay time.Duration // since its flush was published
	}
	// Passed is a flush of which all files can be queried now.
	Passed struct{ Manifest string }
	// Left is the offset on the flush topic that is committed: everything before
	// it is dealt with.
	Left struct{ Next int64 }
	// Registered is what one call to Glue came to.
	Registered struct {
		Table          string
		Created, Stood int // partitions: new, and there already
	}
	// SchemaChange is one column that was changed, or that cannot be.
	SchemaChange struct {
		Table  string
		Change change.ColumnChange
	}
	// Refused is a partition that Glue will not take, whatever is tried. Its
	// files are in the lake and cannot be queried.
	Refused struct {
		Partition lake.Partition
		Err       error
	}
	// Alarm is a partition that stops at the gate.
	Alarm struct {
		Topic     string
		TopicID   lake.TopicID
		Partition int32
		Manifest  string // of the notification that raised it; "" where the gate remembered the alarm
		Reason    string
		Memory    string // key of the gate's memory, which holds the alarm until an operator removes it
	}
	// Unjudged is a gate whose memory cannot be read: nothing of its topic passes.
	Unjudged struct {
		TopicID lake.TopicID
		Err     error // ErrMemory
	}
	// Cleared is what stood at the gate and passes again, after an operator's repair.
	Cleared struct {
		Topic     string
		TopicID   lake.TopicID
		Partition int32 // -1 = the gate's memory can be read again
	}
	// Elsewhere is notifications of flushes in another lake, which are passed over.
	Elsewhere struct {
		Lake          string // as s3://bucket/prefix
		Notifications int
	}
	// Unreadable is a record of the flush topic that is no notification.
	Unreadable struct {
		Offset int64
		Err    error
	}
	// UnknownTable is a table that notifications name and this catalog does not keep.
	UnknownTable struct{ Table string }
	// Closing is a hole in the notifications that manifests are filling.
	Closing struct {
		Topic     string
		TopicID   lake.TopicID
		Partition int32
		Progress  flush.Progress
	}
	// GapClosed is a hole in the notifications that manifests have filled.
	GapClosed struct {
		Topic     string
		TopicID   lake.TopicID
		Partition int32
		From, To  uint64 // seqs, both included
	}
	// MissingObject is a file of a manifest that is not there.
	MissingObject struct{ Manifest, Key string }
	// Unlisted is a registry of columns that cannot be used, or is lost: promoted columns that are newer stay out of Glue.
	Unlisted struct{ Err error }
	// Rival is another catalog that writes the same gate memory.
	Rival struct{ Key string }
	// Rewound is the follower going back to the start of the flush topic.
	Rewound struct{ Table string } // the table that was gone
	// Created is a database (Table "") or a table that was made.
	Created struct{ Database, Table string }
)

func (Fault) fact()         {}
func (Pending) fact()       {}
func (Visible) fact()       {}
func (Passed) fact()        {}
func (Left) fact()          {}
func (Registered) fact()    {}
func (SchemaChange) fact()  {}
func (Refused) fact()       {}
func (Alarm) fact()         {}
func (Unjudged) fact()      {}
func (Cleared) fact()       {}
func (Elsewhere) fact()     {}
func (Unreadable) fact()    {}
func (UnknownTable) fact()  {}
func (Closing) fact()       {}
func (GapClosed) fact()     {}
func (MissingObject) fact() {}
func (Unlisted) fact()      {}
func (Rival) fact()         {}
func (Rewound) fact()       {}
func (Created) fact()       {}
