package spill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"weir/services/gateway/internal/spill/segment"
)

// keepBuffer is the largest buffer that an idle spill keeps.
const keepBuffer = 4 << 20

// segmentSize is after how many bytes a segment is complete: small enough that disk space
// comes back while a full spill is given back.
func (l *Log) segmentSize() int64 { return min(max(l.opts.Size/16, 64<<10), 32<<20) }

// write is the one goroutine that writes: while a commit runs, the next requests gather.
func (l *Log) write() {
	defer close(l.ended)
	spare := newBatch()
	for range l.wake {
		l.mu.Lock()
		b, notes, handed, marking, closing := l.filling, l.notes, l.handed, l.marking, l.closing
		l.filling, l.notes, l.handed, l.marking = spare, nil, nil, nil
		if len(l.pieces) == 0 {
			notes, handed = nil, nil // of requests that are gone with their segments
		}
		l.mu.Unlock()
		if len(b.refs)+len(notes)+len(handed) > 0 {
			err := l.commit(b, notes, handed)
			if marking != nil {
				marking.err = err
			}
		}
		if marking != nil {
			close(marking.done)
		}
		l.prune()
		spare = newBatch()
		if cap(b.data) <= keepBuffer {
			spare.data = b.data[:0]
		}
		b.data = nil // who holds a ticket holds no more than its place
		if closing {
			l.seal()
			return
		}
	}
}

// commit makes a batch durable. Notes go with it, and need no fsync of their own: without
// them a request would be written to Kafka twice, not lost.
func (l *Log) commit(b *batch, notes, handed []byte) error {
	start := time.Now()
	data := b.data
	if len(notes) > 0 {
		n := len(data)
		data = segment.End(append(segment.Begin(data, segment.KindNotes), notes...), n)
	}
	if len(handed) > 0 { // behind the notes: a request may be handed again
		n := len(data)
		data = segment.End(append(segment.Begin(data, segment.KindHanded), handed...), n)
	}
	b.data = data[:0]
	err := l.append(data, len(b.refs) > 0)
	l.mu.Lock()
	if err != nil {
		l.refuse(b, err)
		l.notes = append(notes, l.notes...)
		l.handed = append(handed, l.handed...)
	} else {
		l.accept(b, int64(len(data)))
	}
	l.mu.Unlock()
	close(b.done)
	poke(l.more)
	l.opts.Observe(Commit{Requests: len(b.refs), Records: b.records, Bytes: len(data), Took: time.Since(start), Err: err})
	return err
}

// append writes data to a segment that has room.
func (l *Log) append(data []byte, sync bool) error {
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("%w: %w", ErrClosed, failed)
	}
	if err := l.roomFor(int64(len(data))); err != nil {
		return err
	}
	if _, err := l.out.w.Write(data); err != nil {
		return l.undo(fmt.Errorf("write to the segment %s: %w", l.out.path, err))
	}
	if !sync {
		return nil
	}
	if err := l.out.w.Sync(); err != nil {
		return l.fail(fmt.Errorf("fsync the segment %s: %w", l.out.path, err))
	}
	return nil
}

// roomFor sees to it that there is a segment, and that it does not grow without bound.
func (l *Log) roomFor(n int64) error {
	if l.out != nil && (l.out.n == 0 || l.out.size+n <= l.segmentSize()) {
		return nil
	}
	if l.out != nil {
		if err := errors.Join(l.out.w.Sync(), l.out.w.Close()); err != nil { // notes may not be durable yet
			return l.fail(fmt.Errorf("complete the segment %s: %w", l.out.path, err))
		}
		l.out = nil
	}
	return l.begin()
}

// begin makes the next segment, head and directory entry durable.
func (l *Log) begin() error {
	p := &piece{number: l.nextFile, first: l.nextID, path: segmentPath(l.opts.Dir, l.nextFile)}
	var err error
	if p.w, err = l.opts.create(p.path); err != nil {
		return l.noRoom(fmt.Errorf("create a segment: %w", err)) // or no handle: nothing is written, and that passes
	}
	head := segment.AppendHead(nil, segment.Head{Number: p.number, First: p.first})
	if _, err := p.w.Write(head); err != nil {
		err = fmt.Errorf("begin the segment %s: %w", p.path, err)
		if undone := errors.Join(p.w.Close(), os.Remove(p.path)); undone != nil || !roomless(err) {
			return l.fail(errors.Join(err, undone))
		}
		return l.noRoom(err)
	}
	if err := errors.Join(p.w.Sync(), l.dir.Sync()); err != nil {
		return l.fail(fmt.Errorf("begin the segment %s: %w", p.path, err))
	}
	p.size = int64(len(head))
	l.out = p
	l.nextFile++
	l.mu.Lock()
	l.pieces = append(l.pieces, p)
	l.bytes += p.size
	l.mu.Unlock()
	return nil
}

