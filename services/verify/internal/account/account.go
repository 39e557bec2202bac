// Package account proves from manifests that every record of a Kafka partition
// stands in exactly one file of every table, or is a dead letter. It trusts the
// committed state for what was decided, and nothing else: every manifest, set of
// offsets and object is compared with what its neighbours say of it. It reads
// nothing itself: the shell of services/verify feeds it what stands in Kafka and in
// the lake, in an order that makes a running sink no fault, and it keeps the sets of
// offsets of one partition and no manifest. PURE; owned by the verify service.
package account

import (
	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Kind of a finding or a note.
type Kind string

// What is wrong, and makes verify fail.
const (
	Lost      Kind = "lost"       // records in no file of a table
	Doubled   Kind = "doubled"    // records in two files of a table, or in a file and among the dead letters
	NoObject  Kind = "no-object"  // a file of a published flush is not in the lake
	WrongSize Kind = "wrong-size" // its object has another size than the manifest says
	Orphan    Kind = "orphan"     // an object under a table that no decided flush names: queries count its rows
	Chain     Kind = "chain"      // manifests that do not follow one another
	State     Kind = "state"      // the committed offset and the manifests contradict each other
	WrongRows Kind = "wrong-rows" // an object holds other rows than its manifest says
	Unread    Kind = "unreadable" // an object that cannot be read
	Unowned   Kind = "unowned"    // the lake has no word of who owns the topic: no sink has ever started on it (a note where one has)
	Columns   Kind = "columns"    // files were written with a version of the registry of columns that is gone, or cannot be used
)

// What is worth knowing, and no fault.
const (
	InProgress  Kind = "in-progress"  // a decided flush is being published
	Undecided   Kind = "undecided"    // a manifest that no commit names: an attempt that was given up
	NotStarted  Kind = "not-started"  // nothing is committed, nothing was written
	NoRecords   Kind = "no-records"   // offsets that Kafka holds no record for: control records, aborted transactions
	BeyondProof Kind = "beyond-proof" // offsets in no file, and nobody can tell whether they were records
	Interleaved Kind = "interleaved"  // files of a lake partition whose ranges cross, without a record in common
	BeforeStart Kind = "before-start" // records below the offset at which the group began
	Accepted    Kind = "accepted"     // records that are lost, which an operator has accepted
	ReadAgain   Kind = "read-again"   // an operator had the sink read records a second time
	Repaired    Kind = "repaired"     // an object of another size whose rows are the right ones
	SameName    Kind = "same-name"    // another topic of this name has written into the lake: its rows cannot be told apart
)

// Finding is one thing that verify has to say, about as much as it knows.
type Finding struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"` // -1 = of no partition
	Table     string `json:"table,omitempty"`
	Offsets   Ranges `json:"offsets,omitempty"`
	Key       string `json:"key,omitempty"` // manifest or object
	Detail    string `json:"detail,omitempty"`
}

// Partition is what stands in Kafka of one Kafka partition, and whether the lake has
// manifests of it.
type Partition struct {
	Owner     lake.Owner
	ClusterID string
	Home      string // as this cluster, topic and lake have it; see flush.Home
	Committed bool
	State     flush.State
	StateErr  error           // the committed metadata is not ours
	Named     *flush.Manifest // where State's home is another: the manifest that State names, nil = not in this lake
	Newest    string          // key of the newest manifest there; "" = there is none
	LogStart  int64           // Kafka holds nothing below
	LogEnd    int64           // nor from here on
}

// Ledger is the account of one partition. It is fed the chain of decided manifests
// from the last to the first, because only a manifest's successor says that it was
// decided:
//
//	Open ── Next, Read … ── Close ── (Twice: Name …, Doubles) ── Missing, Settle
type Ledger struct {
	p      Partition
	tables []string

	Whole    bool  // the chain reaches seq 1
	First    int64 // lowest offset that the chain accounts for
	Findings []Finding
	Notes    []Finding

	next     string              // key of the manifest to be read next; "" = the chain has ended
	seq      uint64              // of the next one
	last     *flush.Manifest     // the newest of the chain, without its files
	above    header              // the one that was read before
	attempts map[string]struct{} // keys from lowest on that were not decided
	blind    bool                // what is committed says nothing of any manifest
	strange  bool                // another cluster's flushes were found

	books
	doubles
	givenUp
}

// header is what the neighbour below is compared with.
type header struct {
	key string
	seq uint64
	low int64
}

// Open reads the committed state.
func Open(p Partition, tables []string) *Ledger {
	l := &Ledger{p: p, tables: tables, First: p.State.Low, seq: p.State.Seq, attempts: make(map[string]struct{}), books: newBooks(tables)}
	l.lost, l.files = new(flush.Offsets), make(map[string]struct{})
	l.readState()
	return l
}

// State is the committed state that the account is made from.
func (l *Ledger) State() flush.State { return l.p.State }

// Owner is the partition.
func (l *Ledger) Owner() lake.Owner { return l.p.Owner }

// Found adds what the shell has found of this partition.
func (l *Ledger) Found(kind Kind, f Finding) { l.find(kind, f) }

func (l *Ledger) find(kind Kind, f Finding) {
	l.Findings = append(l.Findings, l.fill(kind, f))
}

func (l *Ledger) note(kind Kind, f Finding) {
	l.Notes = append(l.Notes, l.fill(kind, f))
}

func (l *Ledger) fill(kind Kind, f Finding) Finding {
	f.Kind, f.Topic, f.Partition = kind, l.p.Owner.Topic, l.p.Owner.Partition
	return f
}
