package ledger

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// spread are flushes of three days that are long over, in several batches.
func (w *world) spread(k *Keeper) (all []*flush.Manifest) {
	for seq := uint64(1); seq <= 4; seq++ {
		m := manifest(0, seq, 3, "a", "b")
		all = append(all, m)
		w.flushed(m)
		_, err := k.round(w.t.Context())
		require.NoError(w.t, err)
	}
	return all
}

// A day that is over is one object in a directory of its own; what comes late stands beside it.
func TestADayIsMerged(t *testing.T) {
	w := newWorld(t)
	k, facts := w.keeper()
	all := w.spread(k)
	before := w.rows()
	w.rounds(k)
	w.check(all...)
	require.ElementsMatch(t, before, w.rows(), "the rows are the same")
	require.Equal(t, Merged{Day: today - 2, Rows: 16, Objects: 4, Into: 1}, of[Merged](facts)[0])
	require.Len(t, of[Merged](facts), 3)
	for day, place := range w.days {
		require.True(t, strings.HasPrefix(place, "weir_files_merged/db/dt="+day+"/"), place)
	}
	late := manifest(0, 5, 1, "a")
	w.flushed(late)
	w.rounds(k)
	next, facts := w.keeper()
	w.rounds(next)
	require.Empty(t, of[Merged](facts), "a day is merged once")
	w.check(append(all, late)...)

	w.days = nil
	next.Lost()
	w.rounds(next)
	w.check(append(all, late)...)
}

// Whatever a merge was doing when it died, or its answer was lost.
func TestCrashInAMerge(t *testing.T) {
	for _, lands := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			k, _ := w.keeper()
			all := w.spread(k)
			died := false
			w.effects = 0
			w.act = func(n int, _ string) (bool, error) {
				died = died || n == at
				return n != at || lands, errIf(n == at, errDied)
			}
			for more, err := true, error(nil); more && err == nil; {
				more, err = k.round(t.Context())
			}
			w.act = nil
			w.check(all...)
			late := manifest(0, 5, 3, "a")
			w.flushed(late)
			next, _ := w.keeper()
			w.rounds(next)
			w.check(append(all, late)...)
			if !died {
				require.Greater(t, at, 9)
				break
			}
		}
	}
}

// Before any effect of a merge another catalog may take over, finish it, and write what comes late.
func TestAZombieThatMerges(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		k, _ := w.keeper()
		all := w.spread(k)
		late := manifest(0, 5, 3, "a")
		met := false
		w.effects = 0
		w.act = func(n int, _ string) (bool, error) {
			if n == at {
				met, w.act = true, nil
				second, _ := w.keeper()
				w.rounds(second)
				w.flushed(late)
				w.rounds(second)
				w.check(append(all, late)...)
			}
			return true, nil
		}
		for {
			more, err := k.round(t.Context())
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
		w.check(append(all, late)...)
	}
}

// A day that may still see flushes is left alone, and is merged once it is over.
func TestADayThatIsNotOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		k, facts := w.keeper()
		now := lake.DayOf(time.Now())
		m := manifest(0, 1, 0)
		p := lake.Partition{Table: lake.EventLogsName, SourceID: "a", Day: now}
		m.Files = []flush.File{{
			Table: p.Table, Partition: p, Key: lake.ObjectKey(lake.EventLogs(), p, "x", 0), UploadID: "u", Rows: 1, Bytes: 1, Offsets: flush.NewOffsets(1),
			Columns: []lake.ColumnBytes{{Name: "event", Bytes: 30}, {Name: "type", Bytes: 10}},
		}}
		w.flushed(m)
		ctx, stop := contextOf(t)
		done := make(chan struct{})
		go func() { k.Run(ctx); close(done) }()
		time.Sleep(59 * time.Hour)
		synctest.Wait()
		require.Empty(t, of[Merged](facts))
		w.check(m)
		time.Sleep(3 * time.Hour)
		stop()
		<-done
		require.Len(t, of[Merged](facts), 1)
		w.check(m)
	})
}

// The objects of a large day are bounded.
func TestALargeDay(t *testing.T) {
	w := newWorld(t)
	k, facts := w.keeper()
	all := w.spread(k)
	k.objectRows = 8
	w.rounds(k)
	w.check(all...)
	require.Equal(t, Merged{Day: today - 2, Rows: 16, Objects: 4, Into: 2}, of[Merged](facts)[0])
}
