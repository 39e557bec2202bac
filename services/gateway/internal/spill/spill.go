// Package spill keeps the records of requests on a local disk while Kafka does not take
// them, and gives them back in order. Its invariants: Wait returns nil only after the
// request's frame is fsynced; a request is given up only after every one of its records
// is noted to be in Kafka; the files never hold more than the configured bytes (and the
// notes of what came back, a few bytes a request); after a failed write or fsync nothing
// is written any more, because what the kernel then holds is unknown.
//
// While a process lives, nothing is handed to Kafka's client a second time before the client
// said that Kafka does not have it. What was on its way when a process was killed is marked
// so: the next one looks for it in the topics (produce does). A power cut may take the newest
// marks, which are not fsynced, and a gateway may have no right to read: then such a record
// stands in Kafka twice, with the same messageId. It is never lost.
//
// It does not speak to Kafka and decides nothing about requests (produce does both).
// One directory belongs to one process, kept by a lock that the kernel gives back.
// Owned by the gateway.
package spill

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"weir/services/gateway/internal/spill/segment"
)

var (
	// ErrFull means that the spill, or its disk, has no room.
	ErrFull = errors.New("the spill is full")
	// ErrLate means that the disk did not take a frame in time. It may take it still.
	ErrLate = errors.New("the spill's disk did not take the events in time")
	// ErrUnread means that a segment could not be read now. Rewind, and try again later.
	ErrUnread = errors.New("the spill cannot be read now")
	// ErrClosed means that the spill is closed, or was for writing after a fault of its disk.
	ErrClosed = errors.New("the spill takes nothing")
)

// Options of a Log.
type Options struct {
	Dir     string
	Size    int64        // bytes of all files together; beyond it ErrFull
	Queue   int64        // bytes that may wait for a slow disk, and as many again that it is writing; beyond it ErrFull. 0 = Size
	Observe func(Commit) // called by the one goroutine that writes

	create func(path string) (file, error) // nil = on the file system; tests put faults here
	sync   func(path string) error         // of a segment that is complete; nil = as above
}

// Commit is one write of the requests that waited for it.
type Commit struct {
	Requests int
	Records  int
	Bytes    int
	Took     time.Duration // write and fsync
	Err      error
}

// file is a segment that is being written.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Log is the spill of one directory. Any goroutine may call it; one goroutine of its own
// writes, and one other may read.
type Log struct {
	opts Options
	lock *os.File
	dir  *os.File     // open, so that it can be fsynced where handles have run out
	busy atomic.Int64 // requests held or queued: a look at it is all that a healthy gateway pays

	mu       sync.Mutex
	book     *segment.Book
	pieces   []*piece // oldest first
	bytes    int64    // of all pieces
	filling  *batch   // what the next commit writes
	queued   map[string]int
	handed   []byte                   // payload of the next frame of handed requests
	marking  *marking                 // who waits for it; nil = nobody
	notes    []byte                   // payload of the next frame of notes
	open     map[segment.ID]struct{}  // Kafka's client has them
	turning  map[string]chan struct{} // closed once nothing of the key is held
	failed   error                    // of the disk; nil = it takes frames
	unread   error                    // of the newest read; nil = it succeeded
	full     bool                     // the newest commit met a disk without room
	tight    bool                     // a request found no room, and no segment went since
	oldest   int64                    // when the oldest request was spilled, Unix milliseconds
	cursor   cursor
	nextID   segment.ID
	nextFile uint64
	closing  bool

	out   *piece // that is written; only the writer looks at it
	wake  chan struct{}
	more  chan struct{}
	ended chan struct{}
}

// piece is one segment.
type piece struct {
	number uint64
	path   string
	first  segment.ID
	n      int // requests, settled or not
	left   int // requests that are not settled
	size   int64
	w      file // nil = complete
}

// cursor is where the reader stands.
type cursor struct {
	number uint64 // of the piece
	at     int64
	id     segment.ID // of the next request
}

