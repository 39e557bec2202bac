package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/verify/internal/account"
)

// describe finds the topic. A name that Kafka does not know is a wrong setting.
func (v *verifier) describe(ctx context.Context) error {
	var err error
	v.topic, v.cluster, err = kafka.Describe(ctx, v.client, v.cfg.Topic)
	if errors.Is(err, kafka.ErrNoTopic) {
		return settings.Fault{Setting: "topic", Reason: fmt.Sprintf("there is no topic %q in the cluster of %v", v.cfg.Topic, v.cfg.Kafka.Brokers)}
	}
	return err
}

// readOwner finds out whose the topic is in this lake. A group that owns nothing has
// nothing missing, so asking for another than the owner is a wrong setting.
func (v *verifier) readOwner(ctx context.Context) error {
	key := lake.OwnersKey(v.topic.ID)
	body, _, err := v.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var owners struct {
		Format int    `json:"format"`
		Group  string `json:"group"`
	}
	if err := json.Unmarshal(body, &owners); err != nil || owners.Format != 1 {
		if err == nil {
			err = fmt.Errorf("it has format %d: run the version of weir that wrote it, or a newer one", owners.Format)
		}
		return fmt.Errorf("read %s, which names the group that writes topic %s into this lake: %w", key, v.topic.Name, err)
	}
	if owners.Group != v.cfg.Group {
		return settings.Fault{Setting: "group", Reason: fmt.Sprintf("group %q has never written topic %s into %s: that is group %q",
			v.cfg.Group, v.topic.Name, v.cfg.Lake, owners.Group)}
	}
	v.owned = true
	return nil
}

// unowned says what it means that nobody owns the topic in this lake. It looks once
// more: the first sink may have started meanwhile.
func (v *verifier) unowned(ctx context.Context, partitions []account.Partition) error {
	if err := v.readOwner(ctx); err != nil || v.owned {
		return err
	}
	f := account.Finding{Kind: account.Unowned, Topic: v.topic.Name, Partition: -1, Key: lake.OwnersKey(v.topic.ID)}
	var offsets int64
	for i := range partitions {
		p := &partitions[i]
		if p.Newest != "" || (p.Committed && p.StateErr == nil && p.State.Home == p.Home) {
			f.Detail = fmt.Sprintf("is gone, which names group %s: the next start of the sink puts it there again, until then another group may take the topic", v.cfg.Group)
			v.report.Notes = append(v.report.Notes, f)
			return nil
		}
		offsets += p.LogEnd
	}
	if offsets > 0 {
		f.Detail = fmt.Sprintf("is not there: no sink has ever started on topic %s for %s, and none of its %d offsets is in this lake", v.topic.Name, v.cfg.Lake, offsets)
		v.report.Findings = append(v.report.Findings, f)
	}
	return nil
}
