package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/sink/internal/cut"
)

// The markers of transactions are neither rows nor dead letters, and low moves over
// them: with the records before them, and by one flush of nothing where they came later.
func TestLowMovesOverControlRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce(";", "a", ";", "b", ";")
		worker, _ := w.own(t.Context())
		require.True(t, w.feed(worker))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.requireOnce()
		require.Len(t, w.notified(), 1, "the markers go with the records")

		at := len(w.log)
		w.produce(";", ";")
		worker.Feed(w.log[at:], int64(len(w.log)))
		time.Sleep(testLimits.FileAge - time.Second)
		synctest.Wait()
		require.Len(t, w.notified(), 1, "not before its age")
		time.Sleep(time.Hour)
		synctest.Wait()
		w.requireOnce()
		require.Len(t, w.notified(), 2, "one flush, and no second")
		require.Empty(t, w.notified()[1].Files)
		require.Equal(t, Flushed{
			Trigger: cut.Age, Seq: 2, Low: 7, Outcome: "published", DeadLetters: factsOf[Flushed](w)[1].DeadLetters,
			Phases: factsOf[Flushed](w)[1].Phases,
		}, factsOf[Flushed](w)[1])

		at = len(w.log)
		w.produce(";", "a") // an event that follows soon takes the marker along
		worker.Feed(w.log[at:at+1], int64(len(w.log)))
		time.Sleep(testLimits.FileAge / 2)
		worker.Feed(w.log[at+1:], int64(len(w.log)))
		time.Sleep(testLimits.FileAge - time.Second)
		synctest.Wait()
		require.Len(t, w.notified(), 2, "the age is the event's now")
		time.Sleep(time.Hour)
		synctest.Wait()
		w.requireOnce()
		require.Len(t, w.notified(), 3)
		worker.Finish(cut.Drain)
		<-worker.Done()
	})
}
