package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
)

// settle lets a follower do all that it can do.
func settle() {
	time.Sleep(10 * time.Minute) // of the bubble's clock
	synctest.Wait()
}

func TestOrderOfARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		facts, stop := w.catalog(0)
		defer stop()
		settle()
		require.Equal(t, []string{
			"commit 0", "create table eventlogs", // refused: no database; the effect is an answer
			"create database", "create table eventlogs", "create table eventlogs_raw", "commit 0",
		}, w.effects, "the tables exist before the first event")
		w.effects = nil

		w.publish(note(topicA, 0, 1, "s1"))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{
			"create 1 partitions of eventlogs", "create 1 partitions of eventlogs_raw",
			"put " + lake.GateKey("db", topicA), "commit 1",
		}, w.effects)
		require.Len(t, of[Visible](facts), 2)
		require.Less(t, of[Visible](facts)[0].Delay, 250*time.Millisecond, "a quiet topic is followed at once")

		w.effects = nil
		w.publish(note(topicA, 0, 2, "s1"))
		settle()
		require.Equal(t, []string{"put " + lake.GateKey("db", topicA), "commit 2"}, w.effects, "what Glue holds costs no call")
		w.effects = nil
		w.publish(note(topicA, 0, 2, "s1"))
		settle()
		require.Equal(t, []string{"commit 3"}, w.effects, "a repeat is ignored")
		require.Equal(t, uint64(2), w.gate(topicA).Marks[0].Seq)
		require.Equal(t, Pending(nil), of[Pending](facts)[len(of[Pending](facts))-1])
	})
}

func TestBusyTopicIsFollowedInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.catalog(0)
		defer stop()
		settle()
		w.effects = nil
		began := time.Now()
		for seq := range uint64(100) {
			w.publish(note(topicA, 0, seq+1, "s1"))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, uint64(100), w.gate(topicA).Marks[0].Seq)
		puts := 0
		for _, e := range w.effects {
			if strings.HasPrefix(e, "put ") {
				puts++
			}
		}
		require.LessOrEqual(t, puts, 7, "one write of the gate's memory a window, in %s", time.Since(began))
	})
}

// story is a world's life: several partitions of two topic ids, new sources as it
// goes, a repeat, a gap that the manifests close.
func story(w *world) {
	a := func(seq uint64, sources ...string) flush.Notification { return note(topicA, 0, seq, sources...) }
	for _, n := range []flush.Notification{ // the third was never notified
		a(1, "s1"), a(2, "s1", "s2"), a(3, "s3"), a(4, "s4"), note(topicA, 1, 1, "s1"), note(topicA, 1, 2), note(topicB, 0, 1, "s5"),
	} {
		w.manifest(n)
	}
	w.publish(a(1, "s1"), note(topicA, 1, 1, "s1"), a(2, "s1", "s2"))
	w.publish(a(2, "s1", "s2"), a(4, "s4"), note(topicB, 0, 1, "s5"), flush.Notification{}, note(topicA, 1, 2))
}

func (w *world) checkStory(t *testing.T) {
	t.Helper()
	require.Equal(t, int64(len(w.log)), w.committed)
	require.Equal(t, uint64(4), w.gate(topicA).Marks[0].Seq)
	require.Equal(t, uint64(2), w.gate(topicA).Marks[1].Seq)
	require.Equal(t, uint64(1), w.gate(topicB).Marks[0].Seq)
	for _, table := range []string{"eventlogs", "eventlogs_raw"} {
		require.Contains(t, w.tables, table)
		for i := range 5 {
			p, ok := w.partitions[table+"/s"+fmt.Sprint(i+1)+"/"+lake.DayOf(time.Now()).String()]
			require.True(t, ok, "%s s%d", table, i+1)
			require.Contains(t, p.Location, fmt.Sprintf("/sourceid=s%d/dt=", i+1))
		}
	}
	for _, mark := range w.gate(topicA).Marks {
		require.Empty(t, mark.Alarm)
	}
}

