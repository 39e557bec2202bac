package source

import (
	"context"
	"errors"
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
	seen    filestamp.Stamp
	failure string // why the content last seen was refused; "" = it is in force
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

// Open loads the file. It is an error when that does not work: a gateway that
// knows no source must not start.
func Open(path string) (*Watcher, error) {
	w := &Watcher{path: path, seen: filestamp.Of(path)}
	x, err := Load(path)
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
	if errors.Is(err, fs.ErrNotExist) {
		w = &Watcher{path: path}
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

// look reloads a changed file. The stamp is taken before reading: a write in
// between is seen as the next change. A file that was refused is read again, so that
// what had nothing to do with its content passes by itself; it is reported once.
func (w *Watcher) look() (Reload, bool) {
	now := filestamp.Of(w.path)
	changed := !now.Same(w.seen)
	if !changed && w.failure == "" {
		return Reload{}, false
	}
	w.seen = now
	x, err := Load(w.path)
	if err != nil {
		again := !changed && w.failure == err.Error()
		w.failure = err.Error()
		return Reload{Sources: len(w.current.Load().Sources()), Err: err}, !again
	}
	w.failure = ""
	w.put(x)
	return Reload{Sources: len(x.Sources())}, true
}