// batch is what one commit writes.
type batch struct {
	data    []byte
	refs    []segment.Ref           // without ids
	open    []bool                  // Kafka's client has them
	early   map[int]segment.Missing // what became of them before the commit
	doubts  map[int]bool            // of which Kafka's client said, before the commit, that it does not know
	records int
	first   segment.ID
	err     error
	done    chan struct{}
}

// marking is a frame of handed requests on its way to the disk.
type marking struct {
	err  error
	done chan struct{}
}

// Ticket is a request's place in the spill, before and after its commit.
type Ticket struct {
	b *batch
	n int
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Put queues a request's frame for the next commit; the frame is copied. open says that
// Kafka's client has its records: Resolve will say what became of them.
func (l *Log) Put(frame []byte, key []byte, records int, open bool) (Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.takes(len(frame)); err != nil {
		l.tight = l.tight || l.over(len(frame))
		return Ticket{}, err
	}
	b := l.filling
	t := Ticket{b, len(b.refs)}
	b.data = append(b.data, frame...)
	b.refs = append(b.refs, segment.Ref{Key: string(key), Records: records})
	b.open = append(b.open, open)
	b.records += records
	l.queued[string(key)]++
	l.busy.Add(1)
	poke(l.wake)
	return t, nil
}

// takes says whether a frame of n bytes has room.
func (l *Log) takes(n int) error {
	switch {
	case l.closing || l.failed != nil:
		return fmt.Errorf("%w: %w", ErrClosed, errors.Join(l.failed))
	case l.over(n):
		return ErrFull
	case int64(len(l.filling.data)+n) > l.opts.Queue:
		return fmt.Errorf("%w: its disk is too slow", ErrFull)
	}
	return nil
}

func (l *Log) over(n int) bool { return l.bytes+int64(len(l.filling.data)+n) > l.opts.Size }

// Wait waits for the commit of a ticket. Nil means that the request outlives the process.
func (l *Log) Wait(t Ticket, expired <-chan time.Time) error {
	select {
	case <-t.b.done:
	case <-expired:
		select {
		case <-t.b.done: // it counts, however late it is looked at
		default:
			return ErrLate
		}
	}
	return t.b.err
}

// Refused says why the commit of a ticket failed; nil where it did not, or is still to come.
func (t Ticket) Refused() error {
	select {
	case <-t.b.done:
		return t.b.err
	default:
		return nil
	}
}

// Durable says whether the commit of a ticket has succeeded.
func (t Ticket) Durable() bool {
	select {
	case <-t.b.done:
		return t.b.err == nil
	default:
		return false
	}
}

// Held says whether a request of the key is held, or about to be; then newer requests of the
// key must not overtake it. turn, unless nil, is closed soon: once the last of them is in
// Kafka, or the last attempt has failed.
func (l *Log) Held(key []byte) (held bool, turn <-chan struct{}) {
	if l.busy.Load() == 0 {
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(string(key)) > 0, l.turning[string(key)]
}

// Holds says whether it holds anything.
func (l *Log) Holds() bool { return l.busy.Load() > 0 }

func (l *Log) of(key string) int { return l.book.Of(key) + l.queued[key] }

// Able says why the spill would not take a request; nil = it would.
func (l *Log) Able() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.full:
		return fmt.Errorf("%w: its disk has no room", ErrFull)
	case l.tight:
		return fmt.Errorf("%w: it holds %d bytes of %d (setting spill-size)", ErrFull, l.bytes, l.opts.Size)
	}
	return l.takes(0)
}

// Unread says why what is held could not be read lately; nil = it could.
func (l *Log) Unread() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unread
}

// Stats is what a spill holds.
type Stats struct {
	Bytes    int64 // on disk
	Limit    int64
	Requests int
	Records  int
	Oldest   time.Time // when the oldest of them was spilled; zero = it holds none
	Err      error     // why it takes nothing; nil = it does
}

// Stats says what the spill holds now.
func (l *Log) Stats() Stats {
	err := l.Able()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Bytes: l.bytes, Limit: l.opts.Size, Err: err}
	s.Requests, s.Records = l.book.Held()
	if s.Requests > 0 && l.oldest > 0 {
		s.Oldest = time.UnixMilli(l.oldest)
	}
	return s
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