// Each effect of the story in turn fails, or lands without an answer, or is the
// last thing a catalog does or attempts; another catalog then goes on. The checks
// of the order are in the world: at each put of the gate's memory and each commit.
func TestEveryEffectGoesWrong(t *testing.T) {
	broken := errors.New("connection reset")
	for _, kind := range []string{"fails", "lands unanswered", "dies before", "dies after"} {
		t.Run(kind, func(t *testing.T) {
			for at, last := 0, 1; at < last; at++ {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					died := make(chan struct{})
					n, dead := 0, false
					w.act = func(string) (does, says) {
						n++
						if dead {
							return false, broken
						}
						if n-1 != at {
							return true, nil
						}
						switch kind {
						case "fails":
							return false, broken
						case "lands unanswered":
							return true, broken
						}
						dead = true
						close(died)
						return does(kind == "dies after"), broken
					}
					_, stop := w.catalog(2)
					story(w)
					settle()
					stop()
					if dead {
						w.mu.Lock()
						w.act = nil
						w.mu.Unlock()
						_, stop := w.catalog(3)
						settle()
						stop()
					}
					w.checkStory(t)
					last = max(last, len(w.effects))
				})
			}
		})
	}
}

// Two catalogs by mistake: Glue and the gate's memory come out right all the same,
// and it is noticed.
func TestTwoCatalogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one, stopOne := w.catalog(1)
		two, stopTwo := w.catalog(2)
		story(w)
		settle()
		stopOne()
		stopTwo()
		w.checkStory(t)
		require.NotEmpty(t, append(of[Rival](one), of[Rival](two)...))
	})
}

// The other catalog has written what this one has not: both must come out.
func TestRivalIsJudgedAgainst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		facts, stop := w.catalog(0)
		settle()
		var theirs flush.Gate
		theirs.Accept(note(topicA, 7, 1))
		body, err := codec.EncodeGate(&theirs)
		require.NoError(t, err)
		once := true
		w.act = func(name string) (does, says) {
			if once && strings.HasPrefix(name, "put ") {
				once = false
				w.put(lake.GateKey("db", topicA), body)
			}
			return true, nil
		}
		w.publish(note(topicA, 0, 1, "s1"))
		settle()
		stop()
		require.Len(t, of[Rival](facts), 1)
		require.Equal(t, uint64(1), w.gate(topicA).Marks[0].Seq)
		require.Equal(t, uint64(1), w.gate(topicA).Marks[7].Seq)
	})
}

func TestRestartFromNothing(t *testing.T) {
	for name, lose := range map[string]func(*world){
		"the offset":            func(w *world) { w.committed = -1 },
		"the gate's memory":     func(w *world) { w.forget(topicA); w.forget(topicB) },
		"both":                  func(w *world) { w.committed = -1; w.forget(topicA) },
		"a table":               func(w *world) { w.dropTable("eventlogs") },
		"all of Glue":           func(w *world) { w.database = false; w.dropTable("eventlogs"); w.dropTable("eventlogs_raw") },
		"Glue and the gate":     func(w *world) { w.dropTable("eventlogs"); w.forget(topicA) },
		"nothing but the cache": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, stop := w.catalog(0)
				story(w)
				settle()
				stop()
				lose(w)
				w.meddled = true
				_, stop = w.catalog(2)
				settle()
				w.publish(note(topicA, 0, 5, "s1"), note(topicB, 0, 2, "s1"))
				settle()
				stop()
				require.Equal(t, uint64(5), w.gate(topicA).Marks[0].Seq)
				require.Equal(t, uint64(2), w.gate(topicB).Marks[0].Seq)
				sources := []string{"s1", "s2", "s4", "s5"}
				if name != "a table" && name != "all of Glue" {
					sources = append(sources, "s3") // its flush has no notification, and a gate that knows it closes no gap
				}
				for _, s := range sources {
					_, ok := w.partitions["eventlogs/"+s+"/"+lake.DayOf(time.Now()).String()]
					require.True(t, ok, s)
				}
			})
		})
	}
}

func (w *world) forget(id lake.TopicID) { delete(w.objects, lake.GateKey("db", id)) }

func (w *world) dropTable(name string) {
	delete(w.tables, name)
	for key := range w.partitions {
		if strings.HasPrefix(key, name+"/") {
			delete(w.partitions, key)
		}
	}
}

