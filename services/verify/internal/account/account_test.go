package account

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

var owner = lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: 3}

const day = lake.Day(20000)

// world is a partition with three flushes: 0-9, 10-19 with 12 dead and 25 ahead, 20-29.
// Tests bend it.
type world struct {
	p        Partition
	m        []*flush.Manifest
	there    map[string]*flush.Manifest // by key; nil = cannot be read
	attempts []string                   // keys of manifests that no commit names
	held     Ranges
}

func set(ranges ...int64) *flush.Offsets {
	o := new(flush.Offsets)
	for i := 0; i < len(ranges); i += 2 {
		o.AddRange(ranges[i], ranges[i+1]+1)
	}
	return o
}

func file(table, source string, seq uint64, offsets *flush.Offsets) flush.File {
	key := fmt.Sprintf("%s/%s/%d", table, source, seq)
	return flush.File{
		Table: table, Partition: lake.Partition{Table: table, SourceID: source, Day: day},
		Key: key, Rows: offsets.Len(), Bytes: 100 + offsets.Len(), Offsets: offsets,
	}
}

func both(source string, seq uint64, offsets *flush.Offsets) []flush.File {
	return []flush.File{file("eventlogs", source, seq, offsets), file("raw", source, seq, offsets)}
}

func newWorld() *world {
	w := new(world)
	w.flush(0, 10, both("a", 1, set(0, 9))...)
	w.flush(10, 20, append(both("a", 2, set(10, 11, 13, 19)), both("b", 2, set(25, 25))...)...)
	w.m[1].DeadLetters = []flush.DeadLetter{{Offset: 12, Reason: "malformed"}}
	w.m[1].Ahead = map[string]*flush.Offsets{"eventlogs": set(25, 25), "raw": set(25, 25)}
	w.flush(20, 30, both("a", 3, set(20, 24, 26, 29))...)
	return w
}

func (w *world) flush(low, next int64, files ...flush.File) {
	seq := uint64(len(w.m) + 1)
	m := &flush.Manifest{
		Key: owner.ManifestKey(seq, fmt.Sprintf("id%d", seq)), Format: 1, ClusterID: "c", Group: owner.Group, Topic: owner.Topic,
		TopicID: owner.TopicID, Partition: owner.Partition, Seq: seq, Low: low, NextLow: next, Files: files,
	}
	if seq > 1 {
		m.Predecessor = w.m[seq-2].Key
	}
	w.m = append(w.m, m)
}

// run puts the world in place and gives what is found and noted, a line each.
func (w *world) run(bend func(*world)) (found, noted []string, l *Ledger) {
	w.put()
	bend(w)
	l = Open(w.p, []string{"eventlogs", "raw"})
	w.walk(l)
	l.Close()
	if l.Twice() {
		for _, m := range w.m {
			if l.Decided(m.Key, m.Seq) {
				l.Name(m)
			}
		}
		l.Doubles()
	}
	l.Settle(w.held, w.p.LogStart)
	for _, f := range l.Findings {
		found = append(found, line(f))
	}
	for _, f := range l.Notes {
		noted = append(noted, line(f))
	}
	return found, noted, l
}

// put makes the flushes so far the chain that is committed.
func (w *world) put() {
	last := w.m[len(w.m)-1]
	w.p = Partition{
		Owner: owner, ClusterID: "c", Home: "home", Committed: true, Newest: last.Key,
		State: flush.State{Low: last.NextLow, Seq: last.Seq, Manifest: last.Key, Home: "home"},
	}
	w.there = make(map[string]*flush.Manifest)
	for _, m := range w.m {
		w.there[m.Key] = m
	}
}

// walk feeds the manifests from the last to the first.
func (w *world) walk(l *Ledger) {
	keys := append(slices.Collect(maps.Keys(w.there)), w.attempts...)
	slices.Sort(keys)
	for _, key := range slices.Backward(keys) {
		next, at := l.Next()
		_, seq, _, err := lake.ParseManifestKey(key)
		if _, ok := w.there[next]; next != "" && !ok && seq <= at {
			l.Read(nil, nil)
			next = ""
		}
		switch m := w.there[key]; {
		case err != nil || next == "" && seq < l.Lowest():
		case key != next:
			l.Attempt(key, seq)
		case m == nil:
			l.Read(nil, errors.New("format 9"))
		default:
			l.Read(m, nil)
		}
	}
	if next, _ := l.Next(); next != "" {
		l.Read(nil, nil)
	}
}

