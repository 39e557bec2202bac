package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/manifests"
	"weir/pkg/s3"
)

const (
	window     = 128 // flushes of one partition whose manifests are held at once
	readsAtOne = 32
	// late is how old a manifest must be for its topic's gate to be missed: the first
	// flush of a topic stands there for a moment before the catalog has written the gate.
	late = 10 * time.Minute
)

// flushes reads what manifests say of objects.
type flushes struct {
	Lake
	report  *Report
	objects *objects
	gates   gates
	now     time.Time
	horizon time.Time // manifests of flushes before it are gone: of their objects nothing is known
}

// read reads every owner's manifests: those that the gate accepted are held against the
// objects, those after it name objects that are on their way.
func (f *flushes) read(ctx context.Context) error {
	owners, err := manifests.Owners(ctx, f.Store)
	if err != nil {
		return err
	}
	for _, o := range owners {
		mark := f.gates.mark(o)
		if err := f.ahead(ctx, o, mark); err != nil {
			return err
		}
		if err := f.accepted(ctx, o, mark); err != nil {
			return err
		}
	}
	return nil
}

// keys lists an owner's manifests above a seq and up to another.
func (f *flushes) keys(ctx context.Context, o lake.Owner, above, upTo uint64) ([]string, error) {
	var keys []string
	for object, err := range f.Store.List(ctx, o.ManifestDir(), fmt.Sprintf("%s%020d.", o.ManifestDir(), above)) {
		if err != nil {
			return nil, err
		}
		_, seq, _, err := lake.ParseManifestKey(object.Key)
		if err != nil {
			continue
		}
		if seq > upTo {
			break
		}
		keys = append(keys, object.Key)
	}
	return keys, nil
}

// ahead reads what the gate has not accepted: attempts, and flushes that are on their
// way to it.
func (f *flushes) ahead(ctx context.Context, o lake.Owner, mark flush.Mark) error {
	var missed bool
	var keys []string
	look := func() error {
		read, err := f.manifests(ctx, keys)
		for _, m := range read {
			if m.err == nil { // otherwise nothing says that it counts
				missed = missed || f.now.Sub(m.CreatedAt) > late
				f.pending(m.Manifest)
			}
		}
		keys = keys[:0]
		return err
	}
	for object, err := range f.Store.List(ctx, o.ManifestDir(), fmt.Sprintf("%s%020d.", o.ManifestDir(), mark.Seq)) {
		if err != nil {
			return err
		}
		if _, _, _, err := lake.ParseManifestKey(object.Key); err != nil {
			continue
		}
		if keys = append(keys, object.Key); len(keys) == window {
			if err := look(); err != nil {
				return err
			}
		}
	}
	if err := look(); err != nil {
		return err
	}
	if _, known := f.gates[o.TopicID]; missed && !known {
		f.report.add(Difference{
			Kind: GateMissing, Key: lake.GateKey(f.Database, o.TopicID),
			Why: fmt.Sprintf("partition %d of topic %s has flushes in the lake, and no catalog of database %s has accepted any", o.Partition, o.Topic, f.Database),
		})
	}
	return nil
}

// pending notes the objects of a flush that is on its way.
func (f *flushes) pending(m *flush.Manifest) {
	for i := range m.Files {
		if f.objects.name(m.Files[i].Key) {
			f.objects.dir(m.Files[i].Partition).pending++
		}
	}
}

// accepted reads the manifests that lead from the gate's mark back to the first flush, a
// window at a time.
func (f *flushes) accepted(ctx context.Context, o lake.Owner, mark flush.Mark) error {
	next, made := flush.Link{Seq: mark.Seq, Manifest: mark.Manifest}, f.now
	for next.Seq > 0 {
		low := next.Seq - min(next.Seq, window)
		keys, err := f.keys(ctx, o, low, next.Seq)
		if err != nil {
			return err
		}
		read, err := f.manifests(ctx, keys)
		if err != nil {
			return err
		}
		for next.Seq > low {
			m := read[next.Manifest]
			if m == nil || m.err != nil || m.Seq != next.Seq {
				return f.cut(ctx, o, next, m, made)
			}
			if err := f.files(ctx, m.Manifest); err != nil {
				return err
			}
			f.report.Flushes++
			next, made = flush.Link{Seq: m.Seq - 1, Manifest: m.Predecessor}, m.CreatedAt
		}
		f.tell("%d flushes read, partition %d of %s: %d left", f.report.Flushes, o.Partition, o.Topic, next.Seq)
	}
	return nil
}

// cut ends an owner's chain at a manifest that cannot be followed. It is a difference
// unless it was removed with all before it, as old manifests may be.
func (f *flushes) cut(ctx context.Context, o lake.Owner, at flush.Link, m *manifest, made time.Time) error {
	if made.After(f.horizon) {
		f.horizon = made
	}
	why := fmt.Sprintf("the manifest of flush %d of partition %d of %s is not there; what was before it is not judged", at.Seq, o.Partition, o.Topic)
	switch {
	case m != nil && m.err != nil:
		why = m.err.Error()
	case m != nil:
		why = fmt.Sprintf("it should be the manifest of flush %d, and is that of %d", at.Seq, m.Seq)
	default:
		older, err := f.keys(ctx, o, 0, at.Seq)
		if err != nil || len(older) == 0 {
			return err
		}
	}
	f.report.add(Difference{Kind: ManifestMissing, Key: at.Manifest, Why: why})
	return nil
}

// files holds a flush's files against the objects. One that was not listed may have
// become visible since.
func (f *flushes) files(ctx context.Context, m *flush.Manifest) error {
	for i := range m.Files {
		file := &m.Files[i]
		if f.objects.name(file.Key) {
			continue
		}
		_, err := f.Store.Head(ctx, file.Key)
		if errors.Is(err, s3.ErrNotFound) {
			f.report.add(Difference{
				Kind: ObjectMissing, Table: file.Table, Lake: file.Partition, Key: file.Key,
				Why: fmt.Sprintf("%d rows of flush %d, %s, are not there; see weir verify", file.Rows, m.Seq, m.Key),
			})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// manifest is one that was read, or why it was not.
type manifest struct {
	*flush.Manifest
	err error
}

func (f *flushes) manifests(ctx context.Context, keys []string) (map[string]*manifest, error) {
	read := make(map[string]*manifest, len(keys))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOne)
	for _, key := range keys {
		group.Go(func() error {
			body, _, err := f.Store.Get(ctx, key)
			if errors.Is(err, s3.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			one := new(manifest)
			one.Manifest, one.err = codec.DecodeManifest(key, body)
			if one.err == nil {
				lighten(one.Manifest)
			}
			mu.Lock()
			defer mu.Unlock()
			read[key] = one
			return nil
		})
	}
	return read, group.Wait()
}

// lighten drops what is of no use here: a window of manifests is held.
func lighten(m *flush.Manifest) {
	m.Ahead, m.DeadLetters = nil, nil
	for i := range m.Files {
		m.Files[i].Offsets, m.Files[i].Parts, m.Files[i].Columns = nil, nil, nil
	}
}