// A table that is dropped while the catalog runs comes back with its partitions.
func TestTableDroppedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		facts, stop := w.catalog(0)
		defer stop()
		w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2, "s2"))
		settle()
		w.mu.Lock()
		w.dropTable("eventlogs")
		w.meddled = true
		w.mu.Unlock()
		w.publish(note(topicA, 0, 3, "s3"))
		settle()
		for _, s := range []string{"s1", "s2", "s3"} {
			_, ok := w.partitions["eventlogs/"+s+"/"+lake.DayOf(time.Now()).String()]
			require.True(t, ok, s)
		}
		require.NotEmpty(t, of[Rewound](facts))
	})
}

func TestAlarmStopsOnlyItsPartition(t *testing.T) {
	for name, c := range map[string]struct {
		bad    func(w *world) flush.Notification
		reason string
	}{
		"another manifest": {func(*world) flush.Notification {
			n := note(topicA, 0, 2, "x")
			n.Manifest += "x"
			return n
		}, "flush 2 is"},
		"another predecessor": {func(*world) flush.Notification {
			n := note(topicA, 0, 3, "x")
			n.Predecessor += "x"
			return n
		}, "flush 3 follows"},
		"another group": {func(*world) flush.Notification {
			n := note(topicA, 0, 3, "x")
			n.Group = "h"
			return n
		}, "group h"},
		"a gap without manifests": {func(*world) flush.Notification { return note(topicA, 0, 5, "x") }, "is not there"},
		"a gap that leads elsewhere": {func(w *world) flush.Notification {
			other := note(topicA, 0, 3, "x")
			other.Predecessor += "x"
			w.manifest(other)
			return note(topicA, 0, 4, "x")
		}, "flush 3 of partition 0 follows"},
		"a gap with a manifest that cannot be read": {func(w *world) flush.Notification {
			w.put(note(topicA, 0, 3).Manifest, []byte("{"))
			return note(topicA, 0, 4, "x")
		}, "cannot be read"},
		"a gap that leaves a seq out": {func(w *world) flush.Notification {
			w.manifest(note(topicA, 0, 2, "s1"))
			n := note(topicA, 0, 4, "x")
			n.Predecessor = note(topicA, 0, 2).Manifest
			return n
		}, "is flush 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				facts, stop := w.catalog(0)
				w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2, "s1"))
				settle()
				bad := c.bad(w)
				w.publish(bad, note(topicA, 1, 1, "s2"), note(topicA, 0, 6, "x"), note(topicA, 1, 2, "s3"))
				settle()
				stop()
				alarms := of[Alarm](facts)
				require.Len(t, alarms, 1, "once, and not for each flush after it")
				require.Contains(t, alarms[0].Reason, c.reason)
				require.Equal(t, int32(0), alarms[0].Partition)
				require.Equal(t, bad.Manifest, alarms[0].Manifest)
				require.Equal(t, lake.GateKey("db", topicA), alarms[0].Memory)
				require.Equal(t, uint64(2), w.gate(topicA).Marks[0].Seq)
				require.Equal(t, uint64(2), w.gate(topicA).Marks[1].Seq, "the others go on")
				require.Equal(t, int64(len(w.log)), w.committed)
				for key := range w.partitions {
					require.NotContains(t, key, "/x/")
				}

				facts, stop = w.catalog(0)
				settle()
				stop()
				require.Len(t, of[Alarm](facts), 1, "a restart remembers the alarm")
			})
		})
	}
}

func TestGapReportsWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for seq := range uint64(5) {
			w.manifest(note(topicA, 0, seq+1, fmt.Sprintf("s%d", seq+1)))
		}
		delete(w.objects, "eventlogs/s3/0-3")
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 0, 5, "s5"))
		settle()
		stop()
		require.Equal(t, []GapClosed{{Topic: "t", TopicID: topicA, Partition: 0, From: 1, To: 4}}, of[GapClosed](facts))
		require.Equal(t, "eventlogs/s3/0-3", of[MissingObject](facts)[0].Key)
		require.Len(t, w.partitions, 10)
		require.Equal(t, uint64(5), w.gate(topicA).Marks[0].Seq)
	})
}

func TestMemoryThatCannotBeReadLetsNothingPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put(lake.GateKey("db", topicA), []byte("not a gate"))
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 0, 1, "s1"))
		settle()
		stop()
		require.Empty(t, w.partitions)
		require.Empty(t, of[Fault](facts), "trying again is of no use")
		require.Equal(t, []byte("not a gate"), w.objects[lake.GateKey("db", topicA)].body)
	})
}

