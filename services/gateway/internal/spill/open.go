package spill

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"weir/services/gateway/internal/spill/segment"
)

// ErrDamaged means that a segment holds bytes that nobody wrote there.
var ErrDamaged = errors.New("the spill is damaged")

// Open takes the directory, reads what it holds, and starts to write. A frame that was
// being written when the last process ended is cut off: nobody was told that it is durable.
func Open(o Options) (*Log, error) {
	if o.create == nil {
		o.create = createFile
	}
	if o.sync == nil {
		o.sync = syncFile
	}
	if o.Queue == 0 {
		o.Queue = o.Size
	}
	l := &Log{
		opts: o, book: segment.NewBook(), filling: newBatch(), queued: map[string]int{}, open: map[segment.ID]struct{}{},
		turning: map[string]chan struct{}{}, nextID: 1, nextFile: 1,
		wake: make(chan struct{}, 1), more: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	var err error
	if l.lock, err = lockDir(o.Dir); err != nil {
		return nil, err
	}
	if l.dir, err = os.Open(o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open the folder of the spill (setting spill): %w", err), l.lock.Close())
	}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.dir.Close(), l.lock.Close())
	}
	go l.write()
	return l, nil
}

// lockDir takes the directory for this process.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the spill (setting spill): %w", err)
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the folder of the spill (setting spill): %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the folder of the spill %s: another gateway uses it; each needs its own (setting spill): %w", dir, err), f.Close())
	}
	return f, nil
}

// load reads all segments, the newest first, so that what is noted of a request is known
// before the request is met.
func (l *Log) load() error {
	numbers, err := l.list()
	if err != nil {
		return err
	}
	var buf []byte // for one segment after the other: nothing that is kept points into it
	for i, number := range slices.Backward(numbers) {
		if buf, err = readAll(segmentPath(l.opts.Dir, number), buf); err != nil {
			return err
		}
		p, err := l.loadPiece(number, buf, i == len(numbers)-1)
		if err != nil {
			return err
		}
		if p != nil {
			l.pieces = append(l.pieces, p)
			l.bytes += p.size
		}
		l.nextFile = max(l.nextFile, number+1)
	}
	slices.Reverse(l.pieces)
	return l.loaded()
}

// loaded checks that the segments follow each other, and sets the reader to the first.
func (l *Log) loaded() error {
	for i, p := range l.pieces {
		if i > 0 && p.first != l.nextID {
			return fmt.Errorf("%w: %s begins with request %d, and %d are before it: a segment between them is missing; put it back, or move the older ones out of the folder, which gives them up",
				ErrDamaged, p.path, p.first, l.nextID)
		}
		l.nextID = p.first + segment.ID(p.n)
	}
	if len(l.pieces) > 0 {
		p := l.pieces[0]
		l.cursor = cursor{number: p.number, id: p.first}
		l.book.Forget(p.first)
		poke(l.more)
	}
	return syncDir(l.opts.Dir)
}

func (l *Log) list() (numbers []uint64, err error) {
	entries, err := os.ReadDir(l.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the spill (setting spill): %w", err)
	}
	for _, e := range entries {
		if n, ok := segment.NumberOf(e.Name()); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil // sorted, as names are
}

// request is what load notes of a request until its segment is read.
type request struct {
	ref    segment.Ref
	at     int64
	open   bool
	note   []note
	handed []segment.ID
}

type note struct {
	id      segment.ID
	missing segment.Missing
}

// readAll reads a file into buf, or into a longer one.
func readAll(path string, buf []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a segment of the spill: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
		_, err = io.ReadFull(f, buf)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the segment %s: %w", path, err)
	}
	return buf, nil
}

// loadPiece reads a segment into the book; nil where the file holds nothing.
func (l *Log) loadPiece(number uint64, data []byte, last bool) (*piece, error) {
	p := &piece{number: number, path: segmentPath(l.opts.Dir, number)}
	var found []request
	valid, beyond, err := segment.Scan(data, func(at int, f segment.Frame) error {
		return p.meet(at, f, &found)
	})
	if err != nil {
		return nil, fmt.Errorf("read the segment %s: %w: it is of another version of weir", p.path, err)
	}
	if err := l.cut(p, data, valid, beyond, last); err != nil {
		return nil, err
	}
	if valid == 0 {
		return nil, nil
	}
	l.enter(p, found)
	return p, nil
}

// meet reads one frame of a segment.
func (p *piece) meet(at int, f segment.Frame, found *[]request) error {
	switch {
	case (at == 0) != (f.Kind == segment.KindHead):
		return segment.ErrForm
	case f.Kind == segment.KindHead:
		h, err := segment.ReadHead(f.Payload)
		if err == nil && h.Number != p.number {
			err = fmt.Errorf("it says that it is segment %d: %w", h.Number, segment.ErrForm)
		}
		p.first = h.First
		return err
	case f.Kind == segment.KindRequest:
		r, err := segment.ReadRequest(f.Payload)
		*found = append(*found, request{at: r.At, open: r.Open, ref: segment.Ref{ID: p.first + segment.ID(p.n), Key: string(r.Key), Records: r.Records}})
		p.n++
		return err
	case f.Kind == segment.KindNotes:
		var r request
		err := segment.ReadNotes(f.Payload, func(id segment.ID, m segment.Missing) { r.note = append(r.note, note{id, m}) })
		*found = append(*found, r)
		return err
	}
	if f.Kind == segment.KindHanded {
		var r request
		err := segment.ReadHanded(f.Payload, func(id segment.ID) { r.handed = append(r.handed, id) })
		*found = append(*found, r)
		return err
	}
	return segment.ErrForm
}

// enter puts what a segment holds into the book, the newest first.
func (l *Log) enter(p *piece, found []request) {
	for _, r := range slices.Backward(found) {
		for _, n := range slices.Backward(r.note) {
			l.book.Note(n.id, n.missing)
		}
		for _, id := range r.handed {
			l.book.Handed(id)
		}
		if r.open {
			l.book.Handed(r.ref.ID)
		}
		if r.ref.ID > 0 && l.book.Hold(r.ref) {
			p.left++
			l.busy.Add(1)
			l.oldest = r.at
		}
	}
}

// cut shortens the newest segment to its valid frames where its end was being written
// when the process ended. Damage anywhere else is nobody's unfinished write: weir stops.
func (l *Log) cut(p *piece, data []byte, valid, beyond int, last bool) error {
	p.size = int64(valid)
	if valid == len(data) && valid > 0 {
		if !last {
			return nil
		}
		return l.opts.sync(p.path) // a kill may have left marks in the page cache, and segments are about to follow
	}
	if beyond >= 0 || !last {
		where := "to the end of the file"
		if beyond >= 0 {
			where = fmt.Sprintf("to byte %d", beyond)
		}
		return fmt.Errorf("%w: %s from byte %d %s: the disk did not keep what was fsynced. Bring the file back, or move it out of the folder, which gives up what it holds, and start again",
			ErrDamaged, p.path, valid, where)
	}
	if valid == 0 {
		return os.Remove(p.path)
	}
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(f.Truncate(p.size), f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("cut off the unfinished end of a segment of the spill: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("fsync the newest segment of the spill: %w", err)
	}
	return nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// syncDir makes durable which files there are.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("fsync the folder of the spill: %w", err)
	}
	return nil
}

func segmentPath(dir string, number uint64) string { return filepath.Join(dir, segment.Name(number)) }
