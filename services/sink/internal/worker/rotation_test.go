package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/sink/internal/cut"
)

// more produces records and gives them to a worker that consumes.
func (w *world) more(worker *Worker, sources ...string) {
	from := len(w.log)
	w.produce(sources...)
	worker.Feed(w.log[from:], int64(len(w.log)))
	synctest.Wait()
}

// A hot source is cut by its size and leaves the quiet one's file alone; the quiet one
// holds low back until its own age. Then nothing is ahead any more.
func TestAHotSourceForcesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		worker, _ := w.own(ctx, func(c *Config) { c.Limits.FileSize = 20 })
		<-worker.Ready()
		w.more(worker, "quiet")
		for range 5 {
			time.Sleep(time.Second)
			w.more(worker, "hot", "hot", "hot", "hot", "hot", "hot", "hot", "hot")
		}
		hot := factsOf[Flushed](w)
		require.Len(t, hot, 5)
		for _, f := range hot {
			require.Equal(t, cut.Size, f.Trigger)
			require.Len(t, f.Files, 2, "both tables of the hot source")
			require.Equal(t, int64(0), f.Low)
		}
		require.True(t, w.committed.Ahead)
		require.Equal(t, w.log[0].Timestamp, worker.Status().FirstOpen)

		time.Sleep(55 * time.Second) // the quiet one's minute
		synctest.Wait()
		all := factsOf[Flushed](w)
		require.Len(t, all, 6)
		require.Equal(t, cut.Age, all[5].Trigger)
		require.Len(t, all[5].Files, 2)
		require.False(t, w.committed.Ahead)
		require.Zero(t, worker.Status().FirstOpen)
		w.requireOnce()
		end()
		<-worker.Done()
	})
}

// Whoever takes over reads again from where the quiet file begins, and writes only what
// no table has.
func TestTakeOverBehindAQuietSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		worker, _ := w.own(ctx, func(c *Config) { c.Limits.FileSize = 20 })
		<-worker.Ready()
		w.more(worker, "quiet", "hot", "hot", "hot", "hot", "hot", "hot", "hot", "hot", "-")
		require.Len(t, factsOf[Flushed](w), 1)
		end()
		<-worker.Done()
		w.flushAll(t.Context())
		w.requireOnce()
		require.Equal(t, []Skipped{{Records: 9}}, factsOf[Skipped](w))
	})
}

// Files that are opened one after the other over a minute are cut ten times a minute,
// not once each.
func TestNeighboursGoAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		worker, _ := w.own(ctx)
		<-worker.Ready()
		const sources = 120
		for i := range sources {
			w.more(worker, "source-"+string(rune('a'+i%26))+string(rune('a'+i/26)))
			time.Sleep(time.Minute / sources)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		flushes := factsOf[Flushed](w)
		require.LessOrEqual(t, len(flushes), 11)
		require.Greater(t, len(flushes), 8)
		w.requireOnce()
		end()
		<-worker.Done()
	})
}

// A file that stays too far behind goes with the next cut, so that the sets of what is
// flushed ahead of it stay within their bound.
func TestTooFarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		worker, _ := w.own(ctx, func(c *Config) { c.Limits.FileSize, c.Limits.Behind = 20, 12 })
		<-worker.Ready()
		eight := []string{"hot", "hot", "hot", "hot", "hot", "hot", "hot", "hot"}
		w.more(worker, "quiet")
		w.more(worker, eight...)
		require.Len(t, factsOf[Flushed](w)[0].Files, 2)
		w.more(worker, eight...)
		require.Len(t, factsOf[Flushed](w)[1].Files, 4, "the quiet source's too")
		w.requireOnce()
		end()
		<-worker.Done()
	})
}
