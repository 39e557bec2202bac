package follow

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// written puts the manifests of the flushes 1 to n of a partition, each with a source of
// its own day by day, without files if bare.
func (w *world) written(id lake.TopicID, partition int32, n int, bare bool) {
	for seq := range uint64(n) {
		if bare {
			w.manifest(note(id, partition, seq+1))
		} else {
			w.manifest(note(id, partition, seq+1, fmt.Sprintf("s%d", (seq+1)%5)))
		}
	}
}

func manifestsOf(id lake.TopicID, partition int32) string { return owner(id, partition).ManifestDir() }

// While thousands of manifests of one partition are read, the flushes of another are
// visible as ever; the offset waits, and it can be seen how far it is.
func TestAGapDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2500
		w := newWorld(t)
		w.written(topicA, 0, n, true)
		w.reading = func(string) error { time.Sleep(20 * time.Millisecond); return nil }
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 1, 1, "s1"), note(topicA, 0, n, "s1"))
		time.Sleep(5 * time.Second)
		for seq := range uint64(10) {
			w.publish(note(topicA, 1, seq+2, "s1"))
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, seq+2, w.mark(topicA, 1).Seq, "visible within a second")
			require.Zero(t, w.mark(topicA, 0).Seq)
			require.LessOrEqual(t, w.left(), int64(0), "what opened the gap is not left")
		}
		settle()
		stop()
		require.Equal(t, uint64(n), w.mark(topicA, 0).Seq)
		require.Equal(t, int64(12), w.left())
		require.Equal(t, []GapClosed{{Topic: "t", TopicID: topicA, From: 1, To: n - 1}}, of[GapClosed](facts))
		closing := of[Closing](facts)
		require.Greater(t, len(closing), 100)
		for i := 1; i < len(closing); i++ {
			require.LessOrEqual(t, closing[i].Progress.Back, closing[i-1].Progress.Back)
			require.GreaterOrEqual(t, closing[i].Progress.Passed, closing[i-1].Progress.Passed)
		}
		for key, times := range w.gets {
			if strings.HasPrefix(key, manifestsOf(topicA, 0)) {
				require.LessOrEqual(t, times, 3, key)
			}
		}
	})
}

// Reading fails again and again: it goes on from where it was, and nothing is read more
// often for it.
func TestAGapGoesOnAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1500
		w := newWorld(t)
		w.written(topicA, 0, n, true)
		var reads atomic.Int64
		w.reading = func(key string) error {
			if strings.HasPrefix(key, manifestsOf(topicA, 0)) && reads.Add(1)%10 == 0 {
				return s3.ErrDenied
			}
			return nil
		}
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 0, n))
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		require.Equal(t, uint64(n), w.mark(topicA, 0).Seq)
		for key, times := range w.gets {
			if strings.HasPrefix(key, manifestsOf(topicA, 0)) {
				require.LessOrEqual(t, times, 3, key)
			}
		}
		faults := of[Fault](facts)
		require.NotEmpty(t, faults)
		require.Equal(t, Fault{Dependency: Objects}, faults[len(faults)-1], "it is said that S3 answers again")
	})
}

// A manifest that may not be read keeps its own partition waiting, and no other.
func TestAGapThatCannotBeReadWaitsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.written(topicA, 0, 5, false)
		var denied atomic.Bool
		denied.Store(true)
		w.reading = func(key string) error {
			if denied.Load() && key == note(topicA, 0, 3).Manifest {
				return s3.ErrDenied
			}
			return nil
		}
		_, stop := w.catalog(0)
		w.publish(note(topicA, 1, 1, "s1"), note(topicA, 0, 5, "s0"))
		settle()
		w.publish(note(topicA, 1, 2, "s1"), note(topicB, 0, 1, "s1"))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, uint64(2), w.mark(topicA, 1).Seq)
		require.Equal(t, uint64(1), w.mark(topicB, 0).Seq)
		require.Equal(t, flush.Mark{}, w.mark(topicA, 0))
		require.LessOrEqual(t, w.left(), int64(1))
		denied.Store(false)
		settle()
		stop()
		require.Equal(t, uint64(5), w.mark(topicA, 0).Seq)
		require.Equal(t, int64(4), w.left())
	})
}

// What is notified of a partition while its gap is open passes after it, also when the
// catalog dies on the way and another one goes on from what passed.
func TestNotificationsDuringAGap(t *testing.T) {
	for _, dies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.written(topicA, 0, 1200, true)
			w.written(topicB, 0, 4, false)
			w.reading = func(string) error { time.Sleep(10 * time.Millisecond); return nil }
			facts, stop := w.catalog(0)
			w.publish(note(topicA, 0, 1000))
			for seq := range uint64(200) {
				w.publish(note(topicA, 0, 1001+seq))
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
			if dies {
				mark := w.mark(topicA, 0).Seq
				require.Greater(t, mark, uint64(0))
				require.Less(t, mark, uint64(1200))
				stop()
				clear(w.gets)
				facts, stop = w.catalog(0)
			}
			settle()
			stop()
			require.Equal(t, uint64(1200), w.mark(topicA, 0).Seq)
			require.Equal(t, int64(201), w.left())
			require.Len(t, of[GapClosed](facts), 1)
			if dies {
				require.Zero(t, w.gets[note(topicA, 0, 1).Manifest], "what passed is not read again")
			} else {
				require.Equal(t, GapClosed{Topic: "t", TopicID: topicA, From: 1, To: 1199}, of[GapClosed](facts)[0])
			}
		})
	}
}

