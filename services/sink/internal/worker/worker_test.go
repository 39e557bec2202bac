package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/s3"
	"weir/services/sink/internal/cut"
)

// The age of a file is exact: it is decided FileAge after its first record was read.
func TestAgeIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		w.produce("a", "b", "-")
		age := time.Minute + 123*time.Millisecond
		worker, _ := w.own(ctx, func(c *Config) { c.Limits.FileAge = age })
		require.True(t, w.feed(worker))
		began := time.Now()
		w.mu.Lock()
		w.step = func(_ int, what string, after bool) error {
			if what == "commit intent" && after {
				require.Equal(t, age, time.Since(began))
			}
			return nil
		}
		w.mu.Unlock()
		time.Sleep(age + time.Second)
		w.requireOnce()
		f := factsOf[Flushed](w)
		require.Len(t, f, 1)
		require.Equal(t, cut.Age, f[0].Trigger)
		require.Equal(t, "published", f[0].Outcome)
		require.Len(t, f[0].Files, 4)
		end()
		<-worker.Done()
	})
}

// A crash before and after every single step, and while the successor recovers too:
// what stands in the end stands once.
func TestCrashAtEveryStep(t *testing.T) {
	t.Run("uploads", func(t *testing.T) { crashAtEveryStep(t, 18) })
	t.Run("a bundle", func(t *testing.T) { crashAtEveryStep(t, 12, staging) })
}

func crashAtEveryStep(t *testing.T, steps int, change ...func(*Config)) {
	for first := 1; ; first++ {
		crashed := false
		for _, after := range []bool{false, true} {
			name := fmt.Sprintf("step %d, after its effect: %v", first, after)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.produce("a", "b", "-", "a", "b", "-")
				crashed = w.crash(t.Context(), first, after, change...) || crashed
				for second := 1; w.crash(t.Context(), second, second%2 == 0, change...) && second < 12; second += 3 { // and its successors
				}
				w.step = nil
				w.flushAll(t.Context(), change...)
				w.requireOnce()
			})
			require.False(t, t.Failed(), name)
		}
		if !crashed {
			require.Greater(t, first, steps, "the flush has many steps")
			return
		}
	}
}

// crash runs an ownership until its n-th step, and tells whether it came so far.
func (w *world) crash(ctx context.Context, n int, after bool, change ...func(*Config)) bool {
	var crashed atomic.Bool
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	w.mu.Lock()
	w.steps = 0
	w.step = func(at int, _ string, late bool) error {
		if at >= n && (late == after || at > n) {
			crashed.Store(true)
			kill()
			return errors.New("crashed")
		}
		return nil
	}
	w.mu.Unlock()
	worker, pin := w.own(ctx, change...)
	if w.feed(worker) {
		select {
		case <-worker.Done():
		case <-time.After(2 * time.Minute):
		}
	}
	kill()
	<-worker.Done()
	pin.End()
	synctest.Wait()
	return crashed.Load()
}

func (w *world) flushAll(ctx context.Context, change ...func(*Config)) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	worker, _ := w.own(ctx, change...)
	require.True(w.t, w.feed(worker), "%v", worker.Outcome())
	time.Sleep(2 * time.Minute)
	end()
	<-worker.Done()
}

// Every step fails a few times before it works: the machine hears of nothing.
func TestEverythingIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a", "-", "b")
		failed := map[string]int{}
		w.step = func(_ int, what string, after bool) error {
			if strings.HasPrefix(what, "commit") || after {
				return nil
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if failed[what]++; failed[what] <= 3 {
				return errors.New("out of order")
			}
			return nil
		}
		w.flushAll(t.Context())
		w.requireOnce()
		require.Greater(t, len(failed), 5)
		require.Len(t, factsOf[Retried](w), 3*len(failed))
		require.Len(t, factsOf[Flushed](w), 1)
		require.Equal(t, "published", factsOf[Flushed](w)[0].Outcome)
	})
}

func TestRetryWaitsLongerAndLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []time.Time
		var heard []any
		r := Retry{Observe: func(f any) { heard = append(heard, f) }}
		err := r.Do(t.Context(), "s3", "put x", func() error {
			attempts = append(attempts, time.Now())
			if len(attempts) < 14 {
				return errors.New("no")
			}
			return nil
		})
		require.NoError(t, err)
		for i, at := range attempts[1:] {
			full := min(maxBackoff, minBackoff<<i)
			pause := at.Sub(attempts[i])
			require.True(t, pause >= full/2 && pause <= full, "pause %d is %s", i, pause)
		}
		require.Len(t, heard, 14)
		require.Equal(t, Recovered{Dependency: "s3"}, heard[13])

		require.ErrorIs(t, r.Do(t.Context(), "s3", "x", func() error { return s3.ErrExists }, s3.ErrExists), s3.ErrExists)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, r.Do(ctx, "s3", "x", func() error { return errors.New("no") }), context.DeadlineExceeded)
	})
}

