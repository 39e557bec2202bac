package stored

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/manifests"
	"weir/pkg/promote"
	"weir/pkg/s3"
)

// Bounds of a look at what files were written with.
const (
	lastFlushes = 8  // of each partition: a flush may have been made by a sink that knew an older version, or without rows of the table
	ownersAtOne = 16 // partitions that are looked at at once
)

// Used is the highest version of the registry that the newest manifests of the lake name.
type Used struct {
	Version  int64  // 0 = none does
	Manifest string // which names it
}

// UsedBy looks at the newest manifests of every partition of every group that writes into the lake. It takes some ten
// requests for each.
func UsedBy(ctx context.Context, store Reader) (Used, error) {
	owners, err := manifests.Owners(ctx, store)
	if err != nil {
		return Used{}, err
	}
	var mu sync.Mutex
	var highest Used
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(ownersAtOne)
	for _, o := range owners {
		group.Go(func() error {
			u, err := usedBy(ctx, store, o)
			mu.Lock()
			defer mu.Unlock()
			if u.Version > highest.Version {
				highest = u
			}
			return err
		})
	}
	return highest, group.Wait()
}

// Look reads what files were written with, and then the registry that has to know it.
func Look(ctx context.Context, store Reader) (promote.Registry, Used, error) {
	used, err := UsedBy(ctx, store)
	if err != nil {
		return promote.Registry{}, Used{}, err
	}
	known, _, err := Read(ctx, store, promote.Registry{})
	return known.Registry, used, err
}

func usedBy(ctx context.Context, store Reader, o lake.Owner) (highest Used, err error) {
	_, last, err := manifests.Newest(ctx, store, o)
	if err != nil || last == 0 {
		return Used{}, err
	}
	for object, err := range store.List(ctx, o.ManifestDir(), o.ManifestKey(last-min(last, lastFlushes), "~")) {
		if err != nil {
			return Used{}, err
		}
		if _, _, _, err := lake.ParseManifestKey(object.Key); err != nil {
			continue
		}
		body, _, err := store.Get(ctx, object.Key)
		if errors.Is(err, s3.ErrNotFound) {
			continue
		}
		if err != nil {
			return Used{}, err
		}
		// One that cannot be read stops its own partition, and says nothing here.
		if m, err := codec.DecodeManifest(object.Key, body); err == nil && m.Columns > highest.Version {
			highest = Used{m.Columns, object.Key}
		}
	}
	return highest, nil
}

// Lost is the error of a registry that does not know what files were written with; nil where it knows. known was read
// after used.
func (u Used) Lost(known promote.Registry) error {
	if u.Version <= known.Version {
		return nil
	}
	stands := "neither that nor a copy of it is there"
	if known.Version > 0 {
		stands = fmt.Sprintf("the newest that is left is version %d", known.Version)
	}
	return fmt.Errorf("%w: files were written with version %d of %s (%s), and %s. Put it back as the bucket's older object versions have it, there or in %s; or run weir catalog repair, which makes it anew from the table in Glue",
		ErrUnusable, u.Version, key, u.Manifest, stands, copyDir)
}
