package gateway

import (
	"context"
	"log/slog"
	"time"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/quota"
	"weir/services/gateway/internal/source"
)

// SourceList is where the sources are kept, for the commands that look at them and edit
// them; a running gateway follows by itself.
type SourceList struct {
	Path  string `name:"sources" default:"sources.yaml" help:"File of the sources and their write keys."`
	Topic string `name:"sources-topic" help:"Compacted topic that holds the sources. Empty: the file that sources names."`

	Kafka            kafka.Config `embed:""`
	TopicReplication int16        `name:"topic-replication" default:"3" help:"Replicas of the topic, where it is created."`
}

// patient is how long a command waits for Kafka.
const patient = 30 * time.Second

// SourceInfo is what may be told of a source: no key, no id of a user.
type SourceInfo struct {
	ID, Name   string
	Enabled    bool
	WriteKeys  int
	Limits     quota.Limits
	Origins    []string
	IP         string   // keep, mask or drop
	Drop, Hash []string // paths
	Blocked    int      // names of events
	Suppressed int      // users
}

// Validate says what is wrong with the settings, not with the list.
func (l SourceList) Validate() []error {
	var f settings.Faults
	f.Check(l.Path != "" || l.Topic != "", "sources", "is empty")
	f.Check(l.TopicReplication >= 1, "topic-replication", "%d is not at least 1", l.TopicReplication)
	if l.Topic != "" {
		f = append(f, l.Kafka.Validate()...)
	}
	return f
}

// All lists the sources, in their order.
func (l SourceList) All(ctx context.Context) ([]SourceInfo, error) {
	list, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]SourceInfo, len(list))
	for i, s := range list {
		infos[i] = SourceInfo{
			ID: s.ID, Name: s.Name, Enabled: s.Enabled, WriteKeys: s.WriteKeys, Limits: s.Limits, Origins: s.Origins,
			IP: addressPolicy(s.Policy), Drop: s.Policy.Drop, Hash: s.Policy.Hash,
			Blocked: len(s.Policy.Blocked), Suppressed: len(s.Policy.Suppressed),
		}
	}
	return infos, nil
}

func addressPolicy(p intake.Policy) string {
	switch {
	case p.DropIP:
		return "drop"
	case p.MaskIP != nil:
		return "mask"
	}
	return "keep"
}

// ValidSourceID tells whether a source can have that id.
func ValidSourceID(id string) bool { return lake.ValidSourceID([]byte(id)) }

// Add makes a source and gives its write key, of which only the hash is kept.
func (l SourceList) Add(ctx context.Context, id, name string) (key string, err error) {
	s := source.NewSecret()
	return s.Key, l.edit(ctx, source.Add(id, name, s))
}

// Rotate gives a source one more write key; the newest of its old ones stays good.
func (l SourceList) Rotate(ctx context.Context, id string) (key string, err error) {
	s := source.NewSecret()
	return s.Key, l.edit(ctx, source.Rotate(id, s))
}

// Retire takes all write keys of a source away but the newest.
func (l SourceList) Retire(ctx context.Context, id string) error {
	return l.edit(ctx, source.Retire(id))
}

// Enable switches a source on or off.
func (l SourceList) Enable(ctx context.Context, id string, on bool) error {
	return l.edit(ctx, source.Enable(id, on))
}

func (l SourceList) load(ctx context.Context) (list []*source.Source, err error) {
	if l.Topic == "" {
		return source.LoadList(l.Path)
	}
	err = l.onTopic(ctx, false, func(ctx context.Context, t *source.Topic) error {
		docs, err := t.ReadAll(ctx)
		if err != nil {
			return err
		}
		list, err = docs.Sources("topic " + l.Topic)
		return err
	})
	return list, err
}

func (l SourceList) edit(ctx context.Context, e source.Edit) error {
	if l.Topic == "" {
		return source.EditFile(l.Path, e)
	}
	return l.onTopic(ctx, true, func(ctx context.Context, t *source.Topic) error { return t.Edit(ctx, e) })
}

func (l SourceList) onTopic(ctx context.Context, create bool, do func(context.Context, *source.Topic) error) error {
	opts, err := l.Kafka.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	open := func() (*source.Topic, error) { return source.OpenTopic(ctx, opts, l.Topic) }
	if create {
		open = func() (*source.Topic, error) {
			return source.CreateTopic(ctx, opts, kafka.Layout{Replication: l.TopicReplication}.Compacted(l.Topic))
		}
	}
	t, err := open()
	if err != nil {
		return err
	}
	defer t.Close()
	return do(ctx, t)
}
