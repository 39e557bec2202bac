package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// Reload is one look at a file that had changed.
type Reload struct {
	Sources int   // in force after it
	Err     error // why the file was refused; the last good sources stay in force
}

// Watcher holds the sources of a file and follows its changes.
type Watcher struct {
	path    string
	current atomic.Pointer[Index]
	seen    stamp
	failure string // why the content last seen was refused; "" = it is in force
}

// stamp tells one content of a file from the next without reading it.
type stamp struct {
	info os.FileInfo // nil = the file was not there
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// Open loads the file. It is an error when that does not work: a gateway that
// knows no source must not start.
func Open(path string) (*Watcher, error) {
	w := &Watcher{path: path, seen: stampOf(path)}
	x, err := Load(path)
	if err != nil {
		return nil, err
	}
	w.current.Store(x)
	return w, nil
}

// OpenCopy is Open for a file that something else writes, and perhaps has not yet: then no
// source is known until it has.
func OpenCopy(path string) (*Watcher, error) {
	w, err := Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		w = &Watcher{path: path}
		w.current.Store(&Index{})
		return w, nil
	}
	return w, err
}

// Known tells whether any source is in force.
func (w *Watcher) Known() bool { return len(w.current.Load().sources) > 0 }

// Lookup finds the source of a write key in the sources in force.
func (w *Watcher) Lookup(key []byte) (*Source, bool) { return w.current.Load().Lookup(key) }

// Index is the sources in force.
func (w *Watcher) Index() *Index { return w.current.Load() }

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
	now := stampOf(w.path)
	changed := !now.same(w.seen)
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
	w.current.Store(x)
	return Reload{Sources: len(x.Sources())}, true
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info: info}
}
