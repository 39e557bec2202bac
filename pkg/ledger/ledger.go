// Package ledger reads the sums that the catalog keeps of all published files: how many files, rows and bytes a table has,
// and bytes by column, for each source and day. Its invariant: an answer reads one small object for each day that was asked
// for, however many files the lake has, and holds the sums that it gives and no more. What it says is what the catalog has
// made visible until about a minute ago (the setting ledger-every); the rows themselves are the table weir_files.
// It writes nothing (services/catalog does). A Ledger belongs to whoever opened it, and may be used by many goroutines.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"weir/pkg/lake"
	"weir/pkg/ledger/sums"
	"weir/pkg/s3"
)

// Store is the part of the object store that is read.
type Store interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
}

// Sum is the files of one lake partition.
type Sum = sums.Sum

// Ledger is that of one database.
type Ledger struct {
	store    Store
	database string
}

// Open asks nothing of the store yet.
func Open(store Store, database string) *Ledger { return &Ledger{store: store, database: database} }

// Filter says which files are meant. The zero value means all.
type Filter struct {
	Sources  []string // none = all
	From, To lake.Day // both included; 0 = no bound
}

func (f Filter) has(s Sum, table string) bool {
	return (table == "" || s.Partition.Table == table) && (len(f.Sources) == 0 || slices.Contains(f.Sources, s.Partition.SourceID))
}

// daysAtOnce bounds requests under way, and with them the days in memory whose sums are not sifted yet.
const daysAtOnce = 16

// Sums gives the sums of a table's lake partitions, by day, then source; of all tables where table is "". A lake without a
// ledger, or without such files, has none.
func (l *Ledger) Sums(ctx context.Context, table string, f Filter) ([]Sum, error) {
	days, err := l.Days(ctx, f.From, f.To)
	if err != nil {
		return nil, err
	}
	found := make([][]Sum, len(days))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(daysAtOnce)
	for i, day := range days {
		group.Go(func() error {
			all, _, err := Read(ctx, l.store, l.database, day)
			if err != nil {
				return err
			}
			found[i] = slices.DeleteFunc(all.List(), func(s Sum) bool { return !f.has(s, table) })
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// Days lists the days of which there are files, rising.
func (l *Ledger) Days(ctx context.Context, from, to lake.Day) ([]lake.Day, error) {
	var days []lake.Day
	after := ""
	if from != 0 {
		after = lake.SumsKey(l.database, from-1)
	}
	for o, err := range l.store.List(ctx, lake.SumsDir(l.database), after) {
		if err != nil {
			return nil, fmt.Errorf("list the days of the ledger of database %s: %w", l.database, err)
		}
		day, err := lake.ParseSumsKey(l.database, o.Key)
		if err != nil {
			continue // not ours
		}
		if to != 0 && day > to {
			break
		}
		if day >= from || from == 0 {
			days = append(days, day)
		}
	}
	return days, nil
}

// Read reads the sums of one day; none where there are no files of it. etag is "" then.
func Read(ctx context.Context, store Store, database string, day lake.Day) (d *sums.Day, etag string, err error) {
	key := lake.SumsKey(database, day)
	body, etag, err := store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return new(sums.Day), "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if d, err = sums.Decode(day, body); err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return d, etag, nil
}
