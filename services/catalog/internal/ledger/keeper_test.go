package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/ledger/journal"
)

// some are flushes of two partitions, of several days and sources.
func some() []*flush.Manifest {
	return []*flush.Manifest{
		manifest(0, 1, 1, "a"), manifest(1, 1, 2, "a", "b:c"), manifest(0, 2, 1, "b:c"), manifest(0, 3, 0), manifest(0, 4, 3, "a"),
	}
}

func TestEachFileStandsOnce(t *testing.T) {
	w := newWorld(t)
	k, facts := w.keeper()
	w.rounds(k)
	require.Empty(t, w.rows())
	require.NotNil(t, w.days, "the table is there before its first row")
	all := some()
	w.flushed(all[:2]...)
	w.rounds(k)
	w.check(all[:2]...)
	w.flushed(all[2:]...)
	w.rounds(k)
	w.check(all...)
	require.Equal(t, []Written{{Number: 1, Flushes: 2, Rows: 10, Objects: 2}, {Number: 2, Flushes: 3, Rows: 8, Objects: 3}}, of[Written](facts))
	last := of[Behind](facts)
	require.Equal(t, uint64(3), last[len(last)-1].Flushes, "as it was when it looked")
	w.rounds(k)
	require.Len(t, of[Written](facts), 2, "what is written is left alone")
}

func TestARow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		k, _ := w.keeper()
		first, second, third := manifest(0, 1, 1, "a"), manifest(0, 2, 1, "a"), manifest(0, 3, 1, "a")
		w.flushed(first)
		w.rounds(k)
		w.flushed(second, third)
		k.Passed(second.Key)
		told := time.Now()
		time.Sleep(time.Minute)
		w.rounds(k)
		rows := w.rows()
		require.Len(t, rows, 6)
		require.Nil(t, rows[0].VisibleAt, "it was visible before this process came")
		require.Equal(t, told.UnixMicro(), *rows[2].VisibleAt)
		require.Equal(t, time.Now().UnixMicro(), *rows[3].VisibleAt, "seen by the gate")
		f := second.Files[0]
		micros := func(t time.Time) *int64 { n := t.UnixMicro(); return &n }
		require.Equal(t, row{
			Table: lake.EventLogsName, SourceID: "a", Key: f.Key, Rows: 2, Bytes: 100, ColumnBytes: map[string]int64{"event": 30, "type": 10},
			Topic: "t", TopicID: topicID.String(), Partition: 0, Seq: 2, FirstOffset: 1000, LastOffset: 1001,
			MinTime: micros(f.MinTime), MaxTime: micros(f.MaxTime), FlushedAt: micros(second.CreatedAt), VisibleAt: micros(told),
		}, rows[2])
		require.Nil(t, rows[4].ColumnBytes, "the raw copy has no columns")
		require.Empty(t, k.passed)
	})
}

// Whatever a keeper was doing when it died, and whether that took place or not: the next one leaves each file in one row.
func TestCrashAtEveryEffect(t *testing.T) {
	for _, lands := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			all := some()
			k, _ := w.keeper()
			w.flushed(all[:2]...)
			w.act = func(n int, _ string) (bool, error) {
				if n == at {
					return lands, errDied
				}
				return true, nil
			}
			died := false
			for i := range all {
				_, err := k.round(t.Context())
				if died = err != nil; died {
					require.ErrorIs(t, err, errDied)
					w.flushed(all[max(i+1, 2):]...)
					break
				}
				if i+1 >= 2 && i+1 < len(all) {
					w.flushed(all[i+1])
				}
			}
			w.act = nil
			next, _ := w.keeper()
			w.rounds(next)
			w.flushed(manifest(1, 2, 1, "a"))
			w.rounds(next)
			w.check(append(all, manifest(1, 2, 1, "a"))...)
			if !died {
				require.Greater(t, at, 15)
				break
			}
		}
	}
}

// A keeper whose answer is lost goes on by itself.
func TestLostAnswers(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		k, facts := w.keeper()
		w.flushed(some()...)
		w.act = func(n int, _ string) (bool, error) { return n != at, errIf(n == at || n == at+2, s3.ErrDenied) }
		failed := 0
		for {
			more, err := k.round(t.Context())
			if err != nil {
				failed++
			} else if !more {
				break
			}
		}
		w.check(some()...)
		require.Empty(t, of[Rival](facts))
		if failed == 0 {
			require.Greater(t, at, 8)
			break
		}
	}
}