func line(f Finding) string {
	parts := []string{string(f.Kind)}
	for _, p := range []string{f.Table, f.Offsets.String(), f.Key, f.Detail} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "|")
}

func TestAccount(t *testing.T) {
	key := func(seq uint64) string { return owner.ManifestKey(seq, fmt.Sprintf("id%d", seq)) }
	for _, c := range []struct {
		name  string
		bend  func(*world)
		found []string
		noted []string
	}{
		{name: "as it should be", bend: func(*world) {}},

		{
			name: "a lost record that Kafka holds",
			bend: func(w *world) {
				w.edit(1, 0, set(10, 11, 13, 14, 16, 19))
				w.edit(1, 1, set(10, 11, 13, 14, 16, 19))
				w.held = Span(15, 16)
			},
			found: []string{"lost|eventlogs|15|1 records are in no file of the table", "lost|raw|15|1 records are in no file of the table"},
		},
		{
			name:  "lost in one table: the other proves the record",
			bend:  func(w *world) { w.edit(1, 1, set(10, 11, 13, 14, 18, 19)) },
			found: []string{"lost|raw|15-17|3 records are in no file of the table"},
		},
		{
			name:  "offsets without a record are no loss",
			bend:  func(w *world) { w.edit(1, 0, set(10, 11, 14, 19)); w.edit(1, 1, set(10, 11, 14, 19)) },
			noted: []string{"no-records|13|Kafka holds no record there: control records or aborted transactions"},
		},
		{
			name: "offsets that retention has removed cannot be judged",
			bend: func(w *world) {
				w.edit(0, 0, set(0, 3, 5, 9))
				w.edit(0, 1, set(0, 3, 5, 9))
				w.p.LogStart = 9
			},
			noted: []string{"beyond-proof|4|are in no file, and Kafka's retention has removed them: records or control records"},
		},
		{
			name:  "a record in two files",
			bend:  func(w *world) { w.edit(2, 0, set(18, 24, 26, 29)) },
			found: []string{"doubled|eventlogs|18-19|eventlogs/a/3|are also in eventlogs/a/2"},
		},
		{
			name:  "a record in a file of its own flush twice",
			bend:  func(w *world) { w.edit(1, 2, set(19, 19, 25, 25)) },
			found: []string{"doubled|eventlogs|19|eventlogs/b/2|are also in eventlogs/a/2"},
		},
		{
			name: "a dead letter that is a row of every table",
			bend: func(w *world) { w.edit(1, 0, set(10, 19)); w.edit(1, 1, set(10, 19)) },
			found: []string{
				"doubled|12|are dead letters, and rows of every table too",
			},
		},
		{
			name: "a dead letter of one table only",
			bend: func(w *world) { w.edit(1, 1, set(10, 19)) },
		},
		{
			name: "a dead letter twice",
			bend: func(w *world) {
				w.m[2].DeadLetters = []flush.DeadLetter{{Offset: 12}}
			},
			found: []string{"doubled|12|" + key(2) + "|is a dead letter twice"},
		},
		{
			name: "a flush that is being published",
			bend: func(w *world) {
				w.p.State.Phase, w.p.State.Low, w.p.State.Ahead = flush.Intent, 20, true
			},
			noted: []string{
				"in-progress|" + key(3) + "|flush 3 is decided and being published",
			},
		},
		{
			name: "an attempt that was given up, and one that goes on",
			bend: func(w *world) {
				w.attempts = []string{owner.ManifestKey(2, "zombie"), owner.ManifestKey(4, "next")}
			},
			noted: []string{
				"undecided|" + owner.ManifestKey(2, "zombie") + "|an attempt that was given up",
				"undecided|" + owner.ManifestKey(4, "next") + "|an attempt that was given up, or the next flush",
			},
		},
		{
			name: "a manifest that is gone",
			bend: func(w *world) { delete(w.there, key(2)) },
			found: []string{
				"chain|" + key(2) + "|the manifest of flush 2 is not there",
			},
			noted: []string{"beyond-proof|25|are in no file of the flushes after the break in the chain"},
		},
		{
			name: "a manifest that cannot be read",
			bend: func(w *world) {
				w.there[key(3)] = nil
			},
			found: []string{
				"chain|" + key(3) + "|the manifest of flush 3 cannot be read: format 9",
			},
		},
		{
			name:  "a predecessor of another seq",
			bend:  func(w *world) { w.m[2].Predecessor = key(1) },
			found: []string{"chain|" + key(1) + "|should be flush 2, and is flush 1"},
			noted: []string{"beyond-proof|25|are in no file of the flushes after the break in the chain"},
		},
		{
			name:  "a chain that stops early",
			bend:  func(w *world) { w.m[1].Predecessor = "" },
			found: []string{"chain|flush 2 names no predecessor: flush 1 cannot be found"},
		},
		{
			name: "a first flush with a predecessor",
			bend: func(w *world) { w.m[0].Predecessor = "x" },
			found: []string{
				"chain|" + key(1) + "|flush 1 names the predecessor x",
			},
		},
		{
			name:  "a manifest of another partition",
			bend:  func(w *world) { w.m[0].Partition = 4 },
			found: []string{"chain|" + key(1) + "|should be flush 1, and says that it is flush 1 of partition 4 of topic t (01000000-0000-0000-0000-000000000000), group g"},
		},
		{
			name:  "lows that do not meet",
			bend:  func(w *world) { w.m[1].NextLow = 19 },
			found: []string{"chain|" + key(2) + "|flush 2 ends at low 19, flush 3 begins at low 20"},
		},
		{
			name:  "rows that are not the set",
			bend:  func(w *world) { w.m[0].Files[0].Rows = 9 },
			found: []string{"chain|eventlogs|eventlogs/a/1|has 9 rows of 10 records; flush " + key(1)},
		},
		{
			name: "a table nobody knows",
			bend: func(w *world) {
				w.m[0].Files = append(w.m[0].Files, file("new", "a", 1, set(0, 9)))
			},
			found: []string{"chain|new|new/a/1|is of a table that this version does not know; flush " + key(1)},
		},
		{
			name:  "a committed offset that the manifest does not say",
			bend:  func(w *world) { w.p.State.Low = 29 },
			found: []string{"state|" + key(3) + "|offset 29 is committed, the manifest says 30"},
		},
		{
			name: "remembered as flushed without being so",
			bend: func(w *world) {
				w.m[2].Ahead = map[string]*flush.Offsets{"raw": set(33, 34)}
			},
			found: []string{"state|raw|33-34|" + key(3) + "|are remembered as flushed, and in no file: they will be passed over"},
		},
		{
			name: "flushed ahead and forgotten",
			bend: func(w *world) {
				w.m[2].Files = append(w.m[2].Files, file("eventlogs", "b", 3, set(31, 31)))
			},
			found: []string{"state|eventlogs|31|" + key(3) + "|are flushed, and not remembered as such: they will be flushed again"},
		},
		{
			name:  "another lake's offset",
			bend:  func(w *world) { w.p.State.Home = "away" },
			found: []string{"state|" + key(3) + "|the committed offset belongs to another cluster, topic or lake: its manifest is not in this lake"},
		},
		{
			name:  "another prefix's offset",
			bend:  func(w *world) { w.p.State.Home, w.p.Named = "away", w.m[2]; w.m[2].Bucket = "bucket" },
			found: []string{"state|" + key(3) + "|the committed offset belongs to another cluster, topic or lake: its manifest was written into bucket bucket, perhaps under another prefix"},
		},
		{
			name:  "another cluster's offset",
			bend:  func(w *world) { w.p.State.Home, w.p.Named, w.p.ClusterID = "away", w.m[2], "d" },
			found: []string{"state|" + key(3) + "|the committed offset belongs to another cluster, topic or lake: to cluster c, and this is cluster d"},
		},
		{
			name: "the offset of a topic that was made anew",
			bend: func(w *world) {
				w.p.State.Home, w.p.Owner.TopicID = "away", lake.TopicID{2}
			},
			found: []string{"state|" + key(3) + "|the committed offset belongs to another cluster, topic or lake: to topic id 01000000-0000-0000-0000-000000000000, and topic t of this cluster (c) has id 02000000-0000-0000-0000-000000000000"},
		},
		{
			name:  "the offset of another lake that has flushed nothing yet",
			bend:  func(w *world) { w.p.State = flush.State{Home: "away"} },
			found: []string{"state|the committed offset belongs to another cluster, topic or lake"},
		},
		{
			name:  "flushes of another cluster",
			bend:  func(w *world) { w.m[0].ClusterID, w.m[1].ClusterID = "d", "d" },
			found: []string{"state|" + key(2) + "|flush 2 was written from cluster d, and this is cluster c"},
		},
		{
			name:  "a predecessor of another partition",
			bend:  func(w *world) { o := owner; o.Partition = 4; w.m[1].Predecessor = o.ManifestKey(1, "id1") },
			found: []string{"chain|" + strings.Replace(key(1), "/3/", "/4/", 1) + "|should be flush 1, and belongs to partition 4 of topic t (01000000-0000-0000-0000-000000000000), group g"},
		},
		{
			name:  "a predecessor that is no manifest",
			bend:  func(w *world) { w.m[1].Predecessor = "x" },
			found: []string{"chain|x|should be the manifest of flush 1, and is no manifest's key"},
		},
		{
			name:  "an offset that is not the sink's",
			bend:  func(w *world) { w.p.StateErr = errors.New("metadata is empty") },
			found: []string{"state|the committed offset is not the sink's: metadata is empty"},
		},
		{
			name:  "offsets that Kafka has expired",
			bend:  func(w *world) { w.p.Committed = false },
			found: []string{"state|" + key(3) + "|there are manifests, and no offset is committed: Kafka expired it, or the group was deleted"},
		},
		{
			name:  "nothing yet",
			bend:  func(w *world) { w.p.Committed, w.p.Newest, w.there = false, "", nil },
			noted: []string{"not-started|nothing is committed and there are no manifests"},
		},
		{
			name: "started and nothing flushed, an attempt lies there",
			bend: func(w *world) {
				w.p.State = flush.State{Low: 5, Home: "home"}
				w.there, w.attempts = nil, []string{key(1)}
			},
			noted: []string{
				"undecided|" + key(1) + "|an attempt that was given up, or the next flush",
				"before-start|0-4|the group began at offset 5",
			},
		},
		{
			name:  "files that cross without a record in common",
			bend:  func(w *world) { w.m[2].Files[0].Partition.SourceID = "b"; w.m[2].Files[1].Partition.SourceID = "b" },
			noted: []string{"interleaved|eventlogs|20-29|eventlogs/a/3|crosses eventlogs/b/2", "interleaved|raw|20-29|raw/a/3|crosses raw/b/2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, noted, _ := newWorld().run(c.bend)
			require.ElementsMatch(t, c.found, found)
			require.ElementsMatch(t, c.noted, noted)
		})
	}
}