// A retained partition: the pinned generation is refused until the pin is renewed, and
// the flush goes on under the new one.
func TestRenewedPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		w.produce("a")
		worker, pin := w.own(ctx)
		require.True(t, w.feed(worker))
		w.mu.Lock()
		w.generation++
		w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		require.Empty(t, w.notes)
		pin.Renew(Identity{MemberID: "m", Generation: w.generation})
		synctest.Wait()
		w.requireOnce()
		end()
		<-worker.Done()
	})
}

// A generation that is refused although it is the current one: the ownership ends after a
// while, and the next finds what is committed.
func TestPinThatIsNeverRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a")
		worker, _ := w.own(t.Context(), func(c *Config) { c.PinWait = 90 * time.Second })
		require.True(t, w.feed(worker))
		w.mu.Lock()
		w.generation++
		w.mu.Unlock()
		began := time.Now()
		<-worker.Done()
		require.Equal(t, flush.End, worker.Outcome().Op)
		require.Equal(t, time.Minute+90*time.Second, time.Since(began))
		w.flushAll(t.Context())
		w.requireOnce()
	})
}

// Lost: nothing more is committed, whatever generation is current.
func TestEndedPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a")
		worker, pin := w.own(t.Context())
		require.True(t, w.feed(worker))
		before := *w.committed
		pin.End()
		time.Sleep(2 * time.Minute)
		<-worker.Done()
		require.Equal(t, flush.End, worker.Outcome().Op)
		require.Equal(t, before, *w.committed)
		w.flushAll(t.Context())
		w.requireOnce()
	})
}

// A spent member decides nothing new, but finishes what it has decided.
func TestSpentPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a")
		worker, pin := w.own(t.Context())
		require.True(t, w.feed(worker))
		pin.Spend()
		worker.Finish(cut.Revoke)
		<-worker.Done()
		require.Equal(t, uint64(0), w.committed.Seq)

		worker, pin = w.own(t.Context())
		w.mu.Lock()
		w.step = func(_ int, what string, after bool) error {
			if what == "commit intent" && after {
				pin.Spend()
			}
			return nil
		}
		w.mu.Unlock()
		require.True(t, w.feed(worker))
		time.Sleep(2 * time.Minute)
		worker.Finish(cut.Revoke)
		<-worker.Done()
		w.requireOnce()
	})
}

// An unanswered commit ends the ownership with Rejoin; the state that really stands is
// what the next one goes on from.
func TestUnansweredCommit(t *testing.T) {
	for _, c := range []struct {
		phase   string
		applied bool
	}{{"intent", false}, {"intent", true}, {"done", false}, {"done", true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.produce("a", "-")
			worker, _ := w.own(t.Context())
			require.True(t, w.feed(worker))
			w.mu.Lock()
			w.step = func(_ int, what string, after bool) error {
				if what == "commit "+c.phase && after == c.applied {
					return errors.New("no answer")
				}
				return nil
			}
			w.mu.Unlock()
			<-worker.Done()
			require.Equal(t, flush.Rejoin, worker.Outcome().Op)
			w.step = nil
			w.flushAll(t.Context())
			w.requireOnce()
		})
	}
}

// Spent between the cut and its decision: it is not decided.
func TestSpentBeforeTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a")
		worker, pin := w.own(t.Context())
		w.mu.Lock()
		w.step = func(_ int, what string, after bool) error {
			if what == "put manifest" && after {
				pin.Spend()
			}
			return nil
		}
		w.mu.Unlock()
		require.True(t, w.feed(worker))
		<-worker.Done()
		require.Equal(t, flush.End, worker.Outcome().Op)
		require.Equal(t, uint64(0), w.committed.Seq)
		w.step = nil
		w.flushAll(t.Context())
		w.requireOnce()
	})
}

