package flush_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

var (
	ruined = lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: lake.TopicID{0xab}, Partition: 3}
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

const ruinedHome = "0123456789abcdef"

// remnant is the manifest of flush seq, which takes ten records, put two hours ago.
func remnant(seq uint64, id string, before *flush.Remnant) flush.Remnant {
	m := &flush.Manifest{
		Key: ruined.ManifestKey(seq, id), Format: flush.Format, ClusterID: "cluster", Bucket: "bucket", Group: ruined.Group,
		Topic: ruined.Topic, TopicID: ruined.TopicID, Partition: ruined.Partition, Seq: seq, FlushID: id,
		Low: 10 * int64(seq-1), NextLow: 10 * int64(seq), LeaderEpoch: 7, Ahead: map[string]*flush.Offsets{},
	}
	if before != nil {
		m.Predecessor = before.Key
	}
	return flush.Remnant{Key: m.Key, Seq: seq, Modified: noon.Add(-2 * time.Hour), Manifest: m}
}

// ruins: flushes 2 and 3 have manifests, nothing is committed, nothing else is known.
func ruins() (r flush.Remains, two, three *flush.Remnant) {
	one := remnant(1, "a", nil)
	r = flush.Remains{
		Known: flush.Known{
			Owner: ruined, ClusterID: "cluster", Bucket: "bucket", Home: ruinedHome, Tables: []string{"eventlogs"}, LogEnd: 1000,
		},
		Manifests: []flush.Remnant{remnant(2, "b", &one), {}}, EpochEnds: map[int32]int64{7: 900},
		Now: noon, MinAge: time.Hour,
	}
	two, three = &r.Manifests[0], &r.Manifests[1]
	*three = remnant(3, "c", two)
	return r, two, three
}

func commit(r *flush.Remains, s flush.State) {
	s.LeaderEpoch = 7
	if s.Home == "" {
		s.Home = ruinedHome
	}
	r.Committed, r.Offset, r.CommittedEpoch, r.Metadata = true, s.Low, s.LeaderEpoch, s.Metadata()
}

func done(m *flush.Remnant) flush.State {
	return flush.State{
		Low: m.Manifest.NextLow, LeaderEpoch: 7, Seq: m.Seq, Manifest: m.Key, Ahead: len(m.Manifest.Ahead) > 0, Home: ruinedHome,
	}
}

func intent(m *flush.Remnant) flush.State {
	return flush.State{Low: m.Manifest.Low, LeaderEpoch: 7, Seq: m.Seq, Phase: flush.Intent, Manifest: m.Key, Home: ruinedHome}
}

type recoverCase struct {
	name string
	ruin func(r *flush.Remains, two, three *flush.Remnant)
	want func(two, three *flush.Remnant) flush.State // nil: refused, or nothing stands
	kind flush.Recovery
	says string
}

func doneTwo(two, _ *flush.Remnant) flush.State      { return done(two) }
func doneThree(_, three *flush.Remnant) flush.State  { return done(three) }
func intentThree(_, last *flush.Remnant) flush.State { return intent(last) }

