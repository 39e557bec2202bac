package worker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/services/sink/internal/cut"
)

// limit changes what the dead-letter topic takes.
func (w *world) limit(bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letterMax = bytes
}

// blockedAt runs an ownership until it waits for the topic's limit.
func (w *world) blockedAt(seq uint64, phase flush.Phase) *Worker {
	fresh := w.committed == nil || w.committed.Phase == flush.Done
	worker, _ := w.own(w.t.Context())
	if fresh {
		require.True(w.t, w.feed(worker))
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	require.ErrorIs(w.t, worker.Status().Blocked, ErrTooLarge)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(w.t, seq, w.committed.Seq)
	require.Equal(w.t, phase, w.committed.Phase)
	return worker
}

// A dead letter that its topic does not take is waited for before anything is decided,
// and can be left to the next owner at any time; nothing is lost.
func TestLetterTooLargeBeforeTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limit(3)
		w.produce("a", "-", "b")
		worker := w.blockedAt(0, flush.Done)
		began := time.Now()
		worker.Finish(cut.Revoke)
		<-worker.Done()
		require.Zero(t, time.Since(began), "waiting keeps no partition")
		require.Equal(t, flush.End, worker.Outcome().Op)

		worker = w.blockedAt(0, flush.Done)
		blocked := factsOf[Blocked](w)
		require.Less(t, len(blocked), 2*5*60, "the pauses grow")
		w.limit(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, worker.Status().Blocked)
		require.Equal(t, Blocked{}, factsOf[Blocked](w)[len(factsOf[Blocked](w))-1])
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
	})
}

// The limit is lowered after the decision: the flush waits too, under every owner, and
// those that were acknowledged are not produced again and again.
func TestLetterTooLargeAfterTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.step = func(_ int, what string, after bool) error {
			if what == "commit intent" && after {
				w.limit(len("nonsense"))
			}
			return nil
		}
		w.produce("a", "-", "-", "-")
		w.log[2].Value = []byte("nonsense that is longer")
		worker := w.blockedAt(1, flush.Intent)
		require.Len(t, w.letters, 1)
		worker.Finish(cut.Drain)
		<-worker.Done()
		require.Equal(t, flush.End, worker.Outcome().Op)

		worker = w.blockedAt(1, flush.Intent)
		require.Len(t, w.letters, 2, "once by each owner")
		w.limit(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, w.letters, 4)
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.log[2].Value = []byte("nonsense")
		w.requireOnce()
	})
}

// A notification that the flush topic does not take is the same.
func TestNotificationTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		refuse := true
		w.step = func(_ int, what string, after bool) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if what == "notify" && !after && refuse {
				return errors.Join(ErrTooLarge, errors.New("raise it"))
			}
			return nil
		}
		w.produce("a")
		worker := w.blockedAt(1, flush.Intent)
		w.mu.Lock()
		refuse = false
		w.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
	})
}
