// Package kafkatest holds what tests of several packages do with Kafka.
package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadAll returns the records of a topic that has neither transactions nor compaction, and fails where they do not come
// within two minutes. It reads up to the ends that the topic has when it is called and not up to a pause, since a client
// may pause for any reason. opts say where Kafka is.
func ReadAll(t testing.TB, topic string, opts ...kgo.Opt) (records []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	require.NoError(t, ends.Error())
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	for int64(len(records)) < want {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err(), "%d of %d records of %s have come", len(records), want, topic)
		records = append(records, fetches.Records()...)
	}
	return records
}
