package verify

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

// objects compares what is visible with what the decided flushes say, and reports
// visible objects that none of them names.
func (v *verifier) objects(ctx context.Context) error {
	v.cfg.Progress("comparing the objects with the manifests")
	waiting := make(map[int32]waitingFiles)
	alone := false
	for b := range buckets {
		sizes, err := v.compareBucket(ctx, b, waiting)
		if err != nil {
			return err
		}
		alone = alone || len(sizes) > 0
	}
	for _, p := range slices.Sorted(maps.Keys(waiting)) {
		w := waiting[p]
		v.report.Notes = append(v.report.Notes, account.Waiting(v.topic.Name, p, w.manifest, w.files, v.pending[p]))
	}
	if !alone {
		return nil
	}
	return v.orphans(ctx)
}

// waitingFiles are those of a flush that is being published which are not visible.
type waitingFiles struct {
	manifest string
	files    int
}

// compareBucket gives the objects of a bucket that no decided flush has, with their
// sizes.
func (v *verifier) compareBucket(ctx context.Context, bucket int, waiting map[int32]waitingFiles) (map[string]int64, error) {
	sizes := make(map[string]int64)
	var unlisted []entry
	err := v.spool.read(bucket, func(e entry) error {
		switch e.says {
		case visible:
			sizes[e.key] = e.bytes
		case decided:
			bytes, ok := sizes[e.key]
			if !ok {
				unlisted = append(unlisted, e)
			}
			delete(sizes, e.key)
			if ok && bytes != e.bytes {
				return v.foundFile(ctx, e, account.File.WrongSize, bytes)
			}
		case believed:
			delete(sizes, e.key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	there, err := v.lookAgain(ctx, unlisted)
	if err != nil {
		return nil, err
	}
	for _, e := range unlisted {
		bytes, ok := there[e.key]
		switch {
		case !ok && e.pending:
			waiting[e.partition] = waitingFiles{e.manifest, waiting[e.partition].files + 1}
		case !ok:
			err = v.foundFile(ctx, e, func(f account.File, _ int64) account.Finding { return f.Gone() }, 0)
		case bytes != e.bytes:
			err = v.foundFile(ctx, e, account.File.WrongSize, bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	return sizes, nil
}

// foundFile reports on a file, with its offsets.
func (v *verifier) foundFile(ctx context.Context, e entry, what func(account.File, int64) account.Finding, bytes int64) error {
	f := what(account.File{
		Topic: v.topic.Name, Partition: e.partition, Table: e.table, Key: e.key, Manifest: e.manifest, Bytes: e.bytes, Pending: e.pending,
	}, bytes)
	var err error
	f.Offsets, err = v.offsets(ctx, e)
	v.report.Findings = append(v.report.Findings, f)
	return err
}

// lookAgain asks for the files that the listing did not have: they may have become
// visible since.
func (v *verifier) lookAgain(ctx context.Context, unlisted []entry) (map[string]int64, error) {
	there := make(map[string]int64)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for _, e := range unlisted {
		group.Go(func() error {
			o, err := v.store.Head(ctx, e.key)
			if errors.Is(err, s3.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			there[e.key] = o.Bytes
			return nil
		})
	}
	return there, group.Wait()
}

// orphans reports the visible objects that no decided flush names. What other topics
// and groups have put there is asked about in their manifests, which are read only
// now that there is something left to explain.
func (v *verifier) orphans(ctx context.Context) error {
	if err := v.foreign(ctx); err != nil {
		return err
	}
	for b := range buckets {
		alone := make(map[string]entry) // by key: what is said of it
		err := v.spool.read(b, func(e entry) error {
			switch e.says {
			case visible:
				alone[e.key] = e
			case attempted, gaveUp:
				if _, ok := alone[e.key]; ok {
					alone[e.key] = e
				}
			default:
				delete(alone, e.key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(alone)) {
			f := account.Orphaned(key, alone[key].manifest)
			if alone[key].says == gaveUp {
				f = account.GaveUpAndThere(key, alone[key].manifest)
			}
			v.report.Findings = append(v.report.Findings, f)
		}
	}
	return nil
}