func errIf(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// Before any effect of one catalog another one may take over and go on; the first wakes up later and does what it was about
// to do.
func TestAZombie(t *testing.T) {
	rivals := 0
	for at := 1; ; at++ {
		w := newWorld(t)
		first, facts := w.keeper()
		all := some()
		w.flushed(all[:2]...)
		met := false
		w.act = func(n int, _ string) (bool, error) {
			if n == at {
				met, w.act = true, nil
				second, _ := w.keeper()
				w.rounds(second)
				w.flushed(all[2])
				w.rounds(second)
				w.flushed(all[3:]...)
			}
			return true, nil
		}
		for {
			more, err := first.round(t.Context())
			if err == nil && !more {
				break
			}
			if err != nil {
				require.ErrorIs(t, err, s3.ErrChanged)
			}
		}
		if !met {
			break
		}
		w.rounds(first)
		w.check(all...)
		rivals += len(of[Rival](facts))
	}
	require.Positive(t, rivals)
}

// Two attempts of flush 2 and of flush 3 do not count, one of them came before and one after what does.
func TestAttemptsThatDoNotCount(t *testing.T) {
	for _, decided := range []uint64{4, 3, 2} {
		w := newWorld(t)
		k, facts := w.keeper()
		for seq := uint64(2); seq <= 3; seq++ {
			for _, id := range []string{"e", "g"} {
				m := manifest(0, seq, 1, "zombie")
				m.FlushID, m.Key = id, owner(0).ManifestKey(seq, id)
				w.attempt(m)
			}
		}
		var all []*flush.Manifest
		for seq := uint64(1); seq <= decided; seq++ {
			all = append(all, manifest(0, seq, 1, "a"))
		}
		w.flushed(all...)
		w.rounds(k)
		w.check(all...)
		require.Empty(t, of[Hole](facts))
	}
}

// Files that a person gave up were never there, and what Kafka still holds of their rows stands in other files.
func TestDroppedFiles(t *testing.T) {
	w := newWorld(t)
	k, _ := w.keeper()
	lost, recovery := manifest(0, 2, 1, "a", "b"), manifest(0, 3, 0)
	recovery.Format, recovery.Dropped, recovery.Shapes = flush.RecoveryFormat, []string{lost.Files[1].Key}, nil
	w.flushed(manifest(0, 1, 1, "a"))
	w.attempt(recovery)
	w.flushed(lost) // the gate is on its way to the recovery
	w.rounds(k)
	w.check(manifest(0, 1, 1, "a"))
	w.flushed(recovery, manifest(0, 4, 1, "a"))
	w.rounds(k)
	lost.Files = slices.Delete(lost.Files, 1, 2)
	w.check(manifest(0, 1, 1, "a"), lost, manifest(0, 4, 1, "a"))

	next, _ := w.keeper()
	require.NoError(t, next.recall(t.Context()))
	delete(w.objects, lake.FilesKey("db", today, 0, next.journal.Number, 0))
	w.rounds(next)
	w.check(manifest(0, 1, 1, "a"), lost, manifest(0, 4, 1, "a"))
}

// A ledger begins at the first manifest that is left, and says what is gone.
func TestManifestsThatAreGone(t *testing.T) {
	var all []*flush.Manifest
	for seq := uint64(1); seq <= 9; seq++ {
		all = append(all, manifest(0, seq, 1, "a"))
	}
	for name, c := range map[string]struct {
		gone []int
		want []Hole
	}{
		"the oldest":    {[]int{1, 2, 3}, []Hole{{owner(0), 1, 3}}},
		"in the middle": {[]int{4, 6, 7}, []Hole{{owner(0), 4, 4}, {owner(0), 6, 7}}},
		"the newest":    {[]int{8, 9}, []Hole{{owner(0), 8, 9}}},
		"all":           {[]int{1, 2, 3, 4, 5, 6, 7, 8, 9}, []Hole{{owner(0), 1, 9}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.flushed(all...)
			var left []*flush.Manifest
			for _, m := range all {
				if slices.Contains(c.gone, int(m.Seq)) {
					delete(w.objects, m.Key)
				} else {
					left = append(left, m)
				}
			}
			k, facts := w.keeper()
			w.rounds(k)
			w.check(left...)
			require.Equal(t, c.want, of[Hole](facts))
			next, _ := w.keeper()
			w.flushed(manifest(0, 10, 1, "a"))
			w.rounds(next)
			w.check(append(left, manifest(0, 10, 1, "a"))...)
		})
	}
}

// Doubt about one partition holds up that one.
func TestDoubt(t *testing.T) {
	w := newWorld(t)
	k, _ := w.keeper()
	w.flushed(manifest(0, 1, 1, "a"), manifest(1, 1, 1, "a"))
	w.rounds(k)
	broken := manifest(0, 2, 1, "a")
	w.flushed(broken, manifest(0, 3, 1, "a"), manifest(1, 2, 1, "a"))
	body := w.objects[broken.Key].body
	w.put(broken.Key, []byte(`{"format":99}`))
	_, err := k.round(t.Context())
	require.ErrorContains(t, err, "keep the ledger of partition 0 of t: decode manifest "+broken.Key+": format 99")
	w.check(manifest(0, 1, 1, "a"), manifest(1, 1, 1, "a"), manifest(1, 2, 1, "a"))
	w.put(broken.Key, body)
	w.rounds(k)
	w.check(manifest(0, 1, 1, "a"), manifest(1, 1, 1, "a"), manifest(1, 2, 1, "a"), broken, manifest(0, 3, 1, "a"))

	delete(w.objects, lake.GateKey("db", topicID))
	w.gate(manifest(0, 1, 1, "a"))
	_, err = k.round(t.Context())
	require.ErrorContains(t, err, "the gate's memory was taken back")

	w.put(lake.LedgerKey("db"), []byte("{"))
	other, _ := w.keeper()
	_, err = other.round(t.Context())
	require.ErrorContains(t, err, lake.LedgerKey("db")+": decode the ledger's memory")
}

// A lake that is older than its ledger is caught up with in batches that are bounded, and no partition waits for another.
func TestCatchingUp(t *testing.T) {
	w := newWorld(t)
	var all []*flush.Manifest
	var sources []string
	for i := range 700 {
		sources = append(sources, fmt.Sprint("s", i))
	}
	for seq := uint64(1); seq <= 30; seq++ {
		all = append(all, manifest(0, seq, 1, sources...))
	}
	for seq := uint64(1); seq <= 1200; seq++ {
		all = append(all, manifest(1, seq, 0))
	}
	all = append(all, manifest(2, 1, 1, "a"))
	w.flushed(all...)
	k, facts := w.keeper()
	more, err := k.round(t.Context())
	require.NoError(t, err)
	require.True(t, more)
	first := of[Written](facts)[0]
	require.GreaterOrEqual(t, first.Rows, journal.MaxFiles)
	require.Less(t, first.Rows, journal.MaxFiles+1400)
	w.rounds(k)
	for _, b := range of[Written](facts) {
		require.LessOrEqual(t, b.Flushes, journal.MaxFlushes+readAtOnce)
	}
	w.check(all...)
}

// Of a table that Glue has lost all days come back.
func TestATableThatIsLost(t *testing.T) {
	w := newWorld(t)
	k, _ := w.keeper()
	w.flushed(some()...)
	w.rounds(k)
	days := len(w.days)
	w.days = nil
	k.Lost()
	w.rounds(k)
	require.Len(t, w.days, days)
	w.check(some()...)
}

// Run keeps to its pace, and to ctx.
func TestRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		k, facts := w.keeper()
		w.refuse(lake.LedgerKey("db"))
		done := make(chan struct{})
		ctx, stop := contextOf(t)
		go func() { k.Run(ctx); close(done) }()
		synctest.Wait()
		require.Empty(t, of[Behind](facts))
		w.refuse("")
		w.flushed(manifest(0, 1, 1, "a"))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		w.check(manifest(0, 1, 1, "a"))
		w.flushed(manifest(0, 2, 1, "a"))
		time.Sleep(time.Minute)
		synctest.Wait()
		w.check(manifest(0, 1, 1, "a"), manifest(0, 2, 1, "a"))
		require.LessOrEqual(t, len(of[Behind](facts)), 3)
		stop()
		<-done
	})
}

