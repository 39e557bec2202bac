package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"weir/loadtest/sim/bucket"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
)

// watch looks on while the run goes: what is visible must be decided, what is done must be visible, nothing goes back,
// nothing visible is touched again.
type watch struct {
	w *World

	mu        sync.Mutex
	manifests map[string]*flush.Manifest // by key
	namedBy   map[string][]string        // file → the manifests that name it
	reached   map[int32]flush.State      // the newest that was seen
	first     map[int32]flush.State      // the first that was seen done
	passed    map[int32]flush.Mark       // what the gate let pass
	paused    bool                       // somebody tampers with what is committed
	trouble   time.Time                  // the last that can leave uploads behind
	done      map[int32][]reach          // flushes that readers do not see yet
	columns   columns
}

// reach is a flush that is done since a time.
type reach struct {
	seq  uint64
	when time.Time
}

// A flush that is done is visible within this time, counted from the last trouble: the catalog's session timeout, the
// longest backoff, and another catalog that takes over.
const (
	visibleWithin      = 3 * time.Minute
	visibleWithinQuiet = 10 * time.Second
)

func newWatch(w *World) *watch {
	return &watch{
		w: w, manifests: map[string]*flush.Manifest{}, namedBy: map[string][]string{},
		reached: map[int32]flush.State{}, first: map[int32]flush.State{}, passed: map[int32]flush.Mark{},
		done: map[int32][]reach{},
	}
}

// isData tells whether readers of the lake see an object.
func isData(key string) bool {
	return strings.HasPrefix(key, "eventlogs/") || strings.HasPrefix(key, "raw/")
}

// changed hears of every change of the bucket.
func (v *watch) changed(c bucket.Change) {
	key, ok := v.w.location().Rel(c.Key)
	if !ok {
		v.w.violation("an object outside of the lake: %s", c.Key)
	}
	v.w.trace.add("s3", "%s %s %s", c.Op, key, c.Upload)
	o, seq, _, err := lake.ParseManifestKey(key)
	switch {
	case isColumns(key):
		if c.Op != bucket.Removed {
			v.registry(key, c.Body)
		}
	case c.Op != bucket.Removed && key == lake.GateKey(database, lake.TopicID(v.w.topicID(topicEvents))):
		v.gate(c.Body)
	case c.Op == bucket.Replaced && (err == nil || isData(key)):
		v.w.violation("%s was replaced", key)
	case c.Op == bucket.Removed:
		v.w.violation("%s was removed", key)
	case c.Op != bucket.Created:
	case err == nil:
		v.manifest(key, o, seq, c.Body)
	case isData(key):
		v.visible(key)
	}
}

