package group

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// later finds the key of a manifest that shows that a flush after s was decided, "" where
// there is none: a group whose offsets came back from a backup is behind its lake, and the
// gate need not have heard of it. Of the next flush a manifest may have been left
// undecided: then an object of it has to be visible.
func (s *session) later(ctx context.Context, owner lake.Owner, state flush.State) (key string, err error) {
	err = s.g.retry.Do(ctx, worker.DependencyS3, "look for later manifests", func() error {
		key, err = s.laterThan(ctx, owner, state)
		return err
	})
	return key, err
}

func (s *session) laterThan(ctx context.Context, owner lake.Owner, state flush.State) (string, error) {
	from := fmt.Sprintf("%s%020d.", owner.ManifestDir(), state.Seq)
	for o, err := range s.g.c.Store.List(ctx, owner.ManifestDir(), from) {
		if err != nil {
			return "", err
		}
		_, seq, _, err := lake.ParseManifestKey(o.Key)
		if err != nil {
			continue
		}
		if state.BehindManifest(seq) {
			return o.Key, nil
		}
		visible, err := s.anyVisible(ctx, o.Key)
		if err != nil {
			return "", err
		}
		if visible {
			return o.Key, nil
		}
	}
	return "", nil
}

// looking bounds the requests of anyVisible that run at once: a manifest may name thousands of files.
const looking = 16

// anyVisible tells whether one of the files of a manifest is there. Of one that cannot be
// read, of a newer weir perhaps, nobody knows: it counts as if, and weir sink recover says
// what is wrong with it.
func (s *session) anyVisible(ctx context.Context, key string) (bool, error) {
	body, _, err := s.g.c.Store.Get(ctx, key)
	if err != nil {
		return false, err
	}
	m, err := codec.DecodeManifest(key, body)
	if err != nil {
		return true, nil //nolint:nilerr // the partition stops, and is not guessed about
	}
	var visible atomic.Bool
	heads, ctx := errgroup.WithContext(ctx)
	heads.SetLimit(looking)
	for _, f := range m.Files {
		if visible.Load() {
			break
		}
		heads.Go(func() error {
			_, err := s.g.c.Store.Head(ctx, f.Key)
			if err == nil {
				visible.Store(true)
			}
			if errors.Is(err, s3.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	err = heads.Wait()
	return visible.Load(), err
}
