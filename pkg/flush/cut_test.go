package flush_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// TestCutsAddUp lets a sink cut at random, any open files at any position, with crashes between, and compares what the
// machine remembers with plain counting: the next low is the first record that is not in every table, and what is
// flushed above it is exactly what was.
func TestCutsAddUp(t *testing.T) {
	tables := []string{"eventlogs", "eventlogs_raw"}
	rapid.Check(t, func(t *rapid.T) {
		const records = 60
		known := flush.Known{
			Owner: lake.Owner{Group: "g", Topic: "t"}, ClusterID: "c", Bucket: "b", Home: "h", Tables: tables, LogEnd: records,
			Committed: true, Metadata: flush.State{Home: "h"}.Metadata(),
		}
		m, eff := flush.Start(known)
		require.Equal(t, flush.None, eff.Op)
		done := map[string]map[int64]bool{"eventlogs": {}, "eventlogs_raw": {}}
		count := func() (low int64) {
			for done["eventlogs"][low] && done["eventlogs_raw"][low] {
				low++
			}
			return low
		}
		for n := range rapid.IntRange(1, 6).Draw(t, "flushes") {
			position := min(count()+rapid.Int64Range(1, 20).Draw(t, "position"), records)
			c := flush.Cut{FlushID: fmt.Sprint("f", n), Position: position}
			letters := new(flush.Offsets)
			for o := m.Low(); o < position; o++ {
				if !m.Settled(o) && rapid.IntRange(0, 9).Draw(t, "letter") == 0 {
					c.DeadLetters = append(c.DeadLetters, flush.DeadLetter{Offset: o})
					letters.Add(o)
				}
			}
			for _, table := range tables {
				open := [3]*flush.Offsets{new(flush.Offsets), new(flush.Offsets), new(flush.Offsets)}
				for o := m.Low(); o < position; o++ {
					require.Equal(t, o < m.Low() || done[table][o], m.Flushed(table, o))
					if !m.Flushed(table, o) && !letters.Contains(o) {
						open[rapid.IntRange(0, 2).Draw(t, "lake partition")].Add(o)
					}
				}
				for i, set := range open {
					switch {
					case set.Empty():
					case rapid.Bool().Draw(t, "take"):
						c.Files = append(c.Files, flush.File{Table: table, Key: fmt.Sprint(table, n, i), Rows: set.Len(), Offsets: set})
						for o := range set.All() {
							done[table][o] = true
						}
					default:
						c.Pending = append(c.Pending, flush.PendingFile{Table: table, Min: set.Min()})
					}
				}
				for o := range letters.All() {
					done[table][o] = true
				}
			}
			eff = m.Cut(c)
			require.Equal(t, flush.PutManifest, eff.Op, "%v", eff.Err)
			f := eff.Manifest
			for eff.Op != flush.None {
				eff = m.Step(flush.Input{Kind: map[flush.Op]flush.InputKind{
					flush.PutManifest: flush.OK, flush.Commit: flush.CommitApplied, flush.Complete: flush.Visible,
					flush.ProduceDeadLetters: flush.OK, flush.Notify: flush.OK,
				}[eff.Op]})
			}
			require.Equal(t, min(count(), position), m.Low())
			for _, table := range tables {
				for o := m.Low(); o < records; o++ {
					require.Equal(t, done[table][o], f.Ahead[table].Contains(o))
				}
			}
			if rapid.Bool().Draw(t, "start again") {
				s := m.State()
				known.Offset, known.Metadata = s.Low, s.Metadata()
				if m, eff = flush.Start(known); eff.Op == flush.ReadManifest {
					eff = m.Step(flush.Input{Kind: flush.ManifestRead, Manifest: f})
				}
				require.Equal(t, flush.None, eff.Op, "%v", eff.Err)
			}
		}
	})
}
