package sink

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"

	"weir/pkg/columnar"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// columns is the registry of promoted columns as it stands in the lake. Every sink of every group that writes to the
// lake shares it; what one adds, the others find when they add something themselves. The catalog reads it.
type columns struct {
	store *s3.Store
	retry worker.Retry

	turn  *semaphore.Weighted // held while S3 answers, so that whoever waits for it can give up
	known promote.Registry
	etag  string // "" = there is no object yet
}

func newColumns(store *s3.Store, retry worker.Retry) *columns {
	return &columns{store: store, retry: retry, turn: semaphore.NewWeighted(1)}
}

// open reads the registry and adds the columns of the wanted paths.
func (c *columns) open(ctx context.Context, wanted []promote.Wanted) (kept []promote.Kept, err error) {
	if err := c.read(ctx); err != nil {
		return nil, err
	}
	err = c.change(ctx, func(r promote.Registry) (next promote.Registry, err error) {
		next, kept, err = r.Extend(wanted)
		return next, err
	})
	return kept, err
}

// register is worker.Table.Register: it adds the columns beside promoted ones that the file has. There are few, once.
func (c *columns) register(ctx context.Context, e worker.Encoder) (version int64, err error) {
	names := e.(*columnar.File).Beside()
	if err := c.turn.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	defer c.turn.Release(1)
	err = c.change(ctx, func(r promote.Registry) (promote.Registry, error) { return r.Beside(names), nil })
	return c.known.Version, err
}

// change stores what do makes of the registry, if that is another. Where somebody else was first, theirs is changed.
func (c *columns) change(ctx context.Context, do func(promote.Registry) (promote.Registry, error)) error {
	for {
		next, err := do(c.known)
		if err != nil || next.Version == c.known.Version {
			return err
		}
		err = c.retry.Do(ctx, worker.DependencyS3, "store the registry of columns", func() error {
			etag, err := c.store.PutIfMatch(ctx, c.key(), next.Encode(), c.etag)
			if err == nil {
				c.etag = etag
			}
			return err
		}, s3.ErrChanged)
		if err == nil {
			c.known = next
			return nil
		}
		if !errors.Is(err, s3.ErrChanged) {
			return err
		}
		if err := c.read(ctx); err != nil {
			return err
		}
	}
}

func (c *columns) key() string { return lake.ColumnsKey(lake.EventLogsName) }

// read takes only a 404 for an empty registry.
func (c *columns) read(ctx context.Context) error {
	return c.retry.Do(ctx, worker.DependencyS3, "read the registry of columns", func() error {
		body, etag, err := c.store.Get(ctx, c.key())
		if errors.Is(err, s3.ErrNotFound) { // what is known, if somebody has deleted it, is put again with the next change
			c.etag = ""
			return nil
		}
		if err != nil {
			return err
		}
		known, err := promote.Decode(body)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errRegistry, c.key(), err)
		}
		c.known, c.etag = known, etag
		return nil
	}, errRegistry)
}

var errRegistry = errors.New("the registry of columns cannot be used")
