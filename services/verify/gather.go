package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

const requestsAtOnce = 16

// listObjects lists what is visible under the tables' folders. It comes first: an
// object is visible only after its flush was decided, so the committed offsets that
// are read later know of everything that is found here.
func (v *verifier) listObjects(ctx context.Context) error {
	for _, t := range tables() {
		v.cfg.Progress("listing " + t.Dir)
		for o, err := range v.store.List(ctx, t.Dir+"/", "") {
			if err != nil {
				return err
			}
			if !hidden(o.Key) {
				v.objects[o.Key] = o.Bytes
			}
		}
	}
	return nil
}

// hidden: engines pass over names that begin with _ or a dot, and over folders.
func hidden(key string) bool {
	if strings.HasSuffix(key, "/") {
		return true
	}
	for part := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}

// gather reads the committed state of every partition of the topic.
func (v *verifier) gather(ctx context.Context) ([]account.Partition, error) {
	numbers := make([]int32, v.topic.Partitions)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	committed, err := kafka.FetchCommitted(ctx, v.client, v.cfg.Group, v.topic, numbers...)
	if err != nil {
		return nil, err
	}
	spans, err := kafka.Spans(ctx, v.client, v.topic.Name)
	if err != nil {
		return nil, err
	}
	loc := v.store.Location()
	home := flush.Home(v.cluster, v.topic.ID, loc.Bucket, loc.Prefix)
	list := make([]account.Partition, len(numbers))
	for i, n := range numbers {
		p := &list[i]
		p.Owner = lake.Owner{Group: v.cfg.Group, Topic: v.topic.Name, TopicID: v.topic.ID, Partition: n}
		p.Home = home
		p.LogStart = spans[n].Start
		if c, ok := committed[n]; ok {
			p.Committed = true
			p.State, p.StateErr = flush.ParseMetadata(c.Offset, c.LeaderEpoch, c.Metadata)
		}
	}
	return list, nil
}

// manifests reads the partition's manifests up to the committed seq; later ones are
// attempts, or flushes of after the reading.
func (v *verifier) manifests(ctx context.Context, p *account.Partition) error {
	for o, err := range v.store.List(ctx, p.Owner.ManifestDir(), "") {
		if err != nil {
			return err
		}
		if _, _, _, err := lake.ParseManifestKey(o.Key); err == nil {
			p.Keys = append(p.Keys, o.Key)
		}
	}
	var wanted []string
	for _, key := range p.Keys {
		_, seq, _, _ := lake.ParseManifestKey(key)
		if !p.Committed || p.StateErr != nil || seq <= p.State.Seq {
			wanted = append(wanted, key)
		}
	}
	var err error
	p.Manifests, p.Broken, err = v.readManifests(ctx, wanted)
	return err
}

func (v *verifier) readManifests(ctx context.Context, keys []string) (map[string]*flush.Manifest, map[string]error, error) {
	read, broken := make(map[string]*flush.Manifest), make(map[string]error)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for _, key := range keys {
		group.Go(func() error {
			body, _, err := v.store.Get(ctx, key)
			if errors.Is(err, s3.ErrNotFound) {
				return nil // removed since it was listed: as if it had never been
			}
			if err != nil {
				return err
			}
			m, err := codec.DecodeManifest(key, body)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				broken[key] = err
				return nil
			}
			for i := range m.Files {
				m.Files[i].Parts = nil // many, and of no use here
			}
			read[key] = m
			return nil
		})
	}
	return read, broken, group.Wait()
}

// lookAgain asks for the files that the listing did not have: they may have become
// visible since.
func (v *verifier) lookAgain(ctx context.Context, l *account.Ledger) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for _, key := range l.Unlisted(v.objects) {
		group.Go(func() error {
			o, err := v.store.Head(ctx, key)
			if errors.Is(err, s3.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			v.objects[key] = o.Bytes
			mu.Unlock()
			return nil
		})
	}
	return group.Wait()
}

// orphans reports the visible objects that no decided flush names. Objects that
// another topic or group put there are asked about in their manifests, which are
// read only if there is something left to explain.
func (v *verifier) orphans(ctx context.Context) error {
	if len(account.Orphans(v.objects, v.named, nil)) > 0 {
		if err := v.foreign(ctx); err != nil {
			return err
		}
	}
	v.report.Findings = append(v.report.Findings, account.Orphans(v.objects, v.named, v.claimed)...)
	return nil
}

// foreign names the files of flushes of other topics, topic ids and groups. Their
// committed offsets are not at hand, so each of their manifests is believed.
func (v *verifier) foreign(ctx context.Context) error {
	v.cfg.Progress("reading the manifests of other topics")
	ours := lake.Owner{Group: v.cfg.Group, Topic: v.topic.Name, TopicID: v.topic.ID}
	var keys []string
	owners := make(map[string]struct{})
	for o, err := range v.store.List(ctx, "_weir/", "") {
		if err != nil {
			return err
		}
		owner, _, _, err := lake.ParseManifestKey(o.Key)
		if err != nil {
			continue
		}
		owner.Partition = ours.Partition
		if owner != ours {
			keys = append(keys, o.Key)
			owners[fmt.Sprintf("topic %s (%s), group %s", owner.Topic, owner.TopicID, owner.Group)] = struct{}{}
		}
	}
	read, _, err := v.readManifests(ctx, keys)
	if err != nil {
		return err
	}
	for _, m := range read {
		v.name(m)
	}
	for owner := range owners {
		v.report.Others = append(v.report.Others, owner)
	}
	return nil
}
