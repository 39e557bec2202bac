package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	reader "weir/pkg/ledger"
	"weir/pkg/ledger/sums"
	"weir/pkg/s3"
	"weir/pkg/shape"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/ledger/journal"
	"weir/services/catalog/internal/views/keep"
)

// list makes Glue hold the table, and the days that have rows: after a start, and when the table was lost.
func (k *Keeper) list(ctx context.Context) error {
	k.mu.Lock()
	k.listed = k.listed && !k.lost
	k.lost = false
	k.mu.Unlock()
	if k.listed {
		return nil
	}
	days, err := reader.Open(k.store, k.settings.Database).Days(ctx, 0, 0)
	if err != nil {
		return err
	}
	if err := k.register(ctx, days); err != nil {
		return err
	}
	k.mu.Lock()
	k.lost = false // by this very registration
	k.mu.Unlock()
	k.listed = true
	return nil
}

func (k *Keeper) register(ctx context.Context, days []lake.Day) error {
	spec := k.settings.Lake.FilesSpec(k.settings.Database)
	parts := make([]change.Partition, len(days))
	for i, day := range days {
		parts[i] = k.settings.Lake.FilesPartition(k.settings.Database, day, k.journal.Places[day])
	}
	return k.registrar.Register(ctx, spec, parts)
}

// again makes a batch whole that this process has not made: what is there already stays, whoever made it.
func (k *Keeper) again(ctx context.Context) error {
	if k.journal.Merge != nil {
		return k.merge(ctx)
	}
	whole, err := k.whole(ctx)
	if err != nil {
		return err
	}
	if whole {
		k.made = true
		return nil
	}
	batch := new(journal.Batch)
	for _, f := range k.journal.Flushes {
		m, err := k.manifest(ctx, f.Manifest)
		if err == nil && m == nil {
			err = fmt.Errorf("batch %d of the ledger was not finished, and its manifest %s is not there any more: %w", k.journal.Number, f.Manifest, s3.ErrNotFound)
		}
		if err != nil {
			return err
		}
		if err := add(batch, m, f); err != nil {
			return err
		}
	}
	return k.make(ctx, batch)
}

// add puts a flush into the batch, with what its events have.
func add(b *journal.Batch, m *flush.Manifest, f journal.Flush) error {
	seen, err := codec.UnpackShapes(m.Shapes)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Key, err)
	}
	b.Add(m, f)
	b.Learn(seen)
	return nil
}

// whole tells whether everything of the batch is there.
func (k *Keeper) whole(ctx context.Context) (bool, error) {
	for _, day := range k.journal.Days {
		_, err := k.store.Head(ctx, k.key(day, 0))
		if errors.Is(err, s3.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		sums, _, err := reader.Read(ctx, k.store, k.settings.Database, day)
		if err != nil {
			return false, err
		}
		if sums.Applied < k.journal.Number {
			return false, nil
		}
	}
	if !k.journal.Shapes {
		return true, nil
	}
	known, _, err := keep.Read(ctx, k.store, k.settings.Database)
	if err != nil {
		return false, err
	}
	return known.Applied >= k.journal.Number, nil
}

// make makes the batch of the journal: a day is known to Glue, then its rows are there, then its sums.
func (k *Keeper) make(ctx context.Context, batch *journal.Batch) error {
	if err := k.register(ctx, k.journal.Days); err != nil {
		return err
	}
	done := Written{Number: k.journal.Number, Flushes: len(k.journal.Flushes), Objects: len(k.journal.Days)}
	for _, day := range k.journal.Days {
		rows := batch.Rows[day]
		body, err := encode(rows)
		if err != nil {
			return err
		}
		if err := k.put(ctx, k.key(day, 0), body); err != nil {
			return err
		}
		if err := k.sum(ctx, day, rows); err != nil {
			return err
		}
		done.Rows += len(rows)
	}
	if err := k.learn(ctx, &batch.Shapes); err != nil {
		return err
	}
	k.made = true
	k.tell(done)
	return nil
}

// key is that of the nth object which the journal's batch makes for a day.
func (k *Keeper) key(day lake.Day, n int) string {
	return lake.FilesKey(k.settings.Database, day, k.journal.Places[day], k.journal.Number, n)
}

// put makes an object that may be there already: then it has the same rows.
func (k *Keeper) put(ctx context.Context, key string, body []byte) error {
	_, err := k.store.PutIfMatch(ctx, key, body, "")
	if errors.Is(err, s3.ErrExists) || errors.Is(err, s3.ErrChanged) {
		return nil
	}
	return err
}

// sum adds the rows to the sums of their day, once.
func (k *Keeper) sum(ctx context.Context, day lake.Day, rows []journal.Row) error {
	all, etag, err := reader.Read(ctx, k.store, k.settings.Database, day)
	if err != nil || all.Applied >= k.journal.Number {
		return err
	}
	all.Apply(k.journal.Number, sumsOf(rows))
	body, err := all.Encode()
	if err != nil {
		return err
	}
	_, err = k.store.PutIfMatch(ctx, lake.SumsKey(k.settings.Database, day), body, etag)
	return err // where another catalog was faster it has added the same: the next try sees it
}

// learn counts what the batch's events have, once.
func (k *Keeper) learn(ctx context.Context, seen *shape.Summary) error {
	if !k.journal.Shapes {
		return nil
	}
	known, etag, err := keep.Read(ctx, k.store, k.settings.Database)
	if err != nil || known.Applied >= k.journal.Number {
		return err
	}
	known.Apply(k.journal.Number, seen)
	_, err = keep.Write(ctx, k.store, k.settings.Database, known, etag)
	return err // as with sums, where somebody was faster the next try sees it
}

func sumsOf(rows []journal.Row) []sums.Sum {
	list := make([]sums.Sum, len(rows))
	for i, r := range rows {
		s := sums.Sum{
			Partition: r.Partition, Files: 1, Rows: r.Rows, Bytes: r.Bytes, MinTime: r.MinTime, MaxTime: r.MaxTime,
			FirstFlush: r.FlushedAt, LastFlush: r.FlushedAt,
		}
		if r.Columns == nil {
			s.Unsized = r.Bytes
		} else {
			s.Columns = make(map[string]int64, len(r.Columns))
		}
		for _, c := range r.Columns {
			s.Columns[c.Name] = c.Bytes
		}
		list[i] = s
	}
	return list
}

func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}
