package account

import (
	"errors"
	"fmt"
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
	p       Partition
	m       []*flush.Manifest
	objects Objects
	held    Ranges
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
	w := &world{objects: make(Objects)}
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
		Key: owner.ManifestKey(seq, fmt.Sprintf("id%d", seq)), Format: 1, Group: owner.Group, Topic: owner.Topic,
		TopicID: owner.TopicID, Partition: owner.Partition, Seq: seq, Low: low, NextLow: next, Files: files,
	}
	if seq > 1 {
		m.Predecessor = w.m[seq-2].Key
	}
	w.m = append(w.m, m)
}

// run puts the world in place and gives what is found and noted, a line each.
func (w *world) run(bend func(*world)) (found, noted []string, l *Ledger) {
	last := w.m[len(w.m)-1]
	w.p = Partition{
		Owner: owner, Home: "home", Committed: true, Manifests: make(map[string]*flush.Manifest), Broken: make(map[string]error),
		State: flush.State{Low: last.NextLow, Seq: last.Seq, Manifest: last.Key, Home: "home"},
	}
	for _, m := range w.m {
		w.p.Manifests[m.Key] = m
		w.p.Keys = append(w.p.Keys, m.Key)
		for _, f := range m.Files {
			w.objects[f.Key] = f.Bytes
		}
	}
	bend(w)
	l = Open(w.p, []string{"eventlogs", "raw"})
	named := make(map[string]struct{})
	l.Objects(w.objects, func(key string) { named[key] = struct{}{} })
	l.Settle(w.held, w.p.LogStart)
	for _, m := range l.Unproven() {
		for _, f := range m.Files {
			named[f.Key] = struct{}{}
		}
	}
	for _, f := range append(l.Findings, Orphans(w.objects, named, nil)...) {
		found = append(found, line(f))
	}
	for _, f := range l.Notes {
		noted = append(noted, line(f))
	}
	return found, noted, l
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
			found: []string{"doubled|12|" + key(3) + "|is a dead letter twice"},
		},
		{
			name:  "a missing object",
			bend:  func(w *world) { delete(w.objects, "raw/a/2") },
			found: []string{"no-object|raw|10-11,13-19|raw/a/2|is not in the lake; flush " + key(2)},
		},
		{
			name:  "another size",
			bend:  func(w *world) { w.objects["eventlogs/a/1"] = 7 },
			found: []string{"wrong-size|eventlogs|0-9|eventlogs/a/1|has 7 bytes, the manifest says 110; a repaired upload may differ: --rows tells"},
		},
		{
			name:  "an object that nobody names",
			bend:  func(w *world) { w.objects["eventlogs/a/9"] = 7 },
			found: []string{"orphan|eventlogs/a/9|no manifest names it; queries count its rows"},
		},
		{
			name: "a flush that is being published",
			bend: func(w *world) {
				w.p.State.Phase, w.p.State.Low, w.p.State.Ahead = flush.Intent, 20, true
				delete(w.objects, "raw/a/3")
			},
			noted: []string{
				"in-progress|" + key(3) + "|flush 3 is decided and being published",
				"in-progress|" + key(3) + "|1 of its 2 files are not visible yet",
			},
		},
		{
			name: "an attempt that was given up, and one that goes on",
			bend: func(w *world) {
				w.p.Keys = append(w.p.Keys, owner.ManifestKey(2, "zombie"), owner.ManifestKey(4, "next"))
			},
			noted: []string{
				"undecided|" + owner.ManifestKey(2, "zombie") + "|an attempt that was given up",
				"undecided|" + owner.ManifestKey(4, "next") + "|an attempt that was given up, or the next flush",
			},
		},
		{
			name: "a manifest that is gone",
			bend: func(w *world) { delete(w.p.Manifests, key(2)) },
			found: []string{
				"chain|" + key(2) + "|the manifest of flush 2 is not there",
				"orphan|eventlogs/a/2|no manifest names it; queries count its rows",
				"orphan|eventlogs/b/2|no manifest names it; queries count its rows",
				"orphan|raw/a/2|no manifest names it; queries count its rows",
				"orphan|raw/b/2|no manifest names it; queries count its rows",
			},
			noted: []string{"beyond-proof|25|are in no file of the flushes after the break in the chain"},
		},
		{
			name: "a manifest that cannot be read",
			bend: func(w *world) {
				delete(w.p.Manifests, key(3))
				w.p.Broken[key(3)] = errors.New("format 9")
			},
			found: []string{
				"chain|" + key(3) + "|the manifest of flush 3 cannot be read: format 9",
				"orphan|eventlogs/a/3|no manifest names it; queries count its rows",
				"orphan|raw/a/3|no manifest names it; queries count its rows",
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
			found: []string{"chain|" + key(1) + "|belongs to partition 4 of topic t (01000000-0000-0000-0000-000000000000), group g"},
		},
		{
			name: "lows that do not meet",
			bend: func(w *world) { w.m[1].NextLow = 21 },
			found: []string{
				"chain|" + key(2) + "|flush 2 ends at low 21, flush 3 begins at low 20",
			},
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
				w.objects["new/a/1"] = 110
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
				w.objects["eventlogs/b/3"] = 101
			},
			found: []string{"state|eventlogs|31|" + key(3) + "|are flushed, and not remembered as such: they will be flushed again"},
		},
		{
			name:  "another lake's offset",
			bend:  func(w *world) { w.p.State.Home = "away" },
			found: []string{"state|the committed offset belongs to another cluster, topic or lake"},
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
			bend:  func(w *world) { w.p.Committed, w.p.Keys, w.p.Manifests, w.objects = false, nil, nil, nil },
			noted: []string{"not-started|nothing is committed and there are no manifests"},
		},
		{
			name: "started and nothing flushed, an attempt lies there",
			bend: func(w *world) {
				w.p.State = flush.State{Low: 5, Home: "home"}
				w.p.Keys, w.p.Manifests, w.objects = w.p.Keys[:1], nil, nil
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
	w.objects[f.Key] = f.Bytes
}

func TestForgive(t *testing.T) {
	_, _, l := newWorld().run(func(w *world) { w.objects["eventlogs/a/1"] = 7; w.objects["raw/a/1"] = 8 })
	require.Len(t, l.Findings, 2)
	l.Forgive("eventlogs/a/1")
	require.Len(t, l.Findings, 1)
	require.Equal(t, "raw/a/1", l.Findings[0].Key)
	require.Equal(t, Repaired, l.Notes[0].Kind)
}

func TestSummaries(t *testing.T) {
	_, _, l := newWorld().run(func(*world) {})
	require.Equal(t, []Summary{
		{Table: "eventlogs", Files: 4, Rows: 29, Bytes: 429, First: 0, Last: 29},
		{Table: "raw", Files: 4, Rows: 29, Bytes: 429, First: 0, Last: 29},
	}, l.Tables())
	require.Equal(t, Summary{Table: "eventlogs", SourceID: "b", Day: day.String(), Files: 1, Rows: 1, Bytes: 101, First: 25, Last: 25}, l.LakePartitions()[1])
	require.Empty(t, l.Unlisted(Objects{"eventlogs/a/1": 1, "raw/a/1": 1, "eventlogs/a/2": 1, "raw/a/2": 1, "eventlogs/b/2": 1, "raw/b/2": 1, "eventlogs/a/3": 1, "raw/a/3": 1}))
	require.Len(t, l.Unlisted(nil), 8)
	require.Equal(t, int64(1), l.Dead().Len())
	require.Equal(t, "0-29", l.Covered("raw").String())
}