// An ownership ends soon although the store does not answer.
func TestFinishWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		text := strings.Repeat("x", bigPart/4)
		for range 8 {
			w.produce("a")
			w.log[len(w.log)-1].Value = []byte(`{"type":"track","userId":"` + text + `"}`)
		}
		worker, _ := w.own(t.Context(), func(c *Config) {
			c.Limits.FileSize, c.FeedLimit, c.Uploaders = 1<<40, 1<<40, NewUploaders(4, bigPart)
			for _, t := range c.Tables {
				t.New = func(out io.Writer) (Encoder, error) { return &whole{lines{out: out}}, nil }
			}
		})
		<-worker.Ready()
		w.mu.Lock()
		w.step = func(_ int, what string, _ bool) error {
			if what == "part" {
				return errors.New("no store")
			}
			return nil
		}
		w.mu.Unlock()
		require.True(t, w.feed(worker))
		time.Sleep(time.Second)
		require.Equal(t, 2, w.created, "parts are on their way")
		began := time.Now()
		worker.Finish(cut.Drain)
		<-worker.Done()
		require.Less(t, time.Since(began), 2*abortTimeout)
		require.Equal(t, flush.End, worker.Outcome().Op)
	})
}

func TestFinish(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		flushes bool
	}{
		{"young: dropped", 29 * time.Second, false},
		{"half of its age: flushed", 30 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.produce("a", "b")
				worker, _ := w.own(t.Context())
				require.True(t, w.feed(worker))
				time.Sleep(c.after)
				synctest.Wait()
				worker.Finish(cut.Drain)
				<-worker.Done()
				require.Equal(t, Outcome{Op: flush.End}, worker.Outcome())
				require.Equal(t, c.flushes, len(w.notes) == 1)
				require.Equal(t, c.flushes, len(factsOf[Abandoned](w)) == 0)
				require.Empty(t, w.open(), "no upload is left behind")
				w.flushAll(t.Context())
				w.requireOnce()
			})
		})
	}
}

// A worker that cannot even find out where it stands ends when it is asked to.
func TestFinishWhileGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		worker, _ := w.own(t.Context(), func(c *Config) {
			c.Gather = func(ctx context.Context) (flush.Known, error) {
				<-ctx.Done()
				return flush.Known{}, ctx.Err()
			}
		})
		synctest.Wait()
		worker.Finish(cut.Drain)
		<-worker.Done()
		require.Equal(t, flush.End, worker.Outcome().Op)
	})
}

// Memory cuts take the largest file, the others stay open and hold low back; what is
// flushed ahead is not written again, by this ownership or the next.
func TestMemoryCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		w.produce("a", "b", "b", "b", "b")
		worker, _ := w.own(ctx)
		require.True(t, w.feed(worker))
		synctest.Wait()
		worker.Relieve(1)
		synctest.Wait()
		f := factsOf[Flushed](w)
		require.Len(t, f, 1)
		require.Equal(t, cut.Memory, f[0].Trigger)
		require.Len(t, f[0].Files, 1)
		require.Equal(t, int64(4), f[0].Files[0].Rows)
		require.Equal(t, int64(0), f[0].Low)
		require.True(t, w.committed.Ahead)
		end()
		<-worker.Done()

		w.flushAll(t.Context())
		w.requireOnce()
		require.Empty(t, factsOf[Skipped](w), "each offset still belongs to one table at least")
	})
}

func TestSkipsWhatIsFlushedEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		w.produce("a", "b", "b", "-")
		worker, _ := w.own(ctx)
		require.True(t, w.feed(worker))
		synctest.Wait()
		letter := int64(len("a")+len("nonsense")) + recordOverhead
		for _, need := range []int64{letter + 3, 3} { // the dead letter, and both files of b
			worker.Relieve(need)
			synctest.Wait()
		}
		require.Equal(t, int64(0), w.committed.Low)
		end()
		<-worker.Done()
		w.flushAll(t.Context())
		w.requireOnce()
		skipped := factsOf[Skipped](w)
		require.Len(t, skipped, 1)
		require.Equal(t, int64(3), skipped[0].Records)
		require.Len(t, w.letters, 1)
	})
}

// A lost upload is written again; rows that are gone stop the partition and are named;
// a table that nobody writes any more cannot be repaired.
func TestRepair(t *testing.T) {
	lose := func(w *world) {
		w.step = func(_ int, what string, after bool) error {
			if what == "commit intent" && after {
				w.mu.Lock()
				defer w.mu.Unlock()
				clear(w.uploads)
			}
			return nil
		}
	}
	t.Run("written again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.produce("a", "b", "a")
			lose(w)
			w.flushAll(t.Context())
			require.Len(t, factsOf[Repaired](w), 4)
			w.requireOnce()
		})
	})
	t.Run("other rows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.produce("a", "a", "a")
			w.unread = 1
			lose(w)
			worker, _ := w.own(t.Context())
			require.True(t, w.feed(worker))
			<-worker.Done()
			require.Equal(t, flush.Stop, worker.Outcome().Op)
			require.Equal(t, flush.RowsDiffer, factsOf[Repaired](w)[0].Kind)
			require.NotContains(t, strings.Join(slices.Collect(maps.Keys(w.objects)), " "), ".parquet", "nothing was put")
		})
	})
	t.Run("gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.produce("a", "b", "a")
			lose(w)
			worker, _ := w.own(t.Context())
			require.True(t, w.feed(worker))
			w.mu.Lock()
			w.logStart = 1
			w.mu.Unlock()
			<-worker.Done()
			require.Equal(t, flush.Stop, worker.Outcome().Op)
			require.ErrorContains(t, worker.Outcome().Err, "weir sink recover")
			require.ErrorContains(t, worker.Outcome().Err, "sourceid=a")
			require.NotContains(t, worker.Outcome().Err.Error(), "sourceid=b")
			require.Equal(t, flush.Intent, w.committed.Phase)
		})
	})
}

