package spill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"

	"weir/services/gateway/internal/spill/segment"
)

// Place is where a request's frame stands.
type Place struct {
	number uint64
	at     int64
	Size   int // of the frame
}

// Entry is a held request on its way back.
type Entry struct {
	segment.Ref
	Place
	At      int64            // when it was spilled, Unix milliseconds
	Doubt   bool             // Kafka may have it: an earlier process handed it to Kafka's client, or the client gave it up
	Open    bool             // Kafka's client has it: Resolve is still to come
	Lacks   segment.Missing  // the records that Kafka does not have
	All     bool             // it has none of them
	Request *segment.Request // what it holds; nil = not loaded
}

// leastRead is more than the head of a frame.
const leastRead = 64

// More has a token when something was committed or resolved.
func (l *Log) More() <-chan struct{} { return l.more }

// Next reads up to limit bytes on, and gives the requests in them that are held. end says that nothing is behind them.
// Where the next frame is longer than limit, need says how long. One goroutine calls it.
func (l *Log) Next(limit int) (list []Entry, end bool, need int, err error) {
	l.mu.Lock()
	p := l.at()
	c := l.cursor
	if p == nil {
		l.unread = nil // nothing is left that could not be
		l.mu.Unlock()
		return nil, true, 0, nil
	}
	l.mu.Unlock()
	data, err := readPart(p.path, c.at, min(int64(limit), p.size-c.at))
	if err != nil {
		return nil, false, 0, l.readFailed(p.number, err)
	}
	list, used, need, err := c.parse(p, data)
	if err != nil {
		return nil, false, 0, l.fail(err)
	}
	c.at += int64(used)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursor, l.unread = c, nil
	return l.held(list), l.at() == nil, need, nil
}

// parse reads the requests of a part of a segment, and says how much of it are whole frames; need is the length of the
// next frame where there is none.
func (c *cursor) parse(p *piece, data []byte) (list []Entry, used, need int, err error) {
	for used < len(data) {
		at := c.at + int64(used)
		f, n, ok := segment.First(data[used:])
		if !ok {
			left := len(data) - used
			if c.at+int64(len(data)) == p.size || n > 0 && n <= left || n == 0 && left >= leastRead {
				return nil, 0, 0, fmt.Errorf("%w: %s at byte %d: the disk did not keep what was fsynced", ErrDamaged, p.path, at)
			}
			if used == 0 {
				need = max(n, leastRead)
			}
			return list, used, need, nil
		}
		if f.Kind == segment.KindRequest {
			r, err := segment.ReadRequest(f.Payload)
			if err != nil {
				return nil, 0, 0, fmt.Errorf("read the segment %s at byte %d: %w", p.path, at, err)
			}
			ref := segment.Ref{ID: c.id, Key: string(r.Key), Records: r.Records}
			list = append(list, Entry{Ref: ref, Place: Place{number: p.number, at: at, Size: f.Size}, At: r.At, Request: &r})
			c.id++
		}
		used += f.Size
	}
	return list, used, 0, nil
}

// readFailed judges a segment that could not be read. It may be gone because Kafka has had everything of it
// since the reader looked: then there is nothing to read. Handles or memory may have run out: that passes, and what is
// written is not at stake.
func (l *Log) readFailed(number uint64, err error) error {
	l.mu.Lock()
	there := slices.ContainsFunc(l.pieces, func(p *piece) bool { return p.number == number })
	l.mu.Unlock()
	switch {
	case !there:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return l.fail(err)
	}
	err = fmt.Errorf("%w: %w", ErrUnread, err)
	l.mu.Lock()
	l.unread = err
	l.mu.Unlock()
	return err
}

// at is the piece in which the reader stands, copied; nil where it has read everything.
func (l *Log) at() *piece {
	for _, p := range l.pieces {
		if p.number < l.cursor.number || p.number == l.cursor.number && l.cursor.at >= p.size {
			continue
		}
		if p.number != l.cursor.number {
			l.cursor = cursor{number: p.number, id: p.first}
		}
		return &piece{number: p.number, path: p.path, first: p.first, size: p.size}
	}
	return nil
}

// held keeps the requests that Kafka does not have, with what is known of them.
func (l *Log) held(list []Entry) []Entry {
	keep := list[:0]
	for _, e := range list {
		var settled bool
		if e.Lacks, e.All, settled = l.book.Lacks(e.ID); settled {
			continue
		}
		_, e.Open = l.open[e.ID]
		e.Doubt = l.book.Doubted(e.ID)
		keep = append(keep, e)
	}
	return keep
}

// Load reads a request again; false means that Kafka has it meanwhile.
func (l *Log) Load(e *Entry) (bool, error) {
	l.mu.Lock()
	var settled bool
	e.Lacks, e.All, settled = l.book.Lacks(e.ID)
	_, e.Open = l.open[e.ID]
	e.Doubt = l.book.Doubted(e.ID)
	l.mu.Unlock()
	if settled || e.Open || e.Doubt {
		return !settled, nil
	}
	path := segmentPath(l.opts.Dir, e.number)
	data, err := readPart(path, e.at, int64(e.Size))
	if err != nil {
		return false, l.readFailed(e.number, err)
	}
	f, _, ok := segment.First(data)
	if !ok {
		return false, l.fail(fmt.Errorf("%w: %s at byte %d: the disk did not keep what was fsynced", ErrDamaged, path, e.at))
	}
	r, err := segment.ReadRequest(f.Payload)
	e.Request = &r
	return true, err
}

