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
	"weir/pkg/s3"
)

// Freshness says how far the lake shows what came in.
type Freshness struct {
	Through time.Time // the newest receivedat among the rows that can be queried; zero = nothing is known
	Now     time.Time
}

// String is the line under an answer.
func (f Freshness) String() string {
	if f.Through.IsZero() {
		return "visible through: nothing yet"
	}
	return fmt.Sprintf("visible through %s UTC, lag %s", f.Through.UTC().Format("2006-01-02 15:04:05.000"),
		f.Now.Sub(f.Through).Round(100*time.Millisecond))
}

// Freshness reads the gate's memory: for each Kafka partition the last flush that
// the catalog made visible, and from that flush's manifest the newest receivedat
// of its rows. It is what can be queried for sure, never more, and costs one small
// object per partition. A source that is silent makes the lag grow: the lag is the
// age of the newest row, not a measure of work to be done.
func (l *Lake) Freshness(ctx context.Context) (Freshness, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	location, err := lake.ParseLocation(l.cfg.Lake)
	if err != nil {
		return Freshness{}, err
	}
	cfg := l.cfg.S3
	cfg.Lake = location
	store, err := s3.Open(ctx, cfg, nil)
	if err != nil {
		return Freshness{}, err
	}
	manifests, err := lastManifests(ctx, store, l.cfg.Database)
	if err != nil {
		return Freshness{}, fmt.Errorf("read how fresh the lake is: %w", err)
	}
	f := Freshness{Now: time.Now()}
	var mu sync.Mutex
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for _, key := range manifests {
		group.Go(func() error {
			through, err := newestRow(reading, store, key)
			mu.Lock()
			defer mu.Unlock()
			if through.After(f.Through) {
				f.Through = through
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Freshness{}, fmt.Errorf("read how fresh the lake is: %w", err)
	}
	return f, nil
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

func newestRow(ctx context.Context, store *s3.Store, manifest string) (time.Time, error) {
	text, _, err := store.Get(ctx, manifest)
	if err != nil {
		return time.Time{}, err
	}
	m, err := codec.DecodeManifest(manifest, text)
	if err != nil {
		return time.Time{}, err
	}
	return newest(m), nil
}

// newest is zero for a flush of dead letters only.
func newest(m *flush.Manifest) (through time.Time) {
	for _, f := range m.Files {
		if f.MaxTime.After(through) {
			through = f.MaxTime
		}
	}
	return through
}
