package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/services/gateway/internal/compacted"
)

// Topic is the sources as a compacted topic holds them: one record a source, its key the
// id, its value what the list says of it. One goroutine uses it.
type Topic struct {
	topic *compacted.Topic
	name  string
	docs  Documents
}

// CreateTopic is OpenTopic, for a topic that may be missing: it is made.
func CreateTopic(ctx context.Context, opts []kgo.Opt, spec kafka.TopicSpec) (*Topic, error) {
	t, err := compacted.Create(ctx, opts, spec)
	if err != nil {
		return nil, err
	}
	return topicOf(t, spec.Name), nil
}

// OpenTopic stands at the beginning of a topic, with a client of the options.
func OpenTopic(ctx context.Context, opts []kgo.Opt, name string) (*Topic, error) {
	t, err := compacted.Open(ctx, opts, name)
	if err != nil {
		return nil, err
	}
	return topicOf(t, name), nil
}

func topicOf(t *compacted.Topic, name string) *Topic {
	return &Topic{topic: t, name: name, docs: make(Documents)}
}

// Close ends the client.
func (t *Topic) Close() { t.topic.Close() }

// Read waits for records and takes them in. Before all is known that stood in the topic
// when it was opened, nothing may be made of what is: a part of the list would take
// sources away.
func (t *Topic) Read(ctx context.Context) error {
	return t.topic.Read(ctx, func(r *kgo.Record) { t.docs.Set(string(r.Key), r.Value) })
}

// ReadAll reads until all is known.
func (t *Topic) ReadAll(ctx context.Context) (Documents, error) {
	for !t.topic.Known() {
		if err := t.Read(ctx); err != nil {
			return nil, err
		}
	}
	return t.docs, nil
}

// Edit edits the list and writes what it says anew of its sources. Two edits of one source
// at the same time: the later one counts.
func (t *Topic) Edit(ctx context.Context, edit Edit) error {
	docs, err := t.ReadAll(ctx)
	if err != nil {
		return err
	}
	changed, err := docs.Edit("topic "+t.name, edit)
	if err != nil {
		return err
	}
	return t.topic.Write(ctx, changed)
}

// Mirror keeps a file what a topic says: the copy on disk that a gateway reads its sources
// from, so that it knows them while Kafka is away. What is wrong in the topic never reaches
// the file, and an empty topic takes no sources away.
type Mirror struct {
	Path   string
	Open   func(context.Context) (*Topic, error)
	Report func(error) // how it goes, once a change; nil = the file is what the topic says
}

// Run mirrors until ctx ends.
func (m Mirror) Run(ctx context.Context) { compacted.Follow(ctx, m.follow, m.Report) }

// follow ends with an error.
func (m Mirror) follow(ctx context.Context) error {
	t, err := m.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	for {
		if t.topic.Known() {
			m.Report(m.write(t.docs))
		}
		if err := t.Read(ctx); err != nil {
			return err
		}
	}
}

func (m Mirror) write(docs Documents) error {
	text, err := docs.List()
	if err != nil {
		return err
	}
	if _, err := Parse(m.Path, text, FileSecrets(m.Path)); err != nil {
		return fmt.Errorf("what the topic says is wrong: %w", err)
	}
	old, err := readFile(m.Path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case bytes.Equal(old, text):
		return nil
	case len(docs) == 0:
		return errors.New("the topic has no source: weir sources add makes one; those that were known stay in force")
	}
	return replaceFile(m.Path, text)
}