func readPart(path string, at, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a segment of the spill: %w", err)
	}
	data := make([]byte, n)
	_, err = f.ReadAt(data, at)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the segment %s: %w", path, err)
	}
	return data, nil
}

// Oldest notes when the oldest request was spilled that is not in Kafka, as far as was read.
func (l *Log) Oldest(at int64) {
	l.mu.Lock()
	l.oldest = at
	l.mu.Unlock()
}

// Hand notes that Kafka's client gets the requests. When it returns nil, the note outlives a kill. An error means that they
// must not be handed yet: the disk has no room, or ctx ended. A spill that writes no more gives back without notes.
func (l *Log) Hand(ctx context.Context, ids []segment.ID) error {
	l.mu.Lock()
	for _, id := range ids {
		l.open[id] = struct{}{}
		l.handed = segment.AppendHanded(l.handed, id)
	}
	if l.marking == nil {
		l.marking = &marking{done: make(chan struct{})}
	}
	m := l.marking
	l.mu.Unlock()
	poke(l.wake)
	err := l.marked(ctx, m)
	if err != nil {
		l.mu.Lock()
		for _, id := range ids {
			delete(l.open, id)
		}
		l.mu.Unlock()
	}
	return err
}

// Open says that Kafka's client gets the requests although the disk has not taken the note yet.
func (l *Log) Open(ids []segment.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.open[id] = struct{}{}
	}
}

// marked waits for a frame of handed requests.
func (l *Log) marked(ctx context.Context, m *marking) error {
	select {
	case <-m.done:
		if errors.Is(m.err, ErrFull) {
			return m.err
		}
		return nil
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Rewind sets the reader to the first request again.
func (l *Log) Rewind() {
	l.mu.Lock()
	l.cursor = cursor{}
	l.mu.Unlock()
}

// Doubts is how many requests Kafka may have: an earlier process handed them to Kafka's client, or had them there when it
// spilled them, and did not note what became of them; or the client gave them up.
func (l *Log) Doubts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.Doubts()
}

// Settle says what became of a request that Kafka's client had: which of its records Kafka
// still lacks, for certain. It does not block on the disk.
func (l *Log) Settle(r segment.Ref, missing segment.Missing) {
	l.mu.Lock()
	l.settle(r, missing)
	l.mu.Unlock()
	poke(l.wake)
	poke(l.more)
}

// Resolve is Settle for a request that was put with open, committed or not.
func (l *Log) Resolve(t Ticket, missing segment.Missing) {
	l.mu.Lock()
	switch {
	case t.b.err != nil: // it is not here
	case t.b.first > 0:
		l.settle(t.b.refs[t.n], missing)
	default:
		if t.b.early == nil {
			t.b.early = map[int]segment.Missing{}
		}
		t.b.early[t.n] = missing
	}
	l.mu.Unlock()
	poke(l.wake)
	poke(l.more)
}

// Doubt says that Kafka's client gave up a request that was put with open, and that Kafka may have it. What is on the disk
// says the same already.
func (l *Log) Doubt(t Ticket) {
	l.mu.Lock()
	switch {
	case t.b.err != nil: // it is not here
	case t.b.first > 0:
		l.unsettle(t.b.refs[t.n].ID)
	default:
		if t.b.doubts == nil {
			t.b.doubts = map[int]bool{}
		}
		t.b.doubts[t.n] = true
	}
	l.mu.Unlock()
	poke(l.more)
}

// DoubtRef is Doubt for a request that was handed.
func (l *Log) DoubtRef(r segment.Ref) {
	l.mu.Lock()
	l.unsettle(r.ID)
	l.mu.Unlock()
	poke(l.more)
}

func (l *Log) unsettle(id segment.ID) {
	delete(l.open, id)
	l.book.Doubt(id)
}

// Clear says that the requests are in doubt no more: the topics were read, or cannot be.
func (l *Log) Clear(entries []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.book.Clear(e.ID)
	}
}

func (l *Log) settle(r segment.Ref, missing segment.Missing) {
	delete(l.open, r.ID)
	l.notes = segment.AppendNote(l.notes, r.ID, missing)
	if !l.book.Settle(r, missing) {
		return
	}
	l.busy.Add(-1)
	i := sort.Search(len(l.pieces), func(i int) bool { return r.ID < l.pieces[i].first+segment.ID(l.pieces[i].n) })
	l.pieces[i].left--
	l.turned(r.Key)
}

// Turn makes new requests of the key wait: what is held of it is on its way to Kafka, and
// they can follow directly.
func (l *Log) Turn(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of(key) > 0 && l.turning[key] == nil {
		l.turning[key] = make(chan struct{})
	}
}

// Return lets those who wait go on: what is held of the key stays for longer.
func (l *Log) Return(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(key)
}

func (l *Log) turned(key string) {
	if l.of(key) == 0 {
		l.release(key)
	}
}

func (l *Log) release(key string) {
	if c := l.turning[key]; c != nil {
		close(c)
		delete(l.turning, key)
	}
}
