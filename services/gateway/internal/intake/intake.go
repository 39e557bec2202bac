// Package intake turns the bytes of one request into events ready for Kafka and rejections: it scans the body once and
// splices into each event what the gateway adds, copying the rest byte for byte into one arena.
// Its invariants: every element of a batch ends as exactly one of an event, a duplicate and a rejection; a key that the
// gateway sets stands once in the result; the top-level write key never does; what comes out is clean UTF-8 JSON.
// It does not look up write keys, know HTTP or Kafka, read a clock or make ids: httpapi and produce do, and hand those
// in. An Intake belongs to one goroutine and is used again for the next request; results live until then.
package intake

import (
	"github.com/cespare/xxhash/v2"

	"weir/pkg/event"
	"weir/pkg/jsonscan"
)

// Route is what the path of a request says about its body.
type Route uint8

// Batch carries {"batch":[…]} and nothing else: a bare event or an array there is refused as a whole, loudly, since
// neither is what any library sends. List carries events one right after the other, whose ends the transport knows; for
// the rest it is a batch that says nothing about all its events. Every other route carries one event, whose type the
// path gives if it has none.
const (
	Batch Route = iota
	Track
	Identify
	Page
	Screen
	Group
	Alias
	List
)

// Limits bound what one request may make the gateway do. A zero field means its default.
type Limits struct {
	MaxEvents         int // events stored of one batch, 2,500; those beyond are rejected one by one
	MaxElements       int // elements of one batch, 4 × MaxEvents; beyond, the body as a whole is refused
	MaxEventBytes     int // one event with what it inherits from the batch, 36 KiB: Segment's 32 KiB and some slack
	MaxInheritedBytes int // what all events of a batch inherit, 16 MiB: it bounds how a small body can multiply
}

func (l Limits) withDefaults() Limits {
	set := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&l.MaxEvents, 2500)
	set(&l.MaxElements, 4*l.MaxEvents)
	set(&l.MaxEventBytes, 36<<10)
	set(&l.MaxInheritedBytes, 16<<20)
	return l
}

// maxMessageID is the longest messageId in characters.
const maxMessageID = 100

// Request is one request, decompressed.
type Request struct {
	Body       []byte // borrowed during Parse only
	Route      Route
	Ends       []int32 // of List: where each event ends, never before the one before it; the last where Body does
	ReceivedAt event.Instant
	// ClientIP is the sender's address, of which as much is stored as the rules allow; empty stores nothing.
	ClientIP string
	// NewID appends a messageId that has not been used before: ASCII without quotes and backslashes.
	NewID  func(dst []byte) []byte
	Limits Limits
	Rules  *Rules // of its source, for Parse; nil = none
}

// Event is one event ready for Kafka. Its slices point into the Intake.
type Event struct {
	Index     int    // in the batch, from 0
	Value     []byte // the record's value
	MessageID []byte // as text, unescaped; never empty
	Type      string // one of Segment's six types, or "other": a bounded set, for metrics
	User      uint64 // a hash of whose it is, where Settle was asked for it: the same in every process
}

// Rejection is one event that is not stored, and why. Its slices point into the Intake.
type Rejection struct {
	Index     int
	MessageID []byte // as text; nil if the event has none
	Original  []byte // as the client sent it and the rules left it, but that a top-level write key is empty; nil = not to be kept
	Code      string // one of the Code constants
	Message   string // for people
}

// Intake parses requests. Its exported fields are the result of the last Parse that returned nil; WriteKey is also set
// when Parse fails because of write keys.
type Intake struct {
	// WriteKey is the one write key that the body names, at its top level or in its events; nil if it names none.
	WriteKey []byte
	Events   []Event
	Rejected []Rejection
	// Duplicates counts events whose messageId an earlier event of the same batch has; they are in neither list.
	Duplicates int

	req   Request
	rules *Rules
	users bool
	body  []byte
	scan  jsonscan.Scanner
	fault *Error // of a body that is valid JSON
	mixed bool   // the body names several write keys

	envelope     envelope // what the batch says about all its events
	context      overlay
	integrations overlay

	found    []found // the elements of the batch, as they stand in the body
	cuts     []cut   // of all events: members that a later one of the same name overrides
	ops      []op    // of the event being spliced
	patch    []byte  // what they write
	tail     []byte  // members that the event gets at its end, each after a comma
	received []byte  // the value of receivedAt
	ids      idSet

	arena []byte // Value and Original of every result
	text  []byte // WriteKey and MessageID of every result
	key   []byte // scratch: one unescaped string
	value []byte // scratch: one value to be put

	redacted []byte  // the body as the rules left it
	ends     []int32 // of the events in it, where it is a List
}

// Parse is Read and Settle in one, for whoever knows the rules beforehand.
func (in *Intake) Parse(req Request) error {
	if err := in.Read(req); err != nil {
		return err
	}
	return in.Settle(req.Rules, false)
}

// Read scans the body, which tells WriteKey and Elements; Settle must follow. An error is an *Error: the body as a whole
// is unusable, and Settle has nothing to do.
func (in *Intake) Read(req Request) error {
	in.reset()
	in.req, in.body = req, req.Body
	in.req.Limits = req.Limits.withDefaults()
	in.received = appendTime(in.received[:0], req.ReceivedAt)
	err := in.read()
	if err != nil {
		in.forget()
	}
	return err
}

