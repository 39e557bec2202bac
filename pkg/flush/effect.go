package flush

import (
	"slices"
	"time"
)

// Op is what the shell does next.
type Op uint8

// The effects of a Machine. Every one but the last three may be performed again after a crash without harm (I6).
const (
	// None: consume. The next thing is a Cut.
	None Op = iota
	// PutStarted puts the partition's `started` marker holding Effect.Offset, with If-None-Match.
	// Answer Started with the offset that the standing marker holds, or ManifestUnreadable when it holds none.
	PutStarted
	// ReadManifest reads Effect.Key. Answer ManifestRead, ManifestMissing (404 and only 404) or ManifestUnreadable.
	ReadManifest
	// PutManifest puts Effect.Manifest at its key. Answer OK.
	PutManifest
	// Commit sends ONE OffsetCommit of Effect.State under this ownership's pin. Effect.Again: the same bytes as the last
	// time, member and generation included, after a pause. Answer one of the Commit… inputs.
	Commit
	// AwaitPin waits until the pin is renewed or the ownership is over. Answer PinRenewed or OwnershipOver.
	AwaitPin
	// Complete completes the upload of file Effect.File of Effect.Manifest with If-None-Match, or puts it from the
	// bundle with If-None-Match. Answer Visible (200 without an error body, or 412) or NoSuchUpload (also 409 after its
	// retries, and a bundle that is gone). The decision stands when the first
	// Complete of a flush is asked for, so the shell may complete the other files at the same time and answer later
	// effects from what came of it.
	Complete
	// Head asks whether the file's object is there. Answer Visible or NotFound (404 and only 404).
	Head
	// Repair reads the rows of the file's Offsets from Kafka again and puts them under the same key with If-None-Match.
	// Answer Visible (200 or 412), RowsDiffer or RowsGone.
	Repair
	// ProduceDeadLetters produces every dead letter of Effect.Manifest; fresh ones from memory, recovered ones read
	// again. Answer OK once all are acknowledged, or RowsGone.
	ProduceDeadLetters
	// Notify produces Effect.Notification to the flush topic. Answer OK once it is acknowledged.
	Notify
	// Rejoin is terminal: a commit was not answered, so the member is spent. The group closes its client and joins anew;
	// only then may this partition be started again.
	Rejoin
	// End is terminal: this ownership is over. Whoever owns the partition next, this member included, starts from the
	// committed state.
	End
	// Stop is terminal: this partition stops until someone recovers it. Effect.Err is a *StopError.
	Stop
)

var opNames = [...]string{
	"None", "PutStarted", "ReadManifest", "PutManifest", "Commit", "AwaitPin", "Complete", "Head", "Repair",
	"ProduceDeadLetters", "Notify", "Rejoin", "End", "Stop",
}

func (o Op) String() string { return opNames[o] }

// Terminal reports whether nothing follows.
func (o Op) Terminal() bool { return o >= Rejoin }

// Effect is one thing to do. Only the fields that its Op names have a meaning.
type Effect struct {
	Op       Op
	Key      string    // ReadManifest: relative to the lake
	Offset   int64     // PutStarted
	State    State     // Commit
	Again    bool      // Commit: the same bytes as the last time
	Manifest *Manifest // PutManifest, Complete, Head, Repair, ProduceDeadLetters, Notify; not to be changed
	File     int       // Complete, Head, Repair: index into Manifest.Files
	Sizes    []int64   // Notify: bytes of each file as seen; not to be changed
	Lost     []int     // Notify: files that are not there, as a person accepted; not to be changed
	Err      error     // End, Rejoin: why, for the log, may be nil; Stop: a *StopError
}

// Notification is what a Notify effect produces: the files that are there, with the sizes as seen.
func (e Effect) Notification(at time.Time) Notification {
	n := e.Manifest.Notification(at)
	there := n.Files[:0]
	for i, f := range n.Files {
		f.Bytes = e.Sizes[i]
		if !slices.Contains(e.Lost, i) {
			there = append(there, f)
		}
	}
	n.Files = there
	return n
}

// InputKind is what came of an effect.
type InputKind uint8

// The inputs of a Machine.
const (
	_                  InputKind = iota
	OK                           // PutManifest, ProduceDeadLetters, Notify: done, acknowledged
	Started                      // Input.Offset: what the standing marker holds
	ManifestRead                 // Input.Manifest
	ManifestMissing              // there is no such object
	ManifestUnreadable           // Input.Err: it is there and cannot be used, a newer format included
	CommitApplied                // no error
	CommitNotApplied             // REBALANCE_IN_PROGRESS
	CommitUncertain              // COORDINATOR_*, NOT_COORDINATOR: perhaps applied, never later than the retry
	CommitFenced                 // ILLEGAL_GENERATION
	CommitOver                   // UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, STALE_MEMBER_EPOCH, UNKNOWN_TOPIC_ID
	CommitUnanswered             // a timeout, a lost connection, any other error: may be applied at any later moment
	PinRenewed                   // the partition was retained; the pin is the new generation's
	OwnershipOver                // revoked or lost; an answer to every effect
	Visible                      // the object is there; Input.Bytes: its size where it was seen
	NoSuchUpload                 // Complete: the upload is unknown
	NotFound                     // Head: 404
	RowsDiffer                   // Repair: reading again gave another number of rows; nothing was put
	RowsGone                     // Repair, ProduceDeadLetters: Kafka no longer holds all of the records; nothing was put
)

var inputNames = [...]string{
	"invalid", "OK", "Started", "ManifestRead", "ManifestMissing", "ManifestUnreadable", "CommitApplied",
	"CommitNotApplied", "CommitUncertain", "CommitFenced", "CommitOver", "CommitUnanswered", "PinRenewed",
	"OwnershipOver", "Visible", "NoSuchUpload", "NotFound", "RowsDiffer", "RowsGone",
}

func (k InputKind) String() string { return inputNames[k] }

// Input is what came of the last effect. Only the fields that its Kind names have a meaning.
type Input struct {
	Kind     InputKind
	Offset   int64     // Started
	Manifest *Manifest // ManifestRead; the Machine keeps it
	Bytes    int64     // Visible: the object's size; 0 = not looked at, so the manifest's
	Err      error     // where something went wrong: for the log and for StopError's text
}