// An upload that is lost while it is still being written changes nothing for the
// reader: the flush is decided, and repaired.
func TestUploadLostBeforeTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a")
		parts := 0 // the two of the flush, and the first that is written again
		w.step = func(_ int, what string, after bool) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if what == "part" && !after {
				if parts++; parts <= 3 {
					clear(w.uploads)
				}
			}
			return nil
		}
		worker, _ := w.own(t.Context())
		require.True(t, w.feed(worker))
		time.Sleep(2 * time.Minute)
		worker.Finish(cut.Drain)
		<-worker.Done()
		require.Len(t, factsOf[Repaired](w), 2)
		require.Equal(t, 5, parts)
		w.requireOnce()
	})
}

// A publisher that stood still for long looks again before it makes anything visible.
func TestPublisherThatSlept(t *testing.T) {
	for _, superseded := range []bool{false, true} {
		t.Run(fmt.Sprintf("superseded=%v", superseded), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.produce("a")
				asked, down := 0, true
				w.step = func(_ int, what string, after bool) error {
					w.mu.Lock()
					defer w.mu.Unlock()
					if what == "complete" && !after && down {
						return errors.New("no store")
					}
					return nil
				}
				worker, _ := w.own(t.Context(), func(c *Config) {
					c.Confirm = func(ctx context.Context, want flush.State) (bool, error) {
						w.mu.Lock()
						asked++
						w.mu.Unlock()
						require.Equal(t, flush.Intent, want.Phase)
						return !superseded, nil
					}
				})
				require.True(t, w.feed(worker))
				time.Sleep(20 * time.Minute)
				w.mu.Lock()
				down = false
				w.mu.Unlock()
				time.Sleep(time.Minute)
				require.NotZero(t, asked)
				if superseded {
					<-worker.Done()
					require.Equal(t, flush.End, worker.Outcome().Op)
					require.NotContains(t, w.trace, "notify")
					return
				}
				worker.Finish(cut.Drain)
				<-worker.Done()
				w.requireOnce()
			})
		})
	}
}

// The feed says when to pause and asks for more when it was emptied.
func TestBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce(slices.Repeat([]string{"a"}, 100)...)
		var resumed atomic.Int32
		hold := make(chan struct{})
		worker, _ := w.own(t.Context(), func(c *Config) {
			c.FeedLimit = 10 * recordOverhead
			c.Resume = func() { resumed.Add(1) }
			c.Limits.FileAge = time.Second
		})
		<-worker.Ready()
		w.mu.Lock()
		w.step = func(_ int, what string, _ bool) error {
			if what == "put manifest" {
				<-hold
			}
			return nil
		}
		w.mu.Unlock()
		require.False(t, worker.Feed(w.log[:1], 100))
		time.Sleep(2 * time.Second) // now it flushes, and is held
		require.False(t, worker.Feed(w.log[1:5], 100))
		require.True(t, worker.Feed(w.log[5:100], 100))
		require.True(t, worker.Full())
		synctest.Wait()
		require.Zero(t, resumed.Load())
		close(hold)
		time.Sleep(10 * time.Second)
		require.Equal(t, int32(1), resumed.Load())
		require.False(t, worker.Full())
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
	})
}

// Records below low are ignored: fetching may begin before the worker knows where.
func TestFedFromBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a", "a", "a")
		w.flushAll(t.Context())
		w.produce("a", "a")
		worker, _ := w.own(t.Context())
		worker.Feed(w.log, 5)
		time.Sleep(2 * time.Minute)
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
	})
}

