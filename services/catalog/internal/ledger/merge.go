package ledger

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/parquet-go/parquet-go"

	"weir/pkg/lake"
	reader "weir/pkg/ledger"
	"weir/services/catalog/internal/ledger/journal"
)

// What a merge holds: the rows of a row group, and the bytes of an object.
const (
	groupRows  = journal.MaxFiles
	objectRows = 25 * groupRows // some thirty megabytes
)

// tidyEvery is how often it is looked whether days are over.
const tidyEvery = time.Hour

// tidy merges a day that is over, when there is nothing else to do. more: there may be another.
func (k *Keeper) tidy(ctx context.Context) (more bool, err error) {
	if time.Since(k.tidied) < tidyEvery {
		return false, nil
	}
	days, err := reader.Open(k.store, k.settings.Database).Days(ctx, 0, 0)
	if err != nil {
		return false, err
	}
	due := k.journal.Due(days, time.Now())
	if len(due) == 0 {
		k.tidied = time.Now()
		return false, nil
	}
	decided, err := k.decide(ctx, k.journal.Merging(due[0]))
	if err != nil || !decided {
		return !decided, err
	}
	return true, k.merge(ctx)
}

// merge makes what the journal's batch says: all rows of the day stand in a directory of their own, and then Glue leads
// there. Until then engines read what stands in the first directory, which stays as it is: nothing is added to it, because
// every batch before is whole and every one after knows the day's new place. The day is merged once, so that whoever wakes
// up late and moves it again moves it to where it is.
func (k *Keeper) merge(ctx context.Context) error {
	day := *k.journal.Merge
	done, err := k.pack(ctx, day)
	if err != nil {
		return err
	}
	spec := k.settings.Lake.FilesSpec(k.settings.Database)
	place := k.settings.Lake.FilesPartition(k.settings.Database, day, k.journal.Places[day])
	if err := k.register(ctx, []lake.Day{day}); err != nil {
		return err
	}
	if err := k.registrar.Move(ctx, spec, place); err != nil {
		return err
	}
	k.made = true
	k.tell(done)
	return nil
}

// pack writes the rows of the day's first directory into its new one. The same objects give the same rows in the same
// objects.
func (k *Keeper) pack(ctx context.Context, day lake.Day) (done Merged, err error) {
	done.Day = day
	var rows []row
	var into object
	put := func() error {
		body, err := into.close()
		if err != nil {
			return err
		}
		err = k.put(ctx, k.key(day, done.Into), body)
		done.Into, done.Rows, into = done.Into+1, done.Rows+into.rows, object{}
		return err
	}
	for o, err := range k.store.List(ctx, lake.FilesDir(k.settings.Database, day, 0)+"/", "") {
		if err != nil {
			return done, err
		}
		read, err := k.rows(ctx, o.Key)
		if err != nil {
			return done, err
		}
		done.Objects++
		if rows = append(rows, read...); len(rows) < min(groupRows, k.objectRows) {
			continue
		}
		into.write(rows)
		rows = nil
		if into.rows >= k.objectRows {
			if err := put(); err != nil {
				return done, err
			}
		}
	}
	if len(rows) > 0 {
		into.write(rows)
	}
	if into.rows == 0 {
		return done, nil
	}
	return done, put()
}

func (k *Keeper) rows(ctx context.Context, key string) ([]row, error) {
	body, _, err := k.store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	rows, err := parquet.Read[row](bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return rows, nil
}