func (v *watch) manifest(key string, o lake.Owner, seq uint64, body []byte) {
	m, err := codec.DecodeManifest(key, body)
	if err != nil || m.Seq != seq || m.Owner() != o {
		v.w.violation("manifest %s is not what its key says (%v)", key, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.knownColumns(key, m.Columns)
	v.manifests[key] = m
	for i := range m.Files {
		v.namedBy[m.Files[i].Key] = append(v.namedBy[m.Files[i].Key], key)
	}
}

// gate judges what the catalog says is visible: it never takes anything back.
func (v *watch) gate(body []byte) {
	g, err := codec.DecodeGate(body)
	if err != nil {
		v.w.violation("the gate cannot be read: %v", err)
		return
	}
	v.mu.Lock()
	before := v.passed
	v.passed = g.Marks
	late := v.late(g.Marks)
	v.mu.Unlock()
	for _, text := range late {
		v.w.violation("%s", text)
	}
	for p, b := range before {
		if m := g.Marks[p]; m.Seq < b.Seq || m.Low < b.Low || m.Seq == b.Seq && m.Manifest != b.Manifest {
			v.w.violation("partition %d: the gate went back from flush %d (%s) to flush %d (%s)", p, b.Seq, b.Manifest, m.Seq, m.Manifest)
		}
	}
}

// late takes what became visible off the list, and says what took too long.
func (v *watch) late(marks map[int32]flush.Mark) (list []string) {
	limit := visibleWithin
	if v.w.Quiet {
		limit = visibleWithinQuiet
	}
	for p, waiting := range v.done {
		n := 0
		for n < len(waiting) && waiting[n].seq <= marks[p].Seq {
			since := waiting[n].when
			if v.trouble.After(since) {
				since = v.trouble
			}
			if took := time.Since(since); took > limit {
				list = append(list, fmt.Sprintf("partition %d: flush %d was done and visible %s later", p, waiting[n].seq, took))
			}
			n++
		}
		v.done[p] = waiting[n:]
	}
	return list
}

// visible judges an object when it appears: the flush that names it must stand decided, and not yet done.
func (v *watch) visible(key string) {
	v.mu.Lock()
	names := v.namedBy[key]
	var m *flush.Manifest
	if len(names) == 1 {
		m = v.manifests[names[0]]
	}
	v.mu.Unlock()
	if m == nil {
		v.w.violation("%s became visible and is named by %d manifests", key, len(names))
		return
	}
	s, err := v.w.committed(m.Partition)
	if err != nil || s.Phase != flush.Intent || s.Manifest != m.Key {
		v.w.violation("%s of flush %s became visible while the committed state was %q (%v)", key, m.Key, s.Metadata(), err)
	}
}

// committed is the state of a partition as the coordinator holds it.
func (w *World) committed(p int32) (flush.State, error) {
	info := w.kafka.GroupInfo(group)
	if info == nil {
		return flush.State{}, fmt.Errorf("there is no group")
	}
	c, ok := info.Commits[topicEvents][p]
	if !ok {
		return flush.State{}, fmt.Errorf("nothing is committed")
	}
	s, err := flush.ParseMetadata(c.Offset, c.LeaderEpoch, c.Metadata)
	if home := flush.Home(clusterID, w.topicID(topicEvents), bucketName, lakePrefix); err == nil && s.Home != home {
		return flush.State{}, fmt.Errorf("%s is committed, of another topic than %s", s.Metadata(), home)
	}
	return s, err
}

// look samples the committed states until ctx ends.
func (v *watch) look(ctx context.Context) {
	for sleep(ctx, 250*time.Millisecond) == nil {
		for p := range v.w.shape.Partitions {
			if v.w.down.Load() {
				break
			}
			if s, err := v.w.committed(p); err == nil && !v.isPaused() {
				v.progress(p, s)
			}
		}
	}
}

// progress compares a state with the one before.
func (v *watch) progress(p int32, s flush.State) {
	v.mu.Lock()
	before := v.reached[p]
	v.reached[p] = s
	m := v.manifests[s.Manifest]
	if s.Manifest != "" && s.Phase == flush.Done {
		if _, ok := v.first[p]; !ok {
			v.first[p] = s
		}
		if s != before && v.passed[p].Seq < s.Seq {
			v.done[p] = append(v.done[p], reach{s.Seq, time.Now()})
		}
	}
	v.mu.Unlock()
	if s == before {
		return
	}
	v.w.trace.add("committed", "%d: %d %s", p, s.Low, s.Metadata())
	switch {
	case s.Seq < before.Seq, s.Low < before.Low, s.Seq == before.Seq && before.Phase == flush.Done && s.Phase == flush.Intent && before.Manifest != "":
		v.w.violation("partition %d went back from %d %q to %d %q", p, before.Low, before.Metadata(), s.Low, s.Metadata())
	case s.Seq == before.Seq && before.Manifest != "" && s.Manifest != before.Manifest:
		v.w.violation("partition %d: flush %d was %s and is %s", p, s.Seq, before.Manifest, s.Manifest)
	case s.Manifest != "" && m == nil:
		v.w.violation("partition %d names a manifest that was never put: %s", p, s.Manifest)
	case s.Manifest != "" && s.Phase == flush.Done:
		v.published(p, m)
	}
}

func (v *watch) published(p int32, m *flush.Manifest) {
	for i := range m.Files {
		if _, ok := v.w.bucket.Object(v.w.location().Key(m.Files[i].Key)); !ok {
			v.w.violation("partition %d: flush %d is done, and %s is not visible", p, m.Seq, m.Files[i].Key)
		}
	}
}

// early is an old state of a partition, as a backup of the group holds it.
func (v *watch) early(p int32) flush.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.first[p]
}

// pause has nobody judge what is committed for a while. What was seen then is forgotten: a decided flush that is
// recovered may be published again.
func (v *watch) pause(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paused = on
	v.reached = map[int32]flush.State{}
}

// forget is for a topic that is another one now.
func (v *watch) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reached, v.first, v.passed, v.done = map[int32]flush.State{}, map[int32]flush.State{}, map[int32]flush.Mark{}, map[int32][]reach{}
}

func (v *watch) isPaused() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.paused
}

// manifestOf is one that was put.
func (v *watch) manifestOf(key string) *flush.Manifest {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.manifests[key]
}

// excuse notes that something has happened which can leave an upload behind: its maker died, or what was to abort it
// failed.
func (v *watch) excuse() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trouble = time.Now()
}

// excused tells whether an upload may be left behind: also one that a manifest names, decided or not, because whoever put
// the manifest cannot know that its decision never arrives.
func (v *watch) excused(u bucket.Upload) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	key, _ := v.w.location().Rel(u.Key)
	return len(v.namedBy[key]) > 0 || !u.Began.After(v.trouble)
}
