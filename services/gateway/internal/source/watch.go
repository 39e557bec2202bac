package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"weir/services/gateway/internal/filestamp"
)

// Reload is one look at a file that had changed.
type Reload struct {
	Sources int   // in force after it
	Err     error // why the file was refused; the last good sources stay in force
}

// Watcher holds the sources of a file and follows its changes.
type Watcher struct {
	path    string
	current atomic.Pointer[inForce]
	seen    filestamp.Stamp // of the content that is in force or refused
	last    filestamp.Stamp // of the last look
	moving  int             // looks in a row that have seen the file move
	failure string          // why the content seen was refused; "" = it is in force
}

// longestMove is how many looks a file may move for before it is read all the same: whoever adds sources one by one
// keeps nobody from being taken away.
const longestMove = 3

// ErrNone is the fault of a list that has no source.
var ErrNone = errors.New("there is no source in it, and clients would drop what is refused; weir sources add makes one, and enabled: false switches one off")

// loadSome is Load for whoever serves by the list, which must have a source: a file without one is empty by mistake, or
// about to be written.
func loadSome(path string) (*Index, error) {
	x, err := Load(path)
	if err == nil && len(x.sources) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrNone)
	}
	return x, err
}

// inForce are sources, until others are in their place.
type inForce struct {
	*Index
	replaced chan struct{} // closed then
}

// put puts sources in force.
func (w *Watcher) put(x *Index) {
	if old := w.current.Swap(&inForce{Index: x, replaced: make(chan struct{})}); old != nil {
		close(old.replaced)
	}
}

// Replaced is closed once others take the place of the sources that are in force now. Who keeps a key for long takes it
// before looking the key up, and looks again then.
func (w *Watcher) Replaced() <-chan struct{} { return w.current.Load().replaced }

// Open loads the file. It is an error when that does not work, or there is no source in it: a gateway that
// knows no source must not start.
func Open(path string) (*Watcher, error) {
	w := &Watcher{path: path, seen: filestamp.Of(path)}
	w.last = w.seen
	x, err := loadSome(path)
	if err != nil {
		return nil, err
	}
	w.put(x)
	return w, nil
}

// OpenCopy is Open for a file that something else writes, and perhaps has not yet: then no
// source is known until it has.
func OpenCopy(path string) (*Watcher, error) {
	w, err := Open(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNone) {
		w = &Watcher{path: path, seen: filestamp.Of(path)}
		w.put(&Index{})
		return w, nil
	}
	return w, err
}

// Known tells whether any source is in force.
func (w *Watcher) Known() bool { return len(w.current.Load().sources) > 0 }

// Lookup finds the source of a write key in the sources in force.
func (w *Watcher) Lookup(key []byte) (*Source, bool) { return w.current.Load().Lookup(key) }

// Index is the sources in force.
func (w *Watcher) Index() *Index { return w.current.Load().Index }

// Follow looks at the file every interval until ctx ends, and tells report of each
// change. Looking is polling: it works on every file system, also through the
// symbolic links by which Kubernetes replaces a mounted file.
func (w *Watcher) Follow(ctx context.Context, interval time.Duration, report func(Reload)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if r, changed := w.look(); changed {
				report(r)
			}
		}
	}
}

// look reloads a changed file, once it has come to rest: one that is written in its place is empty at first and then a
// part of itself, which may well be a list. The stamp is taken before reading, and has to be the same afterwards. A file
// that was refused is read again, so that what had nothing to do with its content passes by itself; it is reported once.
func (w *Watcher) look() (Reload, bool) {
	now := filestamp.Of(w.path)
	changed := !now.Same(w.seen)
	if !changed && w.failure == "" {
		w.last, w.moving = now, 0
		return Reload{}, false
	}
	x, err := loadSome(w.path)
	if !w.rests(now) {
		return Reload{}, false
	}
	w.seen = now
	if err != nil {
		again := !changed && w.failure == err.Error()
		w.failure = err.Error()
		return Reload{Sources: len(w.current.Load().Sources()), Err: err}, !again
	}
	w.failure = ""
	w.put(x)
	return Reload{Sources: len(x.Sources())}, true
}

// rests tells whether a file that was read after it looked like now is what the look before has seen, or has moved for
// too long.
func (w *Watcher) rests(now filestamp.Stamp) bool {
	rests := now.Same(w.last) && now.Same(filestamp.Of(w.path))
	w.last = now
	if w.moving++; !rests && w.moving <= longestMove {
		return false
	}
	w.moving = 0
	return true
}
