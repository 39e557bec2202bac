package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/ledger/journal"
)

const (
	listAtOnce = 512 // manifests of one partition whose keys are held
	readAtOnce = 8   // manifests that are held, of some megabytes at worst
)

// target is how far the gate has let a partition.
type target struct {
	owner lake.Owner
	gate  flush.Link
}

// gather fills a batch with the flushes that come next, partition by partition. more: the batch is full. An error is of
// partitions that cannot go on; the others are in the batch.
func (k *Keeper) gather(ctx context.Context) (b *journal.Batch, more bool, err error) {
	b = new(journal.Batch)
	targets, err := k.targets(ctx)
	if err != nil {
		return b, false, err
	}
	k.look(targets)
	var faults []error
	for i := range targets {
		if b.Full() {
			break
		}
		t := targets[(k.turn+i)%len(targets)]
		left, err := k.follow(ctx, b, t)
		if err != nil {
			faults = append(faults, fmt.Errorf("keep the ledger of partition %d of %s: %w", t.owner.Partition, t.owner.Topic, err))
		}
		more = more || left
	}
	if len(targets) > 0 {
		k.turn = (k.turn + 1) % len(targets)
	}
	return b, more || b.Full(), errors.Join(faults...)
}

// targets reads the memories of the gates.
func (k *Keeper) targets(ctx context.Context) ([]target, error) {
	var all []target
	dir := lake.GateDir(k.settings.Database)
	for o, err := range k.store.List(ctx, dir, "") {
		if err != nil {
			return nil, err
		}
		if _, err := lake.ParseTopicID(strings.TrimSuffix(strings.TrimPrefix(o.Key, dir), ".json")); err != nil {
			continue // not ours
		}
		body, _, err := k.store.Get(ctx, o.Key)
		if err != nil {
			return nil, err
		}
		gate, err := codec.DecodeGate(body)
		if err != nil {
			continue // the follower tells of it, and lets nothing of it pass
		}
		for _, mark := range gate.Marks {
			if owner, _, _, err := lake.ParseManifestKey(mark.Manifest); err == nil {
				all = append(all, target{owner, flush.Link{Seq: mark.Seq, Manifest: mark.Manifest}})
			}
		}
	}
	slices.SortFunc(all, func(a, b target) int {
		return cmp.Or(bytes.Compare(a.owner.TopicID[:], b.owner.TopicID[:]), cmp.Compare(a.owner.Partition, b.owner.Partition))
	})
	return all, nil
}

// look tells how far the ledger is behind, and remembers where the gates stood when this process came to see them.
func (k *Keeper) look(targets []target) {
	var behind uint64
	known := k.first != nil
	if !known {
		k.first = make(map[lake.Owner]uint64)
	}
	for _, t := range targets {
		if at := k.flushAt(t.owner).Seq; t.gate.Seq > at {
			behind += t.gate.Seq - at
		}
		if !known {
			k.first[t.owner] = t.gate.Seq
		}
	}
	k.tell(Behind{Flushes: behind})
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, at := range k.passed {
		if time.Since(at) > passedFor {
			delete(k.passed, key)
		}
	}
}

// visible is when the files of a flush became visible: as the follower says, else the time of this look, if they were not
// when this process came to see the gate. Zero where nobody saw it.
func (k *Keeper) visible(m *flush.Manifest) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.passed[m.Key]; ok {
		return at.UTC().Truncate(time.Microsecond)
	}
	if m.Seq > k.first[m.Owner()] {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return time.Time{}
}

// follow adds the flushes of one partition. left: the listing was cut.
func (k *Keeper) follow(ctx context.Context, b *journal.Batch, t target) (left bool, err error) {
	from := k.flushAt(t.owner)
	if from == t.gate {
		return false, nil
	}
	listed, cut, err := k.keys(ctx, t.owner, from.Seq, t.gate.Seq+1)
	if err != nil {
		return false, err
	}
	path, err := journal.Lead(from, t.gate, listed, cut)
	if err != nil {
		return false, err
	}
	if err := k.settle(ctx, path); err != nil {
		return false, err
	}
	w := walk{Keeper: k, target: t, batch: b, at: from}
	for steps := range slices.Chunk(path.Steps, readAtOnce) {
		if b.Full() {
			return true, nil
		}
		read, err := k.manifests(ctx, steps)
		if err != nil {
			return false, err
		}
		for i, step := range steps {
			if err := w.step(step, read[i]); err != nil {
				return false, err
			}
		}
	}
	return cut, w.end(ctx, path)
}

// keys lists a partition's manifests above a seq and up to another.
func (k *Keeper) keys(ctx context.Context, o lake.Owner, above, upTo uint64) (keys []string, cut bool, err error) {
	for object, err := range k.store.List(ctx, o.ManifestDir(), fmt.Sprintf("%s%020d.", o.ManifestDir(), above)) {
		if err != nil {
			return nil, false, err
		}
		_, seq, _, err := lake.ParseManifestKey(object.Key)
		if err != nil || seq <= above {
			continue
		}
		if seq > upTo {
			break
		}
		if len(keys) == listAtOnce {
			return keys, true, nil
		}
		keys = append(keys, object.Key)
	}
	return keys, false, nil
}

// settle reads back where attempts were made that do not count.
func (k *Keeper) settle(ctx context.Context, path journal.Path) error {
	for {
		first, behind := path.Unsure()
		if first == len(path.Steps) {
			return nil
		}
		named := flush.Link{}
		if behind < len(path.Steps) {
			named = flush.Link{Seq: path.Steps[behind].Seq}
			if keys := path.Steps[behind].Keys; len(keys) == 1 {
				named.Manifest = keys[0]
			}
		}
		for i := behind - 1; i >= first; i-- {
			m, err := k.manifest(ctx, named.Manifest)
			if err != nil {
				return err
			}
			named = flush.Link{}
			if m != nil {
				named = flush.Link{Seq: m.Seq - 1, Manifest: m.Predecessor}
			}
			path.Settle(i, named)
		}
	}
}

// manifest is nil where there is none.
func (k *Keeper) manifest(ctx context.Context, key string) (*flush.Manifest, error) {
	if key == "" {
		return nil, nil
	}
	body, _, err := k.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return codec.DecodeManifest(key, body)
}

// manifests reads those of the steps, nil where there is none.
func (k *Keeper) manifests(ctx context.Context, steps []journal.Step) ([]*flush.Manifest, error) {
	read := make([]*flush.Manifest, len(steps))
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range steps {
		if len(s.Keys) == 0 {
			continue
		}
		group.Go(func() (err error) {
			read[i], err = k.manifest(ctx, s.Keys[0])
			return err
		})
	}
	return read, group.Wait()
}
