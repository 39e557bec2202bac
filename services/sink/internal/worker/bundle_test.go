package worker

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
	"weir/services/sink/internal/cut"
)

// n small files cost n + 2 requests, not three each, and one more when the bundle is an
// upload of one part.
func TestSmallFilesAreCheap(t *testing.T) {
	for _, sources := range []int{1, 10, 500} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			for i := range sources {
				w.produce(fmt.Sprintf("source-%d", i))
			}
			w.flushAll(t.Context(), staging, func(c *Config) { c.Limits.OpenFiles = 2000 })
			w.requireOnce()
			requests := 0
			for _, step := range w.trace {
				if step != "put started" && (strings.HasPrefix(step, "put ") || slices.Contains([]string{"create", "part", "complete"}, step)) {
					requests++
				}
			}
			files := 2 * sources
			require.LessOrEqual(t, requests, files+3)
			require.Greater(t, requests, files)
			require.Len(t, factsOf[Flushed](w), 1)
		})
	}
}

// A bundle that outgrows a part is an upload, and files that are none too small have
// their own.
func TestLargeBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		defer end()
		w := newWorld(t)
		for range 20 {
			w.produce("large")
		}
		w.produce("a", "b", "c", "d", "e", "f")
		const part = 30 // bytes: 20 offsets have 50, one has 3
		w.step = w.failOnce("complete", errors.New("the store is slow today"))
		worker, _ := w.own(ctx, func(c *Config) { c.Uploaders = NewUploaders(4, part) })
		require.True(t, w.feed(worker))
		time.Sleep(2 * time.Minute)
		w.requireOnce()
		require.Equal(t, 3, w.created, "both files of the large source, and the bundle")
		end()
		<-worker.Done()
	})
}

// failOnce fails the first step of that name.
func (w *world) failOnce(name string, err error) func(int, string, bool) error {
	failed := false
	return func(_ int, what string, after bool) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if what != name || after || failed {
			return nil
		}
		failed = true
		return err
	}
}

// Another owner finishes the flush from the bundle; where that is gone too, from Kafka.
func TestRecoverStagedFiles(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.produce("a", "b", "a", "-")
				ctx, crash := context.WithCancel(t.Context())
				defer crash()
				w.step = func(_ int, what string, after bool) error {
					if what == "commit intent" && after {
						crash()
					}
					return nil
				}
				worker, _ := w.own(ctx, staging)
				require.True(t, w.feed(worker))
				<-worker.Done()
				require.Equal(t, flush.Intent, w.committed.Phase)
				w.step = nil
				if gone {
					for key := range w.objects {
						if strings.HasPrefix(key, "_weir-bundles/") {
							delete(w.objects, key)
						}
					}
				}
				w.flushAll(t.Context(), staging)
				w.requireOnce()
				require.Len(t, factsOf[Repaired](w), map[bool]int{true: 4}[gone])
			})
		})
	}
}

// What is flushed because a partition is given up is staged too.
func TestStagedOnDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.produce("a", "b")
		worker, _ := w.own(t.Context(), staging)
		require.True(t, w.feed(worker))
		time.Sleep(40 * time.Second)
		worker.Finish(cut.Drain)
		<-worker.Done()
		w.requireOnce()
		require.Zero(t, w.created)
	})
}