func recoverCases() []recoverCase {
	return []recoverCase{
		{"the gate names the newest", func(r *flush.Remains, _, three *flush.Remnant) {
			r.GateSeq, r.GateManifest = 3, three.Key
		}, doneThree, flush.Restore, "the catalog has accepted it"},
		{"the flush topic names the newest, the gate lags", func(r *flush.Remains, two, three *flush.Remnant) {
			r.GateSeq, r.GateManifest = 2, two.Key
			r.Named = []flush.Named{{3, three.Key, 30}, {2, two.Key, 20}} // a repeat that came late
			three.Visible = true
		}, doneThree, flush.Restore, "the flush topic names it"},
		{"one object of the newest is there", func(_ *flush.Remains, _, three *flush.Remnant) {
			three.Visible = true
		}, intentThree, flush.Restore, "an object of it is visible"},
		{"the newest was not decided", func(r *flush.Remains, two, _ *flush.Remnant) {
			r.Named = []flush.Named{{2, two.Key, 20}}
		}, doneTwo, flush.Restore, "the flush topic names it"},
		{"only the manifest after it names it", func(*flush.Remains, *flush.Remnant, *flush.Remnant) {
		}, doneTwo, flush.Restore, "the manifest of the next flush follows it"},
		{"several attempts, one was decided", func(r *flush.Remains, two, three *flush.Remnant) {
			three.Visible = true
			r.Manifests = append(r.Manifests, remnant(3, "x", two), remnant(2, "y", nil))
		}, intentThree, flush.Restore, "visible"},
		{"something is flushed ahead", func(r *flush.Remains, _, three *flush.Remnant) {
			three.Manifest.Ahead["eventlogs"] = flush.NewOffsets(35)
			r.GateSeq, r.GateManifest = 3, three.Key
		}, doneThree, flush.Restore, ""},
		{"no flush was decided", func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests = []flush.Remnant{remnant(1, "a", nil)}
		}, func(_, _ *flush.Remnant) flush.State {
			return flush.State{LeaderEpoch: -1, Home: ruinedHome}
		}, flush.Restore, "it begins at offset 0"},
		{"another tool committed before any flush", func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = nil, 17
			r.Committed, r.Offset = true, 40
		}, func(_, _ *flush.Remnant) flush.State {
			return flush.State{Low: 17, LeaderEpoch: -1, Home: ruinedHome}
		}, flush.Restore, "it begins at offset 17"},
		{"another tool committed", func(r *flush.Remains, two, three *flush.Remnant) {
			commit(r, done(two))
			r.Offset++
			r.GateSeq, r.GateManifest = 3, three.Key
		}, doneThree, flush.Restore, ""},
		{"the committed state went back", func(r *flush.Remains, two, three *flush.Remnant) {
			commit(r, done(two))
			r.Named = []flush.Named{{3, three.Key, 30}}
		}, doneThree, flush.Restore, ""},

		{"done is sound", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, done(three))
			three.Visible, three.Modified = true, noon
		}, doneThree, flush.Keep, "is sound"},
		{"done is sound, its successor was not decided", func(r *flush.Remains, two, _ *flush.Remnant) {
			commit(r, done(two))
		}, doneTwo, flush.Keep, "is sound"},
		{"intent is sound, though all was published", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, intent(three))
			r.Named = []flush.Named{{3, three.Key, 30}}
		}, intentThree, flush.Keep, "the next start publishes flush 3"},
		{"intent is sound, nothing of it is visible", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, intent(three))
		}, intentThree, flush.Keep, "the next start publishes flush 3"},
		{"clean done needs no manifest", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, done(three))
			r.Manifests = nil
		}, doneThree, flush.Keep, "is sound"},
		{"nothing was ever there", func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = nil, -1
		}, nil, flush.Keep, "the next start begins it"},

		{"another lake", func(r *flush.Remains, _, three *flush.Remnant) {
			s := done(three)
			s.Home = "another"
			commit(r, s)
		}, nil, flush.Refuse, "another lake or from another cluster"},
		{"another cluster's manifest", func(_ *flush.Remains, _, three *flush.Remnant) {
			three.Manifest.ClusterID = "copy"
		}, nil, flush.Refuse, "does not belong here"},
		{"a manifest cannot be read", func(_ *flush.Remains, two, _ *flush.Remnant) {
			two.Manifest, two.Err = nil, errors.New("format 2")
		}, nil, flush.Refuse, "cannot be read: format 2"},
		{"the decided manifest is gone", func(r *flush.Remains, _, three *flush.Remnant) {
			r.GateSeq, r.GateManifest = 3, three.Key
			r.Manifests = r.Manifests[:1]
		}, nil, flush.Refuse, "is not there"},
		{"the intent's manifest is gone", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, intent(three))
			r.Manifests = r.Manifests[:1]
		}, nil, flush.Refuse, "is not there"},
		{"decided twice, by gate and objects", func(r *flush.Remains, two, three *flush.Remnant) {
			other := remnant(3, "x", two)
			other.Visible = true
			r.Manifests = append(r.Manifests, other)
			r.GateSeq, r.GateManifest = 3, three.Key
		}, nil, flush.Refuse, "flush 3 was decided twice"},
		{"the newest manifests follow two others", func(r *flush.Remains, _, three *flush.Remnant) {
			fork := remnant(2, "y", nil)
			r.Manifests = append(r.Manifests, remnant(3, "x", &fork))
			r.GateSeq, r.GateManifest = 3, three.Key
		}, nil, flush.Refuse, "flush 2 was decided twice"},
		{"the committed flush is not the one that was followed", func(r *flush.Remains, _, _ *flush.Remnant) {
			fork := remnant(2, "y", nil)
			r.Manifests = append(r.Manifests, fork)
			commit(r, done(&fork))
		}, nil, flush.Refuse, "flush 2 was decided twice"},
		{"too young", func(r *flush.Remains, _, three *flush.Remnant) {
			r.GateSeq, r.GateManifest = 3, three.Key
			three.Modified = noon.Add(-59 * time.Minute)
		}, nil, flush.Refuse, "is only 59m0s old: whoever wrote it may still publish; wait until 2026-11-23T12:01:00Z"},
		{"retention took records", func(r *flush.Remains, _, three *flush.Remnant) {
			r.GateSeq, r.GateManifest, r.LogStart = 3, three.Key, 33
		}, nil, flush.Refuse, "records 30 to 32 were deleted by retention"},
		{"retention took records above a sound state", func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, done(three))
			r.LogStart = 33
		}, nil, flush.Refuse, "records 30 to 32 were deleted by retention"},
		{"the log was cut back", func(r *flush.Remains, _, three *flush.Remnant) {
			three.Visible, r.LogEnd = true, 29
		}, nil, flush.Refuse, "records below 30 are flushed, the log of their leader epoch ends at 29"},
		{"the log of the epoch was cut back", func(r *flush.Remains, _, three *flush.Remnant) {
			three.Visible, r.EpochEnds[7] = true, 29
		}, nil, flush.Refuse, "ends at 29"},
		{"the catalog has stopped it", func(r *flush.Remains, _, three *flush.Remnant) {
			r.GateSeq, r.GateManifest, r.GateAlarm = 3, three.Key, "two manifests"
		}, nil, flush.Refuse, "the catalog has stopped it: two manifests"},
		{"nothing says where it began", func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = []flush.Remnant{remnant(1, "a", nil)}, -1
		}, nil, flush.Refuse, "marker is not there"},
		{"marker and manifest differ", func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = []flush.Remnant{remnant(1, "a", nil)}, 4
		}, nil, flush.Refuse, "marker says offset 4"},
	}
}

