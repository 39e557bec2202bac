package source

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
)

func broker(t *testing.T) []kgo.Opt {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

func spec() kafka.TopicSpec { return kafka.Layout{Replication: 1}.Compacted("weir.sources") }

// However little comes at a time: the file is written once all is known, and not before.
func TestTheMirrorWritesNoPartOfTheList(t *testing.T) {
	const n = 40
	opts := append(broker(t), kgo.FetchMaxPartitionBytes(1), kgo.FetchMaxBytes(1))
	topic, err := CreateTopic(t.Context(), opts, spec())
	require.NoError(t, err)
	defer topic.Close()
	for i := range n {
		require.NoError(t, topic.topic.Write(t.Context(), map[string][]byte{fmt.Sprintf("s%d", i%n): fmt.Appendf(nil, "{id: s%d, write_keys: [key-%d]}", i, i)}))
	}
	path := filepath.Join(t.TempDir(), "copy.yaml")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var reports []error
	m := Mirror{
		Path:   path,
		Open:   func(ctx context.Context) (*Topic, error) { return OpenTopic(ctx, opts, spec().Name) },
		Report: func(err error) { reports = append(reports, err); stop() },
	}
	m.Run(ctx) // until it has reported once
	require.Equal(t, []error{nil}, reports)
	list, err := LoadList(path)
	require.NoError(t, err)
	require.Len(t, list, n)
}

func TestATopicThatIsNoStore(t *testing.T) {
	opts := broker(t)
	_, err := OpenTopic(t.Context(), opts, "nowhere")
	require.ErrorIs(t, err, kafka.ErrNoTopic)
	deletes := spec()
	deletes.Config["cleanup.policy"] = "delete"
	_, err = CreateTopic(t.Context(), opts, deletes)
	require.ErrorContains(t, err, "is not compacted")
}

// What ends a transaction stands in the topic too, and is no source. Nobody waits for a record behind it.
func TestTheMarkersOfATransaction(t *testing.T) {
	opts := broker(t)
	topic, err := CreateTopic(t.Context(), opts, spec())
	require.NoError(t, err)
	topic.Close()
	writer, err := kgo.NewClient(append(opts, kgo.TransactionalID("writer"))...)
	require.NoError(t, err)
	defer writer.Close()
	write := func(id string, end kgo.TransactionEndTry) {
		require.NoError(t, writer.BeginTransaction())
		r := &kgo.Record{Topic: spec().Name, Key: []byte(id), Value: []byte("{id: " + id + ", write_keys: [key-" + id + "]}")}
		require.NoError(t, writer.ProduceSync(t.Context(), r).FirstErr())
		require.NoError(t, writer.EndTransaction(t.Context(), end))
	}
	write("a", kgo.TryCommit)
	write("b", kgo.TryCommit)
	reader, err := OpenTopic(t.Context(), opts, spec().Name)
	require.NoError(t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	docs, err := reader.ReadAll(ctx)
	require.NoError(t, err)
	require.Len(t, docs, 2)
	require.NotContains(t, docs, "")
}