// edit replaces the offsets of a file, and its rows and bytes with them.
func (w *world) edit(manifest, n int, offsets *flush.Offsets) {
	f := &w.m[manifest].Files[n]
	f.Offsets, f.Rows, f.Bytes = offsets, offsets.Len(), 100+offsets.Len()
}

func TestObjects(t *testing.T) {
	f := File{Topic: "t", Partition: 3, Table: "raw", Key: "raw/a/2", Manifest: "m", Bytes: 109}
	require.Equal(t, "no-object|raw|raw/a/2|of 109 bytes is not in the lake; flush m", line(f.Gone()))
	wrong := f.WrongSize(7)
	require.Equal(t, "wrong-size|raw|raw/a/2|has 7 bytes, the manifest says 109; a repaired upload may differ: --rows tells; flush m", line(wrong))
	require.Equal(t, int32(3), wrong.Partition)
	require.Equal(t, Repaired, Forgive(wrong).Kind)
	require.Equal(t, "in-progress|m|1 of its 2 files are not visible yet", line(Waiting("t", 3, "m", 1, 2)))
	require.Equal(t, "orphan|k|no manifest names it; queries count its rows", line(Orphaned("k", "")))
	require.Equal(t, "orphan|k|only an attempt that no commit names has it, m; queries count its rows", line(Orphaned("k", "m")))
}

func TestSummaries(t *testing.T) {
	_, _, l := newWorld().run(func(*world) {})
	require.Equal(t, []Summary{
		{Table: "eventlogs", Files: 4, Rows: 29, Bytes: 429, First: 0, Last: 29},
		{Table: "raw", Files: 4, Rows: 29, Bytes: 429, First: 0, Last: 29},
	}, l.Tables())
	require.Equal(t, Summary{Table: "eventlogs", SourceID: "b", Day: day.String(), Files: 1, Rows: 1, Bytes: 101, First: 25, Last: 25}, l.LakePartitions()[1])
	require.Equal(t, int64(1), l.DeadLetters)
}