// A flush of dead letters, or of offsets that were given up as lost, has no files: it
// passes as any other, notified or found in a gap.
func TestAFlushWithoutFilesPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.manifest(note(topicA, 0, 3))
		w.manifest(note(topicA, 0, 4, "s4"))
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2))
		settle()
		require.Equal(t, uint64(2), w.mark(topicA, 0).Seq)
		require.Equal(t, int64(20), w.mark(topicA, 0).Low)
		w.publish(note(topicA, 0, 4, "s4"))
		settle()
		stop()
		require.Equal(t, uint64(4), w.mark(topicA, 0).Seq)
		require.Equal(t, int64(3), w.left())
		require.Empty(t, of[Alarm](facts))
	})
}

// Another catalog passes the same gap at the same time.
func TestAGapThatARivalCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.written(topicA, 0, 700, true)
		w.written(topicA, 1, 3, false)
		w.reading = func(string) error { time.Sleep(7 * time.Millisecond); return nil }
		_, stopOne := w.catalog(0)
		w.publish(note(topicA, 0, 600), note(topicA, 1, 3, "s3"))
		time.Sleep(3 * time.Second)
		_, stopTwo := w.catalog(0)
		time.Sleep(3 * time.Second)
		w.publish(note(topicA, 0, 700))
		settle()
		stopOne()
		stopTwo()
		require.Equal(t, uint64(700), w.mark(topicA, 0).Seq)
		require.Equal(t, uint64(3), w.mark(topicA, 1).Seq)
		require.Empty(t, w.mark(topicA, 0).Alarm)
		require.Equal(t, int64(3), w.left())
	})
}

// mark is what stands at the gate of a partition while a catalog runs.
func (w *world) mark(id lake.TopicID, partition int32) flush.Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate(id).Marks[partition]
}

func (w *world) left() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}

// repair writes the gate as an operator's command does.
func (w *world) repair(id lake.TopicID, gate *flush.Gate) {
	body, err := codec.EncodeGate(gate)
	require.NoError(w.t, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.meddled, w.repaired = true, true
	w.put(lake.GateKey("db", id), body)
}

// A gate whose memory cannot be read stops its topic, once and by name, and no other.
// Once it is repaired, what was notified meanwhile is visible without another flush.
func TestAGateThatCannotBeReadStopsItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.written(topicA, 0, 3, false)
		w.put(lake.GateKey("db", topicA), []byte(`{"format":9}`))
		facts, stop := w.catalog(0)
		w.publish(note(topicA, 0, 2, "s2"), note(topicB, 0, 1, "s1"), note(topicA, 0, 3, "s3"))
		settle()
		require.Equal(t, uint64(1), w.mark(topicB, 0).Seq)
		require.Equal(t, int64(3), w.left())
		require.Len(t, of[Unjudged](facts), 1)
		require.ErrorIs(t, of[Unjudged](facts)[0].Err, ErrMemory)
		require.Equal(t, topicA, of[Unjudged](facts)[0].TopicID)
		require.Empty(t, of[Fault](facts))

		w.repair(topicA, &flush.Gate{Marks: map[int32]flush.Mark{0: {Group: "g", Seq: 2, Manifest: note(topicA, 0, 2).Manifest, Low: 20}}})
		time.Sleep(lookAgain + time.Second)
		synctest.Wait()
		require.Equal(t, uint64(3), w.mark(topicA, 0).Seq)
		require.Equal(t, []Cleared{{TopicID: topicA, Partition: -1}}, of[Cleared](facts))
		w.publish(note(topicA, 0, 4, "s1"))
		settle()
		stop()
		require.Equal(t, uint64(4), w.mark(topicA, 0).Seq)
		require.Empty(t, of[Rival](facts))
	})
}

// A cleared alarm is noticed by the catalog that runs, which goes on with what was
// notified meanwhile, and takes the repair for no rival.
func TestAClearedAlarmIsNoticed(t *testing.T) {
	for _, busy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.written(topicA, 0, 6, false)
			facts, stop := w.catalog(0)
			bad := note(topicA, 0, 3, "x")
			bad.Predecessor += "x"
			w.publish(note(topicA, 0, 1, "s1"), note(topicA, 0, 2, "s1"), bad, note(topicA, 0, 4, "s4"))
			settle()
			require.NotEmpty(t, w.mark(topicA, 0).Alarm)
			w.publish(note(topicA, 0, 5, "s0"), in("", "h", note(topicA, 0, 9, "x")))
			settle()
			w.mu.Lock()
			gate := w.gate(topicA)
			w.mu.Unlock()
			gate.Marks[0] = flush.Mark{Group: "g", Seq: 3, Manifest: note(topicA, 0, 3).Manifest, Low: 30}
			w.repair(topicA, &gate)
			if busy { // its next write finds the repair before it looks
				w.publish(note(topicA, 1, 1, "s1"))
			}
			time.Sleep(lookAgain + time.Second)
			synctest.Wait()
			require.Equal(t, uint64(5), w.mark(topicA, 0).Seq)
			require.Empty(t, w.mark(topicA, 0).Alarm)
			require.Equal(t, []Cleared{{Topic: "t", TopicID: topicA}}, of[Cleared](facts))
			w.publish(note(topicA, 0, 6, "s1"))
			settle()
			stop()
			require.Equal(t, uint64(6), w.mark(topicA, 0).Seq)
			require.Empty(t, of[Rival](facts))
			require.Len(t, of[Alarm](facts), 1)
		})
	}
}
