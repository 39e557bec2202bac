package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/manifests"
	"weir/services/verify/internal/account"
)

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
			if _, made := lake.ParseJobKey(t, o.Key); made || lake.Hidden(o.Key) {
				continue // what a job made of a time before the sink stands in no manifest, and is nobody's to verify
			}
			if err := v.spool.add(entry{says: visible, key: o.Key, bytes: o.Bytes}); err != nil {
				return err
			}
		}
	}
	return nil
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
	home := flush.Home(v.cluster, v.topic.ID, v.location.Bucket, v.location.Prefix)
	list := make([]account.Partition, len(numbers))
	for i, n := range numbers {
		p := &list[i]
		p.Owner = lake.Owner{Group: v.cfg.Group, Topic: v.topic.Name, TopicID: v.topic.ID, Partition: n}
		p.ClusterID, p.Home = v.cluster, home
		p.LogStart, p.LogEnd = spans[n].Start, spans[n].End
		if c, ok := committed[n]; ok {
			p.Committed = true
			p.State, p.StateErr = flush.ParseMetadata(c.Offset, c.LeaderEpoch, c.Metadata)
		}
		if err := v.explain(ctx, p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// explain fetches what tells more of a partition that cannot be accounted for.
func (v *verifier) explain(ctx context.Context, p *account.Partition) (err error) {
	switch {
	case !p.Committed:
		p.Newest, _, err = manifests.Newest(ctx, v.store, p.Owner)
	case p.StateErr == nil && p.State.Home != p.Home && p.State.Manifest != "":
		var m manifest
		m, err = v.readManifest(ctx, manifest{key: p.State.Manifest})
		p.Named = m.read
	}
	return err
}

// foreign names the files of flushes of other topics, topic ids and groups. Their
// committed offsets are not at hand, so each of their manifests is believed.
func (v *verifier) foreign(ctx context.Context) error {
	v.cfg.Progress("reading the manifests of other topics")
	ours := lake.Owner{Group: v.cfg.Group, Topic: v.topic.Name, TopicID: v.topic.ID}
	keys := func(yield func(manifest, error) bool) {
		for o, err := range v.store.List(ctx, "_weir/", "") {
			owner, _, _, parseErr := lake.ParseManifestKey(o.Key)
			owner.Partition = ours.Partition
			if err == nil && (parseErr != nil || owner == ours) {
				continue
			}
			if !yield(manifest{key: o.Key}, err) || err != nil {
				return
			}
		}
	}
	others := make(map[string]struct{})
	same := make(map[string]struct{})
	err := v.readInOrder(ctx, keys, func(m manifest) error {
		if m.read == nil {
			return nil
		}
		other := fmt.Sprintf("topic %s (%s), group %s, cluster %s", m.read.Topic, m.read.TopicID, m.read.Group, m.read.ClusterID)
		others[other] = struct{}{}
		if m.read.Topic == ours.Topic {
			same[other] = struct{}{}
		}
		return v.say(believed, m)
	})
	v.report.Others = slices.Sorted(maps.Keys(others))
	for _, other := range slices.Sorted(maps.Keys(same)) {
		v.report.Notes = append(v.report.Notes, account.Finding{
			Kind: account.SameName, Topic: ours.Topic, Partition: -1,
			Detail: fmt.Sprintf("%s has written into this lake too: its rows have the same kafkatopic as those of %s of cluster %s; count by sourceid and dt, or by file, to tell them apart", other, ours.TopicID, v.cluster),
		})
	}
	return err
}
