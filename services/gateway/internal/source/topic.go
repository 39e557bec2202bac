package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
)

// Topic is the sources as a compacted topic holds them: one record a source, its key the
// id, its value what the list says of it. One goroutine uses it.
type Topic struct {
	name   string
	client *kgo.Client
	docs   Documents
	behind map[int32]int64 // partition → how far it has to be read until all is known
}

// CreateTopic is OpenTopic, for a topic that may be missing: it is made.
func CreateTopic(ctx context.Context, opts []kgo.Opt, spec kafka.TopicSpec) (*Topic, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client of topic %s: %w", spec.Name, err)
	}
	err = kafka.EnsureTopics(ctx, client, []kafka.TopicSpec{spec})
	client.Close()
	if err != nil {
		return nil, err
	}
	return OpenTopic(ctx, opts, spec.Name)
}

// OpenTopic stands at the beginning of a topic, with a client of the options.
func OpenTopic(ctx context.Context, opts []kgo.Opt, name string) (*Topic, error) {
	opts = append(opts[:len(opts):len(opts)], kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), // they count as read: one may be the last before the end
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client of topic %s: %w", name, err)
	}
	t := &Topic{name: name, client: client, docs: make(Documents), behind: make(map[int32]int64)}
	if err := t.measure(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return t, nil
}

// measure notes how far the topic has to be read.
func (t *Topic) measure(ctx context.Context) error {
	described, _, err := kafka.Describe(ctx, t.client, t.name)
	if err != nil {
		return err
	}
	if !described.Compacted {
		return fmt.Errorf("topic %s is not compacted: sources would vanish from it with time; set its cleanup.policy to compact", t.name)
	}
	admin := kadm.NewClient(t.client)
	starts, err := admin.ListStartOffsets(ctx, t.name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("look where topic %s begins: %w", t.name, err)
	}
	ends, err := admin.ListEndOffsets(ctx, t.name)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("look where topic %s ends: %w", t.name, err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if start, ok := starts.Lookup(t.name, o.Partition); ok && start.Offset < o.Offset {
			t.behind[o.Partition] = o.Offset
		}
	})
	return nil
}

// Close ends the client.
func (t *Topic) Close() { t.client.Close() }

// Read waits for records and takes them in. Before all is known that stood in the topic
// when it was opened, nothing may be made of what is: a part of the list would take
// sources away.
func (t *Topic) Read(ctx context.Context) error {
	fetches := t.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	var failed error
	fetches.EachError(func(_ string, p int32, err error) {
		failed = errors.Join(failed, fmt.Errorf("read topic %s partition %d: %w", t.name, p, err))
	})
	fetches.EachRecord(func(r *kgo.Record) {
		if !r.Attrs.IsControl() {
			t.docs.Set(string(r.Key), r.Value)
		}
		if r.Offset+1 >= t.behind[r.Partition] {
			delete(t.behind, r.Partition)
		}
	})
	return failed
}

// Known tells that all is known.
func (t *Topic) Known() bool { return len(t.behind) == 0 }

// ReadAll reads until all is known.
func (t *Topic) ReadAll(ctx context.Context) (Documents, error) {
	for !t.Known() {
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
	for id, text := range changed {
		if err := t.client.ProduceSync(ctx, &kgo.Record{Topic: t.name, Key: []byte(id), Value: text}).FirstErr(); err != nil {
			return fmt.Errorf("write source %s to topic %s: %w", id, t.name, err)
		}
	}
	return nil
}

// Mirror keeps a file what a topic says: the copy on disk that a gateway reads its sources
// from, so that it knows them while Kafka is away. What is wrong in the topic never reaches
// the file, and an empty topic takes no sources away.
type Mirror struct {
	Path   string
	Open   func(context.Context) (*Topic, error)
	Report func(error) // how it goes, once a change; nil = the file is what the topic says
}

// longestPause bounds the time between attempts.
const longestPause = 5 * time.Second

// Run mirrors until ctx ends.
func (m Mirror) Run(ctx context.Context) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		if err := m.follow(ctx); ctx.Err() == nil {
			m.Report(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow ends with an error; the next attempt begins with another client and at the
// topic's beginning, as a topic that was made anew needs it.
func (m Mirror) follow(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, 30*time.Second)
	t, err := m.Open(opening)
	cancel()
	if err != nil {
		return err
	}
	defer t.Close()
	for {
		if t.Known() {
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