// undo takes back a write that a full disk cut off. Any other fault is final.
func (l *Log) undo(err error) error {
	if !roomless(err) {
		return l.fail(err)
	}
	if undone := l.out.w.Truncate(l.out.size); undone != nil {
		return l.fail(errors.Join(err, undone))
	}
	return l.noRoom(err)
}

func roomless(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (l *Log) noRoom(err error) error {
	l.mu.Lock()
	l.full = true
	l.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrFull, err)
}

// fail ends writing for good: after a failed fsync the kernel may have dropped the pages
// and call the next one a success.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	l.failed = errors.Join(l.failed, err)
	l.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

// accept enters a batch that is durable.
func (l *Log) accept(b *batch, n int64) {
	p := l.out
	p.size += n
	l.bytes += n
	l.full = false
	b.first = l.nextID
	if held, _ := l.book.Held(); held == 0 {
		l.oldest = time.Now().UnixMilli()
	}
	for i := range b.refs {
		r := &b.refs[i]
		r.ID = l.nextID
		l.nextID++
		p.n, p.left = p.n+1, p.left+1
		l.book.Hold(*r)
		l.dequeue(r.Key)
		if m, early := b.early[i]; early {
			l.settle(*r, m)
		} else if b.doubts[i] {
			l.book.Doubt(r.ID)
		} else if b.open[i] {
			l.open[r.ID] = struct{}{}
		}
	}
}

// refuse lets go of a batch that is not durable.
func (l *Log) refuse(b *batch, err error) {
	b.err = err
	l.busy.Add(-int64(len(b.refs)))
	for _, r := range b.refs {
		l.dequeue(r.Key)
	}
}

func (l *Log) dequeue(key string) {
	if l.queued[key]--; l.queued[key] == 0 {
		delete(l.queued, key)
	}
	l.turned(key)
}

// prune removes the oldest segments of which Kafka has everything, and the newest too
// once it has all.
func (l *Log) prune() {
	l.mu.Lock()
	var gone []*piece
	for len(l.pieces) > 0 && l.pieces[0].left == 0 {
		gone = append(gone, l.pieces[0])
		l.bytes -= l.pieces[0].size
		l.tight = false
		l.pieces = l.pieces[1:]
	}
	low := l.nextID
	if len(l.pieces) > 0 {
		low = l.pieces[0].first
	}
	l.book.Forget(low)
	l.mu.Unlock()
	for _, p := range gone {
		if err := l.remove(p); err != nil {
			_ = l.fail(err) // Able tells
			return
		}
	}
}

func (l *Log) remove(p *piece) error {
	var err error
	if p == l.out {
		err = p.w.Close()
		l.out = nil
	}
	// One after the other: a later segment must not be gone while an earlier one is there.
	if err = errors.Join(err, os.Remove(p.path), l.dir.Sync()); err != nil {
		return fmt.Errorf("remove a segment of which Kafka has everything: %w", err)
	}
	return nil
}

// seal makes durable what was written without an fsync.
func (l *Log) seal() {
	if l.out == nil {
		return
	}
	if err := errors.Join(l.out.w.Sync(), l.out.w.Close()); err != nil {
		_ = l.fail(fmt.Errorf("complete the segment %s: %w", l.out.path, err))
	}
}

// Close writes what is queued and gives the directory back. What is held stays for the
// next process. ErrLate: ctx ended before the disk had taken it. Then the directory stays this process's, which still
// writes there; Close may be called again.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	poke(l.wake)
	select {
	case <-l.ended:
		return errors.Join(l.failed, l.dir.Close(), l.lock.Close())
	case <-ctx.Done():
		return fmt.Errorf("close the spill %s: %w: look at its disk; what was answered with 200 is on it", l.opts.Dir, ErrLate)
	}
}