func TestRecover(t *testing.T) {
	for _, c := range recoverCases() {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			r, two, three := ruins()
			c.ruin(&r, two, three)
			plan := flush.Recover(r)
			require.Equal(t, c.kind, plan.Recovery, "%s", plan.Why)
			require.Contains(t, plan.Why, c.says)
			var want flush.State
			if c.want != nil {
				want = c.want(two, three)
			}
			require.Equal(t, want, plan.State)
			if plan.Recovery == flush.Refuse {
				return
			}
			again := r
			if plan.State.Home != "" {
				commit(&again, plan.State)
				again.CommittedEpoch = plan.State.LeaderEpoch
			}
			require.Equal(t, flush.Keep, flush.Recover(again).Recovery, "what was restored is sound")
			requireStarts(t, again, plan.State)
		})
	}
}

// requireStarts: the machine takes what recovery left, and reads on from there once a pending flush is published.
func requireStarts(t *testing.T, r flush.Remains, s flush.State) {
	t.Helper()
	m, eff := flush.Start(r.Known)
	for range 20 {
		require.NotEqual(t, flush.Stop, eff.Op, "%v", eff.Err)
		switch eff.Op {
		case flush.None:
			if s.Phase == flush.Intent {
				require.Equal(t, s.Low+10, m.Low())
			} else {
				require.Equal(t, s.Low, m.Low())
			}
			require.Equal(t, s.Seq, m.Seq())
			return
		case flush.PutStarted:
			eff = m.Step(flush.Input{Kind: flush.Started})
		case flush.ReadManifest:
			for _, found := range r.Manifests {
				if found.Key == eff.Key {
					eff = m.Step(flush.Input{Kind: flush.ManifestRead, Manifest: found.Manifest})
					break
				}
			}
		case flush.Commit:
			eff = m.Step(flush.Input{Kind: flush.CommitApplied})
		default:
			eff = m.Step(flush.Input{Kind: flush.OK})
		}
	}
	require.Fail(t, "the machine does not come to consume")
}
