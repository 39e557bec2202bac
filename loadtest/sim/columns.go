package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/loadtest/sim/bucket"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
)

var (
	columnsKey     = lake.ColumnsKey(lake.EventLogsName)
	columnsCopyDir = lake.ColumnsCopyDir(lake.EventLogsName)
)

func isColumns(key string) bool { return key == columnsKey || strings.HasPrefix(key, columnsCopyDir) }

// columns is what was seen of the registry of columns. Guarded by watch.mu.
type columns struct {
	newest promote.Registry // of the versions that have had a copy: files may have been written with those
	bodies [][]byte         // of those versions, which the object that is replaced has had too
}

// registry judges a version that files may be written with: it has all columns of those before, as they were.
func (v *watch) registry(key string, body []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if key == columnsKey {
		return
	}
	r, err := promote.Decode(body)
	if err != nil {
		v.w.violation("%s: %v", key, err)
		return
	}
	settled, err := promote.Found{Copy: &r}.Settle(v.columns.newest)
	if err != nil {
		v.w.violation("%s: %v", key, err)
		return
	}
	v.columns.newest = settled.Registry
	v.columns.bodies = append(v.columns.bodies, body)
}

// knownColumns refuses a manifest whose files may have columns of a version that has no copy.
func (v *watch) knownColumns(key string, version int64) {
	if version > v.columns.newest.Version {
		v.w.violation("manifest %s names version %d of the registry of columns, and there has been a copy of %d at most", key, version, v.columns.newest.Version)
	}
}

// columnFaults is what people do to the registry of columns. While others run they leave either it or its copies whole.
func columnFaults() []Fault {
	const deleted, older, copies = "the registry of columns is deleted", "an older registry of columns is put back", "the copies of the registry of columns are deleted"
	return []Fault{
		{deleted, during, func(w *World, _ *rand.Rand, _ time.Duration) {
			if w.columnsAreCopied() {
				w.hit(deleted, 1)
				w.bucket.Remove(w.location().Key(columnsKey))
			}
		}},
		{older, during, func(w *World, r *rand.Rand, _ time.Duration) {
			w.watch.mu.Lock()
			bodies := slices.Clone(w.watch.columns.bodies)
			w.watch.mu.Unlock()
			if len(bodies) > 1 && w.columnsAreCopied() {
				w.hit(older, 1)
				w.bucket.Put(w.location().Key(columnsKey), bodies[r.IntN(len(bodies)-1)])
			}
		}},
		{copies, during, func(w *World, _ *rand.Rand, _ time.Duration) {
			if w.columnsAreCopied() {
				w.hit(copies, 1)
				w.removeColumns(columnsCopyDir)
			}
		}},
		{allColumns, last, func(w *World, _ *rand.Rand, _ time.Duration) {
			if err := w.loseColumns(); err != nil {
				w.violation("%s: %v", allColumns, err)
			}
		}},
	}
}

const allColumns = "all of the registry of columns is deleted, and put back"

// columnsAreCopied: the registry is there and has a copy, and both are the newest that was seen.
func (w *World) columnsAreCopied() bool {
	w.watch.mu.Lock()
	newest := w.watch.columns.newest
	w.watch.mu.Unlock()
	for _, key := range []string{columnsKey, lake.ColumnsCopyKey(lake.EventLogsName, newest.Version)} {
		o, ok := w.bucket.Object(w.location().Key(key))
		if !ok {
			return false
		}
		if r, err := promote.Decode(o.Body); err != nil || r.Version != newest.Version {
			return false
		}
	}
	return true
}

func (w *World) removeColumns(prefix string) (gone []bucket.Object) {
	for _, o := range w.bucket.Objects() {
		if strings.HasPrefix(o.Key, w.location().Key(prefix)) {
			w.bucket.Remove(o.Key)
			gone = append(gone, o)
		}
	}
	return gone
}

// loseColumns deletes the registry with its copies while no sink runs. None may start until a person has put it back from
// what the bucket keeps of deleted objects.
func (w *World) loseColumns() error {
	time.Sleep(2 * restartDelay) // what crashed is back
	w.stopSinks(false)
	w.watch.pause(true)
	defer w.watch.pause(false)
	defer w.startSinks()
	store, err := s3.Open(context.Background(), w.s3Config(w.newLink("operator", "operator", 4)), nil)
	if err != nil {
		return err
	}
	used, err := stored.UsedBy(context.Background(), store)
	if err != nil || used.Version == 0 { // no flush had promoted columns
		return err
	}
	gone := w.removeColumns(strings.TrimSuffix(columnsCopyDir, "/"))
	w.hit(allColumns, 1)
	p := w.start("sink", 0)
	w.mark(p)
	w.mustRefuse(p)
	for _, o := range gone {
		w.bucket.Put(o.Key, o.Body)
	}
	return nil
}

// mustRefuse waits for a sink that must not start.
func (w *World) mustRefuse(p *process) {
	select {
	case <-p.done:
	case <-time.After(shutdownPatience):
		w.violation("%s goes on without a registry of columns", p.name)
		p.link.kill()
		p.stop()
		<-p.done
		return
	}
	if !errors.Is(p.err, stored.ErrUnusable) {
		w.violation("%s ended without a word on the registry of columns: %v", p.name, p.err)
	}
}

func (w *World) startSinks() {
	for slot := range w.shape.Sinks {
		w.start("sink", slot)
	}
}