// A memory that cannot be read for a moment is no empty memory.
func TestMemoryIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.catalog(0)
		w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2, "s1"))
		settle()
		stop()
		w.unreadable = lake.GateKey("db", topicA)
		w.effects = nil
		facts, stop := w.catalog(0)
		settle()
		stop()
		require.Len(t, of[Fault](facts), 2, "refused, and then answering again")
		require.Empty(t, w.effects, "the offset stays where it was")
	})
}

// Glue may be away for as long as it likes.
func TestGlueDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		facts, stop := w.catalog(0)
		settle()
		down := true
		w.act = func(name string) (does, says) {
			if down && strings.Contains(name, "partitions") {
				return false, glue.ErrUnavailable
			}
			return true, nil
		}
		w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2, "s2"))
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		faults := of[Fault](facts)
		require.Greater(t, len(faults), 1000)
		require.Equal(t, Glue, faults[0].Dependency)
		for _, f := range faults {
			require.LessOrEqual(t, f.Wait, lastWait)
		}
		pending := of[Pending](facts)
		require.Equal(t, 2, pending[len(pending)-1]["eventlogs"].Files)
		require.WithinDuration(t, time.Now(), pending[len(pending)-1]["eventlogs"].Oldest, 6*time.Hour)
		require.Zero(t, w.gate(topicA).Marks[0].Seq)
		w.mu.Lock()
		down = false
		w.mu.Unlock()
		settle()
		stop()
		require.Equal(t, uint64(2), w.gate(topicA).Marks[0].Seq)
		faults = of[Fault](facts)
		require.Nil(t, faults[len(faults)-1].Err, "it is said that Glue answers again")
	})
}

func TestThrottlingSlowsTheCallsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.catalog(0)
		settle()
		throttled := 8
		var calls []time.Time
		w.act = func(name string) (does, says) {
			if !strings.Contains(name, "partitions") {
				return true, nil
			}
			calls = append(calls, time.Now())
			if throttled--; throttled >= 0 {
				return false, glue.ErrThrottled
			}
			return true, nil
		}
		n := note(topicA, 0, 1)
		for i := range 1000 {
			n.Files = append(n.Files, note(topicA, 0, 1, fmt.Sprintf("s%04d", i)).Files[0])
		}
		w.publish(n)
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		require.Len(t, w.partitions, 1000)
		require.Equal(t, uint64(1), w.gate(topicA).Marks[0].Seq)
		require.Len(t, calls, 18)
		for i := 9; i < len(calls); i++ {
			require.GreaterOrEqual(t, calls[i].Sub(calls[i-1]), 100*time.Millisecond, "call %d", i)
		}
		require.GreaterOrEqual(t, calls[9].Sub(calls[8]), 400*time.Millisecond, "a rate that was halved eight times")
	})
}

// itemGlue answers single items as it is told, once each.
type itemGlue struct {
	*world
	items map[string]error
}

func (g *itemGlue) BatchCreatePartition(ctx context.Context, db, table string, ps []glue.Partition) ([]glue.ItemError, error) {
	var failed []glue.ItemError
	ps = slices.DeleteFunc(slices.Clone(ps), func(p glue.Partition) bool {
		err, ok := g.items[table+"/"+p.Values[0]]
		if !ok {
			return false
		}
		if !errors.Is(err, glue.ErrInvalid) {
			delete(g.items, table+"/"+p.Values[0])
		}
		failed = append(failed, glue.ItemError{Values: p.Values, Err: err})
		return true
	})
	more, err := g.world.BatchCreatePartition(ctx, db, table, ps)
	return append(failed, more...), err
}

func TestItemErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.meddled = true
		facts := new(facts)
		g := &itemGlue{world: w, items: map[string]error{
			"eventlogs/s2": glue.ErrUnavailable, "eventlogs/s3": glue.ErrThrottled, "eventlogs/s4": glue.ErrInvalid,
			"eventlogs/s5": glue.ErrNotFound, "eventlogs/s6": glue.ErrLimit, "eventlogs/s7": errors.New("NewException: ?"),
			"eventlogs_raw/s1": glue.ErrChanged,
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		f := New(Settings{Database: "db", Lake: testLake()}, &reader{w: w}, w, g, g, facts.tell)
		go func() { done <- f.Run(ctx) }()
		w.publish(note(topicA, 0, 1, "s1", "s2", "s3", "s4", "s5", "s6", "s7"))
		settle()
		require.Len(t, w.partitions, 13)
		refused := of[Refused](facts)
		require.Len(t, refused, 1)
		require.Equal(t, "s4", refused[0].Partition.SourceID)
		require.Equal(t, uint64(1), w.gate(topicA).Marks[0].Seq, "one that Glue refuses does not hold up the others")

		delete(g.items, "eventlogs/s4") // and is tried again with a later flush
		settle()
		w.publish(note(topicA, 0, 2, "s4"))
		settle()
		require.Len(t, w.partitions, 14)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// A table that people have worked on keeps their work, also when the answer to the
// update is lost and somebody else updates in between.
func TestMergeKeepsOthersWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.catalog(0)
		settle()
		stop()
		held := w.tables["eventlogs"]
		cols := slices.Clone(held.Columns)
		cols[0].Comment = "who"
		cols[1].Parameters = map[string]string{"pii": "no"}
		held.Columns = append(append(cols[:3:3], glue.Column{Name: "theirs", Type: "date"}), cols[4:]...) // userid is gone
		held.Description, held.Parameters["team"] = "ours", "growth"
		w.tables["eventlogs"] = held

		updates := 0
		w.act = func(name string) (does, says) {
			if strings.HasPrefix(name, "update") {
				switch updates++; updates {
				case 1: // somebody adds a comment first
					other := w.tables["eventlogs"]
					other.Columns = slices.Clone(other.Columns)
					other.Columns[2].Comment = "late"
					w.tables["eventlogs"] = other
					w.versions["eventlogs"]++
				case 2:
					return true, glue.ErrChanged // landed; the answer was lost and the SDK sent it again
				}
			}
			return true, nil
		}
		facts, stop := w.catalog(0)
		settle()
		stop()
		got := w.tables["eventlogs"]
		require.Equal(t, 2, updates)
		require.Equal(t, "userid", got.Columns[len(got.Columns)-1].Name)
		require.Equal(t, "theirs", got.Columns[3].Name)
		require.Equal(t, "who", got.Columns[0].Comment)
		require.Equal(t, "late", got.Columns[2].Comment)
		require.Equal(t, map[string]string{"pii": "no"}, got.Columns[1].Parameters)
		require.Equal(t, "growth", got.Parameters["team"])
		require.Equal(t, "2", got.Parameters["weir.schema_version"])
		require.Equal(t, "ours", got.Description)
		require.Empty(t, of[Rewound](facts))
	})
}

func TestTableThatKeepsChanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.catalog(0)
		settle()
		stop()
		held := w.tables["eventlogs"]
		held.Columns = held.Columns[1:]
		w.tables["eventlogs"] = held
		calls := 0
		w.act = func(name string) (does, says) {
			if strings.HasPrefix(name, "update") {
				calls++
				return false, glue.ErrChanged
			}
			return true, nil
		}
		facts, stop := w.catalog(0)
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, maxRounds, calls, "then it counts as a fault and is tried later")
		require.Len(t, of[Fault](facts), 1)
		stop()
	})
}

func TestKnown(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	k := newKnown(3, time.Hour)
	p := func(table string, n int) lake.Partition { return lake.Partition{Table: table, Day: lake.Day(n)} }
	for i := range 3 {
		k.add(p("a", i), now)
	}
	require.True(t, k.has(p("a", 0), now)) // used: 1 is the oldest now
	k.add(p("b", 9), now)
	require.False(t, k.has(p("a", 1), now))
	require.True(t, k.has(p("a", 0), now))
	require.False(t, k.has(p("a", 0), now.Add(time.Hour)), "what somebody dropped comes back")
	k.add(p("b", 9), now.Add(time.Minute))
	require.True(t, k.has(p("b", 9), now.Add(time.Hour)))
	k.forget("b")
	require.False(t, k.has(p("b", 9), now))
	require.Equal(t, len(k.byKey), k.order.Len())
}
