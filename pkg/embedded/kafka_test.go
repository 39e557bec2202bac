package embedded_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
)

func startKafka(t *testing.T, dir, addr string) *embedded.Kafka {
	t.Helper()
	k, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Addr: addr})
	require.NoError(t, err)
	return k
}

func kafkaClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr))...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func TestKafkaRestartsAsTheSameCluster(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	k := startKafka(t, dir, "127.0.0.1:0")
	cl := kafkaClient(t, k.Addr())
	adm := kadm.NewClient(cl)
	_, err := adm.CreateTopic(ctx, 3, 1, nil, "t")
	require.NoError(t, err)
	for n := range 30 {
		r := &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "v%d", n)}
		require.NoError(t, cl.ProduceSync(ctx, r).FirstErr())
	}
	before := describe(t, adm)
	cl.Close()
	require.NoError(t, k.Close())

	again := startKafka(t, dir, k.Addr())
	t.Cleanup(func() { _ = again.Close() })
	require.Equal(t, k.Addr(), again.Addr())
	adm = kadm.NewClient(kafkaClient(t, again.Addr()))
	require.Equal(t, before, describe(t, adm))
	ends, err := adm.ListEndOffsets(ctx, "t")
	require.NoError(t, err)
	var records int64
	ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
	require.EqualValues(t, 30, records)
}

// describe is what a client can hold on to: cluster, broker, address, topic id.
func describe(t *testing.T, adm *kadm.Client) string {
	t.Helper()
	m, err := adm.Metadata(t.Context(), "t")
	require.NoError(t, err)
	b := m.Brokers[0]
	return fmt.Sprintf("%s %d %s:%d %s", m.Cluster, b.NodeID, b.Host, b.Port, m.Topics["t"].ID)
}

func TestKafkaMakesNoTopicByItself(t *testing.T) {
	k := startKafka(t, t.TempDir(), "127.0.0.1:0")
	t.Cleanup(func() { _ = k.Close() })
	cl := kafkaClient(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "never", Value: []byte("v")}).FirstErr()
	require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
}

func TestKafkaKeepsCommitsOverARestart(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	k := startKafka(t, dir, "127.0.0.1:0")
	cl := kafkaClient(t, k.Addr())
	adm := kadm.NewClient(cl)
	_, err := adm.CreateTopic(ctx, 1, 1, nil, "t")
	require.NoError(t, err)
	var commit kadm.Offsets
	commit.Add(kadm.Offset{Topic: "t", Partition: 0, At: 7, LeaderEpoch: 0, Metadata: "weir1 3 done"})
	require.NoError(t, adm.CommitAllOffsets(ctx, "g", commit))
	cl.Close()
	require.NoError(t, k.Close())

	again := startKafka(t, dir, k.Addr())
	t.Cleanup(func() { _ = again.Close() })
	got, err := kadm.NewClient(kafkaClient(t, again.Addr())).FetchOffsets(ctx, "g")
	require.NoError(t, err)
	o, ok := got.Lookup("t", 0)
	require.True(t, ok)
	require.EqualValues(t, 7, o.At)
	require.Equal(t, "weir1 3 done", o.Metadata)
}

func TestABusyAddressIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	busy := ln.Addr().String()
	starts := map[string]func(dir string) error{
		"Kafka": func(dir string) error {
			_, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Addr: busy})
			return err
		},
		"S3": func(dir string) error {
			_, err := embedded.StartS3(embedded.S3Options{Dir: dir, Addr: busy, AccessKey: "a", SecretKey: "b"})
			return err
		},
		"Glue": func(dir string) error {
			_, err := embedded.StartGlue(embedded.GlueOptions{Dir: dir, Addr: busy})
			return err
		},
	}
	for part, start := range starts {
		t.Run(part, func(t *testing.T) {
			dir := t.TempDir()
			for range 2 { // the second shows that the first let go of the directory
				err := start(dir)
				require.ErrorIs(t, err, embedded.ErrBusy)
				require.ErrorContains(t, err, busy)
			}
		})
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	k := startKafka(t, dir, "127.0.0.1:0")
	_, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Addr: "127.0.0.1:0"})
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.NoError(t, k.Close())
	require.NoError(t, startKafka(t, dir, "127.0.0.1:0").Close())
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