// What stops a partition from outside stops it in the words of the protocol. Where offsets
// are gone, it is what a start says: what is lost, and how to go on; or nothing but what
// was not flushed yet, and the next ownership reads that.
func TestFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		start  int64 // of the log, while the sink reads it
		op     flush.Op
		cause  flush.Cause
		advice string
	}{
		{"retention", kerr.OffsetOutOfRange, 2, flush.Stop, flush.CauseRetention, "--partition 0 --accept-loss"},
		{"nothing is lost", &kgo.ErrDataLoss{}, 1, flush.End, "", ""},
		{"unreadable", kgo.ErrMaxDecompress, 0, flush.Stop, CauseFetch, "for END: weir sink recover --group g --topic events --partition 0 --from END --accept-loss"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.produce("a")
				w.flushAll(t.Context())
				w.produce("a", "b")
				worker, pin := w.own(t.Context())
				require.True(t, w.feed(worker))
				synctest.Wait()
				w.mu.Lock()
				w.logStart = c.start
				w.mu.Unlock()
				worker.Fail(c.err)
				<-worker.Done()
				pin.End()
				out := worker.Outcome()
				require.Equal(t, c.op, out.Op)
				require.ErrorIs(t, out.Err, c.err)
				if c.op == flush.End {
					w.flushAll(t.Context())
					w.requireOnce()
					return
				}
				var stop *flush.StopError
				require.ErrorAs(t, out.Err, &stop)
				require.Equal(t, c.cause, stop.Cause)
				require.ErrorContains(t, out.Err, w.committed.Manifest)
				require.ErrorContains(t, out.Err, c.advice)
				if c.cause == CauseFetch { // what stands before it is not for the person who passes over it to lose
					require.Equal(t, int64(3), w.committed.Low)
					w.requireOnce()
				}
			})
		})
	}
}

// A record that cannot be written stops the partition: reading on would lose it.
func TestRecordThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a", "a")
		worker, _ := w.own(t.Context(), func(c *Config) {
			for _, t := range c.Tables {
				t.New = func(io.Writer) (Encoder, error) { return nil, errors.New("no encoder") }
			}
		})
		require.True(t, w.feed(worker))
		<-worker.Done()
		require.Equal(t, flush.Stop, worker.Outcome().Op)
		require.ErrorContains(t, worker.Outcome().Err, "no encoder")
		require.ErrorContains(t, worker.Outcome().Err, "restart the sink, nothing is lost")
		w.flushAll(t.Context())
		w.requireOnce()
	})
}

func TestDeadLettersAloneAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce(slices.Repeat([]string{"-"}, 250)...)
		worker, _ := w.own(t.Context())
		require.True(t, w.feed(worker))
		synctest.Wait()
		require.Equal(t, cut.Size, factsOf[Flushed](w)[0].Trigger, "many are not kept")
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.flushAll(t.Context())
		w.requireOnce()
	})
}

func TestRuns(t *testing.T) {
	var r runs
	require.True(t, r.empty())
	for _, o := range []int64{0, 1, 2, 5, 7, 8} {
		r.add(o)
	}
	require.False(t, r.empty())
	require.Equal(t, int64(0), r.min())
	require.True(t, r.set().Equal(flush.NewOffsets(0, 1, 2, 5, 7, 8)))
	var one runs
	one.add(9)
	require.Equal(t, int64(9), one.min())
	require.Equal(t, int64(1), one.set().Len())
}

func TestStartedMarker(t *testing.T) {
	o, err := decodeStarted(encodeStarted(42))
	require.NoError(t, err)
	require.Equal(t, int64(42), o)
	for _, bad := range []string{"", "{}", `{"format":2,"offset":1}`, `{"format":1}`, `{"format":1,"offset":-1}`, "x"} {
		_, err := decodeStarted([]byte(bad))
		require.Error(t, err, bad)
	}
}

// A worker tells what it is at, so that one that stands still can be told from one that
// has nothing to do.
func TestWhatItIsAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := make(chan struct{})
		w.step = func(_ int, what string, after bool) error {
			if what == "notify" && !after {
				<-hold
			}
			return nil
		}
		w.produce("a")
		worker, _ := w.own(t.Context())
		<-worker.Ready()
		synctest.Wait()
		require.True(t, worker.Status().Behind(), "there is a record that it has not read")
		require.True(t, w.feed(worker))
		time.Sleep(10 * time.Second)
		require.False(t, worker.Status().Behind())
		read := worker.Status().Progressed
		time.Sleep(2 * time.Minute)
		s := worker.Status()
		require.True(t, s.Behind())
		require.Equal(t, "Notify", s.Doing)
		require.Equal(t, read.Add(testLimits.FileAge), s.Progressed)
		close(hold)
		synctest.Wait()
		require.False(t, worker.Status().Behind())
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
	})
}
