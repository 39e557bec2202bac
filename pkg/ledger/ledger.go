// Package ledger reads the sums that the catalog keeps of all published files: how many files, rows and bytes a table has,
// and bytes by column, for each source and day. Its invariant: an answer reads one small object for each day that was asked
// for, however many files the lake has, and holds the sums of sixteen days and those that it gives. What it says is what the catalog has
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

// daysAtOnce bounds requests under way, and the days in memory.
const daysAtOnce = 16

// Sums gives the sums of a table's lake partitions, by day, then source; of all tables where table is "". A lake without a
// ledger, or without such files, has none. A sum with fifty columns takes two kilobytes: who asks for many takes Each.
func (l *Ledger) Sums(ctx context.Context, table string, f Filter) ([]Sum, error) {
	var all []Sum
	for s, err := range l.Each(ctx, table, f) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Each yields what Sums gives, and holds no more than the sums of daysAtOnce days. An error ends it.
func (l *Ledger) Each(ctx context.Context, table string, f Filter) iter.Seq2[Sum, error] {
	return func(yield func(Sum, error) bool) {
		days, err := l.Days(ctx, f.From, f.To)
		if err != nil {
			yield(Sum{}, err)
			return
		}
		for some := range slices.Chunk(days, daysAtOnce) {
			found, err := l.read(ctx, some)
			if err != nil {
				yield(Sum{}, err)
				return
			}
			for _, day := range found {
				for _, s := range day.List() {
					if f.has(s, table) && !yield(s, nil) {
						return
					}
				}
			}
		}
	}
}

func (l *Ledger) read(ctx context.Context, days []lake.Day) ([]*sums.Day, error) {
	found := make([]*sums.Day, len(days))
	group, ctx := errgroup.WithContext(ctx)
	for i, day := range days {
		group.Go(func() (err error) {
			found[i], _, err = Read(ctx, l.store, l.database, day)
			return err
		})
	}
	return found, group.Wait()
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