func TestObjectsAreNamedByBatchAndDay(t *testing.T) {
	w := newWorld(t)
	k, _ := w.keeper()
	w.flushed(manifest(0, 1, 2, "a"))
	w.rounds(k)
	var keys []string
	for o := range w.List(t.Context(), lake.FilesName+"/", "") {
		keys = append(keys, strings.TrimPrefix(o.Key, "weir_files/db/"))
	}
	require.Equal(t, []string{"dt=2024-10-03/00000000000000000001-0.parquet", "dt=2024-10-04/00000000000000000001-0.parquet"}, keys)
}

// A manifest that tells of its events what nobody can read holds up its partition, before and after a hole, and no other.
func TestShapesThatCannotBeRead(t *testing.T) {
	for _, hole := range []bool{false, true} {
		w := newWorld(t)
		k, _ := w.keeper()
		bad, after, other := manifest(0, 1, 1, "a"), manifest(0, 2, 1, "a"), manifest(1, 1, 1, "b")
		bad.Shapes = []byte("x")
		w.flushed(bad, after, other)
		if hole {
			delete(w.objects, after.Key)
		}
		for range 3 {
			_, err := k.round(t.Context())
			require.ErrorContains(t, err, bad.Key+": unpack the shapes of events")
		}
		w.check(other)
		bad.Shapes = nil
		w.attempt(bad)
		w.rounds(k)
		rows := 0
		for _, r := range w.rows() {
			if r.Key == bad.Files[0].Key {
				rows++
			}
		}
		require.Equal(t, 1, rows, "it stands there once it can be read")
	}
}
