package query

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/ledger"
	"weir/pkg/s3"
)

// Freshness says how new a table's newest row is.
type Freshness struct {
	Table  string
	Column string // whose newest value Through is
	// Through is the newest time among the rows that can be queried, their receivedat, or
	// flushed_at in the table of files; zero = nothing is known. A producer that writes to Kafka by itself may claim any receivedat: one
	// that its flush had not reached yet counts as the time of the flush.
	Through time.Time
	Now     time.Time
	Ahead   bool // some receivedat was later than its flush by more than clockSkew
}

// clockSkew is how far the clocks of one installation differ without anybody's lie.
const clockSkew = time.Minute

// String is the line under an answer. It speaks of the newest row of all partitions:
// what else has come in, only Kafka knows.
func (f Freshness) String() string {
	if f.Through.IsZero() {
		return f.Table + " visible through: nothing of it is in the last flushes"
	}
	line := fmt.Sprintf("%s visible through %s UTC, lag %s: %s of the newest row", f.Table, f.Through.UTC().Format("2006-01-02 15:04:05.000"),
		f.Now.Sub(f.Through).Round(100*time.Millisecond), f.Column)
	if f.Ahead {
		line += ", or its flush where receivedat lies in the future"
	}
	return line
}

// Freshness reads the gate's memory: for each Kafka partition the last flush that
// the catalog made visible, and from that flush's manifest the newest receivedat
// of its rows, for each of the tables. It is never later than what can be queried, nor than now, and costs
// one small object per partition. A source that is silent makes the lag grow: the lag
// is the age of the newest row, not a measure of work to be done.
func (l *Lake) Freshness(ctx context.Context, tables ...string) ([]Freshness, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	store, err := l.whole(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := lastManifests(ctx, store, l.cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("read how fresh the lake is: %w", err)
	}
	found, now := make([]Freshness, len(tables)), time.Now()
	for i, t := range tables {
		found[i] = Freshness{Table: t, Column: "receivedat", Now: now}
		if t == lake.FilesName {
			if err := found[i].ofFiles(ctx, ledger.Open(store, l.cfg.Database)); err != nil {
				return nil, err
			}
		}
	}
	var mu sync.Mutex
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for _, key := range manifests {
		group.Go(func() error {
			m, err := readManifest(reading, store, key)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range found {
				found[i].add(m)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read how fresh the lake is: %w", err)
	}
	return found, nil
}

// ofFiles looks at the newest day of the ledger.
func (f *Freshness) ofFiles(ctx context.Context, books *ledger.Ledger) error {
	f.Column = "flushed_at"
	days, err := books.Days(ctx, 0, 0)
	if err != nil || len(days) == 0 {
		return err
	}
	last := days[len(days)-1]
	sums, err := books.Sums(ctx, "", ledger.Filter{From: last, To: last})
	for _, s := range sums {
		if s.LastFlush.After(f.Through) {
			f.Through = s.LastFlush
		}
	}
	return err
}

// lastManifests are the manifests that the gates of a database accepted last.
func lastManifests(ctx context.Context, store *s3.Store, database string) ([]string, error) {
	var keys []string
	for o, err := range store.List(ctx, lake.GateDir(database), "") {
		if err != nil {
			return nil, err
		}
		text, _, err := store.Get(ctx, o.Key)
		if err != nil {
			return nil, err
		}
		gate, err := codec.DecodeGate(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.Key, err)
		}
		for _, mark := range gate.Marks {
			if mark.Manifest != "" {
				keys = append(keys, mark.Manifest)
			}
		}
	}
	return keys, nil
}

func readManifest(ctx context.Context, store *s3.Store, key string) (*flush.Manifest, error) {
	text, _, err := store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return codec.DecodeManifest(key, text)
}

// add looks at one flush; one of dead letters only says nothing. Its rows came in
// before it was made, and it was made before now, whatever they or its clock say.
func (f *Freshness) add(m *flush.Manifest) {
	reached := m.CreatedAt
	if reached.IsZero() || reached.After(f.Now) {
		reached = f.Now
	}
	for _, file := range m.Files {
		if file.Table != f.Table {
			continue
		}
		through := file.MaxTime
		if through.After(reached) {
			f.Ahead = f.Ahead || through.Sub(reached) > clockSkew
			through = reached
		}
		if through.After(f.Through) {
			f.Through = through
		}
	}
}