// Elements is how many events the body that was read has, right or not.
func (in *Intake) Elements() int { return len(in.found) }

// Inherits is how many bytes the events of the body that was read take over from their batch, at most. A short body can
// make them many, so they are known before they are copied.
func (in *Intake) Inherits() int64 {
	return int64(min(len(in.found)*in.inherited(), in.req.Limits.MaxInheritedBytes))
}

// Settle applies the rules of the body's source, nil for none, and fills the exported fields, Event.User only where users
// says so. An error is an *Error, as that of Read. Nothing that Settle leaves behind points into the body.
func (in *Intake) Settle(rules *Rules, users bool) error {
	defer in.forget()
	in.rules, in.users = rules, users
	in.req.ClientIP = rules.address(in.req.ClientIP)
	if err := in.redact(); err != nil {
		return err
	}
	in.context.build(in.body, &in.envelope.context)
	in.integrations.build(in.body, &in.envelope.integrations)
	if err := in.reserve(); err != nil {
		return err
	}
	for i := range in.found {
		in.settle(i)
	}
	return nil
}

// settle makes one element an event, a duplicate or a rejection.
func (in *Intake) settle(i int) {
	f := &in.found[i]
	if in.isSuppressed(f) {
		in.Rejected = append(in.Rejected, Rejection{Index: i, Code: CodeSuppressed, Message: messageOf(CodeSuppressed)})
		return
	}
	typ, code := in.judge(i, f)
	if code == "" && in.isBlocked(f) {
		code = CodeBlocked
	}
	if code != "" {
		in.reject(i, f, code)
		return
	}
	var id []byte
	if m := &f.members[fieldMessageID]; !m.absent() {
		id = in.keep(m)
		if in.ids.seen(in.Events, id) {
			in.Duplicates++
			return
		}
	}
	in.Events = append(in.Events, in.splice(i, f, typ, id))
	if in.users {
		in.Events[len(in.Events)-1].User = in.userOf(f)
	}
}

// userOf is a hash of an event's userId, or of its anonymousId where it has none: judge has seen that one of them is there.
// It is taken of the text, so that two spellings of one id are one user.
func (in *Intake) userOf(f *found) uint64 {
	m := &f.members[fieldUserID]
	if m.absent() {
		m = &f.members[fieldAnonymousID]
	}
	return xxhash.Sum64(in.textOf(m))
}

// Copied is how many bytes of the body the rules made a copy of.
func (in *Intake) Copied() int64 { return int64(len(in.redacted)) }

// reserve makes room for all results at once, so that the arena seldom moves, and refuses a batch whose shared objects
// multiply beyond the limit before anything is copied.
func (in *Intake) reserve() error {
	const added = 256 // bytes of the members that the gateway adds to one event
	n := len(in.found)
	inherited := n * in.inherited()
	if inherited > in.req.Limits.MaxInheritedBytes {
		return errTooLarge
	}
	in.arena = grow(in.arena, len(in.body)+inherited+n*added)
	in.text = grow(in.text, 64*n)
	in.Events = grow(in.Events, n)
	in.ids.reset(n)
	return nil
}

// Size is about how many bytes the Intake holds, so that a pool can let go of one that a large request has blown up.
func (in *Intake) Size() int {
	const perFound, perResult = 512, 96
	return cap(in.arena) + cap(in.text) + cap(in.key) + cap(in.value) + cap(in.redacted) + cap(in.patch) + cap(in.tail) +
		cap(in.found)*perFound + (cap(in.Events)+cap(in.Rejected))*perResult + (cap(in.cuts)+cap(in.ops))*16 +
		in.context.held() + in.integrations.held() + (cap(in.ids.slots)+cap(in.ends))*4
}

// reset forgets the last request and keeps the room.
func (in *Intake) reset() {
	clear(in.Events) // they may point into an arena that has since moved
	clear(in.Rejected)
	in.WriteKey, in.Events, in.Rejected, in.Duplicates = nil, in.Events[:0], in.Rejected[:0], 0
	in.rewind()
	in.redacted = in.redacted[:0]
	in.arena, in.text = in.arena[:0], in.text[:0]
	in.context.reset()
	in.integrations.reset()
}

// rewind forgets what was read of a body.
func (in *Intake) rewind() {
	in.fault, in.mixed, in.envelope = nil, false, envelope{}
	in.found, in.cuts = in.found[:0], in.cuts[:0]
}

// forget lets go of what belongs to the caller, and of the notes on more elements than a batch stores: whoever sends
// those would keep them for as long as the results are.
func (in *Intake) forget() {
	if cap(in.found) > in.req.Limits.MaxEvents {
		in.found = nil
	}
	in.req, in.rules, in.body = Request{}, nil, nil
	in.scan.Reset(nil)
	in.context.scan.Reset(nil)
	in.integrations.scan.Reset(nil)
}

func grow[E any](s []E, n int) []E {
	if cap(s) >= n {
		return s
	}
	return make([]E, 0, n)
}
