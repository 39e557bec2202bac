package group

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/sink/internal/worker"
)

// A partition is stuck once it was seen behind for longer than the limit without progress;
// one that stopped has said so itself, and the watch does not unsay it.
func TestWatched(t *testing.T) {
	o := &ownership{worker: worker.New(worker.Config{})}
	at, limit := time.Now(), time.Minute
	step := func(after time.Duration) (was, is error) {
		at = at.Add(after)
		return o.watched(at, limit)
	}
	_, is := step(time.Hour)
	require.NoError(t, is, "it has nothing to do")
	o.worker.Hear(5)
	_, is = step(time.Hour)
	require.NoError(t, is, "just now it has")
	_, is = step(limit)
	require.NoError(t, is)
	was, is := step(1)
	require.NoError(t, was)
	require.ErrorContains(t, is, "offset 0 of 5, in: wait for records")
	was, is = step(time.Hour)
	require.Equal(t, was, is, "said once")
	require.Error(t, o.status().Stuck)
	o.stopped = errors.New("stopped")
	was, is = step(1)
	require.NoError(t, errors.Join(was, is, o.status().Stuck))
}
