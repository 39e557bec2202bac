package sink

import (
	"context"

	"golang.org/x/sync/semaphore"

	"weir/pkg/columnar"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// columns is the registry of promoted columns as it stands in the lake, for all partitions of a sink. Every sink of every
// group that writes to the lake shares it; what one adds, the others find when they add something themselves. The catalog
// reads it.
type columns struct {
	*stored.Book
	turn *semaphore.Weighted // held while S3 answers, so that whoever waits for it can give up
}

func newColumns(store *s3.Store, retry worker.Retry) *columns {
	try := func(ctx context.Context, what string, do func() error, final ...error) error {
		return retry.Do(ctx, worker.DependencyS3, what, do, final...)
	}
	return &columns{
		Book: stored.NewBook(store, try, func(r stored.Restored) { retry.Observe(r) }),
		turn: semaphore.NewWeighted(1),
	}
}

// register is worker.Table.Register: it adds the columns beside promoted ones that the file has. There are few, once.
func (c *columns) register(ctx context.Context, e worker.Encoder) (version int64, err error) {
	if err := c.turn.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer c.turn.Release(1)
	err = c.Beside(ctx, e.(*columnar.File).Beside())
	return c.Known().Version, err
}
