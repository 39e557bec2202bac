package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/manifests"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// clockSkew is how far the clocks may be apart that date manifests and notifications.
const clockSkew = 24 * time.Hour

// Survey gathers what is left of the partitions of a group that is empty. Of c it needs
// the names, the lake and its store, and how to reach the brokers.
func Survey(ctx context.Context, client *kgo.Client, c Config, partitions []int32) ([]flush.Remains, kafka.Topic, error) {
	topic, cluster, err := kafka.Describe(ctx, client, c.Topic)
	if err != nil {
		return nil, topic, err
	}
	if len(partitions) == 0 {
		for p := range topic.Partitions {
			partitions = append(partitions, p)
		}
	}
	for _, p := range partitions {
		if p < 0 || p >= topic.Partitions {
			return nil, topic, fmt.Errorf("topic %s has no partition %d: it has %d", topic.Name, p, topic.Partitions)
		}
	}
	s := &session{g: &Group{c: c}, control: client, topic: topic, cluster: cluster}
	all, err := s.survey(ctx, partitions)
	return all, topic, err
}

// survey reads the committed offsets first: what is read after them cannot be older.
func (s *session) survey(ctx context.Context, partitions []int32) ([]flush.Remains, error) {
	c := s.g.c
	committed, err := kafka.FetchCommitted(ctx, s.control, c.Group, s.topic, partitions...)
	if err != nil {
		return nil, err
	}
	spans, err := kafka.Spans(ctx, s.control, s.topic.Name, partitions...)
	if err != nil {
		return nil, err
	}
	marks, err := s.marks(ctx)
	if err != nil {
		return nil, err
	}
	var all []flush.Remains
	for _, p := range partitions {
		r := flush.Remains{Known: flush.Known{
			Owner:     lake.Owner{Group: c.Group, Topic: s.topic.Name, TopicID: s.topic.ID, Partition: p},
			ClusterID: s.cluster, Bucket: c.Lake.Bucket, Prefix: c.Lake.Prefix,
			Home:   flush.Home(s.cluster, s.topic.ID, c.Lake.Bucket, c.Lake.Prefix),
			Tables: c.tableNames(), LeaderEpoch: spans[p].LeaderEpoch,
			GateSeq: marks[p].Seq, GateManifest: marks[p].Manifest, GateLow: marks[p].Low,
			LogStart: spans[p].Start, LogEnd: spans[p].End,
		}, GateAlarm: marks[p].Alarm}
		if got, ok := committed[p]; ok {
			r.Committed, r.Offset, r.CommittedEpoch, r.Metadata = true, got.Offset, got.LeaderEpoch, got.Metadata
		}
		if err := s.surveyLake(ctx, &r); err != nil {
			return nil, err
		}
		if err := s.surveyEpochs(ctx, &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, s.surveyFlushes(ctx, all)
}

// surveyLake reads the `started` marker and the manifests of the two highest seqs, and
// looks whether any object of them is there. A marker that cannot be read says as much as
// one that is not there.
func (s *session) surveyLake(ctx context.Context, r *flush.Remains) error {
	r.Started = -1
	body, _, err := s.g.c.Store.Get(ctx, r.Owner.StartedKey())
	if err != nil && !errors.Is(err, s3.ErrNotFound) {
		return fmt.Errorf("read the `started` marker of partition %d: %w", r.Owner.Partition, err)
	}
	if offset, unreadable := worker.StartedOffset(body); err == nil && unreadable == nil {
		r.Started = offset
	}
	newest, seq, err := manifests.Newest(ctx, s.g.c.Store, r.Owner)
	if err != nil || newest == "" {
		return err
	}
	from := ""
	if seq > 2 {
		from = fmt.Sprintf("%s%020d.", r.Owner.ManifestDir(), seq-2)
	}
	for o, err := range s.g.c.Store.List(ctx, r.Owner.ManifestDir(), from) {
		if err != nil {
			return err
		}
		if _, seq, _, err := lake.ParseManifestKey(o.Key); err == nil {
			m, err := s.remnant(ctx, o, seq)
			if err != nil {
				return err
			}
			r.Manifests = append(r.Manifests, m)
		}
	}
	return nil
}

func (s *session) remnant(ctx context.Context, o s3.Object, seq uint64) (flush.Remnant, error) {
	r := flush.Remnant{Key: o.Key, Seq: seq, Modified: o.Modified}
	body, _, err := s.g.c.Store.Get(ctx, o.Key)
	if err != nil {
		return r, err
	}
	if r.Manifest, r.Err = codec.DecodeManifest(o.Key, body); r.Err != nil {
		return r, nil
	}
	for _, f := range r.Manifest.Files {
		_, err := s.g.c.Store.Head(ctx, f.Key)
		if err == nil {
			r.Visible = true
			break
		}
		if !errors.Is(err, s3.ErrNotFound) {
			return r, err
		}
	}
	return r, nil
}

// surveyEpochs asks where the log ended under each leader epoch that the partition's
// states name.
func (s *session) surveyEpochs(ctx context.Context, r *flush.Remains) error {
	r.EpochEnds = make(map[int32]int64)
	epochs := []int32{-1}
	if r.Committed {
		epochs = append(epochs, r.CommittedEpoch)
	}
	for _, m := range r.Manifests {
		if m.Manifest != nil {
			epochs = append(epochs, m.Manifest.LeaderEpoch)
		}
	}
	for _, e := range epochs {
		if _, known := r.EpochEnds[e]; known || e < 0 {
			continue
		}
		end, err := kafka.EpochEnd(ctx, s.control, s.topic.Name, r.Owner.Partition, e)
		if err != nil {
			return err
		}
		r.EpochEnds[e] = end
	}
	return nil
}

// surveyFlushes reads the end of the flush topic: everything since the oldest manifest
// that counts was put. What cannot be read there is no notification of ours.
func (s *session) surveyFlushes(ctx context.Context, all []flush.Remains) error {
	since, found := oldest(all)
	if !found {
		return nil
	}
	name := s.g.c.FlushTopic
	spans, err := kafka.Spans(ctx, s.control, name) // one that is not there is not one that is empty
	if err != nil {
		return err
	}
	starts, err := kadm.NewClient(s.control).ListOffsetsAfterMilli(ctx, since.UnixMilli(), name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("find the notifications of %s since %s: %w", name, since.UTC().Format(time.RFC3339), err)
	}
	from, ok := starts.Lookup(name, 0)
	if !ok {
		return fmt.Errorf("find the notifications of %s: the answer leaves partition 0 out", name)
	}
	return s.readFlushes(ctx, max(from.Offset, spans[0].Start), spans[0].End, func(n flush.Notification) {
		for i := range all {
			o := all[i].Owner
			if n.In(s.g.c.Lake.String()) && o == (lake.Owner{Group: n.Group, Topic: n.Topic, TopicID: n.TopicID, Partition: n.Partition}) {
				all[i].Named = append(all[i].Named, flush.Named{Seq: n.Seq, Manifest: n.Manifest, Low: n.NextLow})
			}
		}
	})
}

// oldest is when the first manifest of all was put, less what clocks may differ. A
// foreign commit without any manifest wants the whole topic: they may be lost.
func oldest(all []flush.Remains) (since time.Time, found bool) {
	for _, r := range all {
		if len(r.Manifests) == 0 && r.Committed {
			return time.UnixMilli(0), true
		}
		for _, m := range r.Manifests {
			if at := m.Modified.Add(-clockSkew); !found || at.Before(since) {
				since, found = at, true
			}
		}
	}
	return since, found
}

func (s *session) readFlushes(ctx context.Context, from, end int64, tell func(flush.Notification)) error {
	if from >= end {
		return nil
	}
	name := s.g.c.FlushTopic
	client, err := kgo.NewClient(append(slices.Clip(s.g.c.Options),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the end may be one
	)...)
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer client.Close()
	for from < end {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		for r := range fetches.RecordsAll() {
			from = r.Offset + 1
			if n, err := codec.DecodeCommitted(r.Value); err == nil && !r.Attrs.IsControl() {
				tell(n)
			}
		}
	}
	return nil
}
