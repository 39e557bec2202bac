//go:build e2e

// Package redrive kills redrives on Apache Kafka, and lets them meet: what comes back
// comes once, by the broker's own transactions. (The crashes at every request, in
// virtual time, are services/redrive's.)
package redrive

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/parts"
	"weir/pkg/event"
	"weir/pkg/kafka"
)

const letters = 600

// deployment is a Kafka with dead letters in it, and the program.
type deployment struct {
	t      *testing.T
	bin    string
	client *kgo.Client
	broker string
}

func deploy(t *testing.T) *deployment {
	t.Helper()
	_, err := parts.FetchKafka(t.Context())
	parts.Need(t, "kafka", err)
	broker, err := parts.StartKafka(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(broker.Stop)
	d := &deployment{t: t, bin: os.Getenv("WEIR_BIN"), broker: broker.Addr}
	if d.bin == "" {
		d.bin = filepath.Join(t.TempDir(), "weir")
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", d.bin, "weir/services/weir").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	d.client, err = kgo.NewClient(kgo.SeedBrokers(broker.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(d.client.Close)
	layout := kafka.Layout{Partitions: 3, Replication: 1, Retention: kafka.Forever}
	require.NoError(t, kafka.EnsureTopics(t.Context(), d.client, []kafka.TopicSpec{layout.Events("weir.events"), layout.Aside("weir.deadletters", 1<<20)}))
	d.putAside()
	return d
}

// putAside writes dead letters as the sink does, every tenth of them twice.
func (d *deployment) putAside() {
	d.t.Helper()
	topic, _, err := kafka.Describe(d.t.Context(), d.client, "weir.events")
	require.NoError(d.t, err)
	var records []*kgo.Record
	for i := range letters {
		r := event.Record{
			Topic: topic.Name, TopicID: topic.ID, Partition: int32(i % 3), Offset: int64(1_000_000 + i/3), Timestamp: time.Now(),
			Key: fmt.Appendf(nil, "source%d", i%11), Value: value(i),
		}
		letter := kafka.ToKgo(event.DeadLetter(&r, event.NoType))
		letter.Topic, letter.Partition = "weir.deadletters", r.Partition
		records = append(records, letter)
		if i%10 == 0 {
			again := *letter
			records = append(records, &again)
		}
	}
	require.NoError(d.t, d.client.ProduceSync(d.t.Context(), records...).FirstErr())
}

func value(i int) []byte { return fmt.Appendf(nil, `{"n":"%04d"}`, i) }

// redrive starts the program.
func (d *deployment) redrive(rate int) (*exec.Cmd, *bytes.Buffer) {
	d.t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(d.t.Context(), d.bin, "deadletters", "redrive", "--kafka-brokers", d.broker, "--topic-replication", "1", "--rate", fmt.Sprint(rate))
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(d.t, cmd.Start())
	return cmd, &out
}

// back is what is in the events topic and committed, without waiting for transactions
// that are open.
func (d *deployment) back() []string {
	d.t.Helper()
	listed, err := kadm.NewClient(d.client).ListCommittedOffsets(d.t.Context(), "weir.events")
	require.NoError(d.t, err)
	return d.read(listed)
}

// read reads up to the listed offsets.
func (d *deployment) read(listed kadm.ListedOffsets) (values []string) {
	d.t.Helper()
	require.NoError(d.t, listed.Error())
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.broker), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeTopics("weir.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(d.t, err)
	defer cl.Close()
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[o.Partition] = o.Offset
		}
	})
	for len(ends) > 0 {
		fetches := cl.PollFetches(d.t.Context())
		require.NoError(d.t, fetches.Err())
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() && r.Offset < listed["weir.events"][r.Partition].Offset {
				values = append(values, string(r.Value))
			}
			if end, there := ends[r.Partition]; there && r.Offset >= end-1 {
				delete(ends, r.Partition)
			}
		}
	}
	slices.Sort(values)
	return values
}

func (d *deployment) requireOnce() {
	d.t.Helper()
	var want []string
	for i := range letters {
		want = append(want, string(value(i)))
	}
	listed, err := kadm.NewClient(d.client).ListEndOffsets(d.t.Context(), "weir.events") // also what the coordinator is still committing
	require.NoError(d.t, err)
	require.Equal(d.t, want, d.read(listed))
}

// awaitBack waits until more than n records are back.
func (d *deployment) awaitBack(n int) {
	d.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); len(d.back()) <= n; <-tick.C {
		require.True(d.t, time.Now().Before(deadline), "nothing comes back")
	}
}

func TestKilledRedrives(t *testing.T) {
	d := deploy(t)
	for range 6 {
		before := len(d.back())
		cmd, out := d.redrive(300)
		d.awaitBack(before)
		require.NoError(t, cmd.Process.Kill(), out.String())
		_ = cmd.Wait() // it was killed
		require.Less(t, len(d.back()), letters, "killed in the middle: %s", out)
	}
	cmd, out := d.redrive(0)
	require.NoError(t, cmd.Wait(), out.String())
	require.Contains(t, out.String(), "redriven before")
	d.requireOnce()
}

func TestRedrivesThatMeet(t *testing.T) {
	d := deploy(t)
	first, firstOut := d.redrive(200)
	d.awaitBack(0)
	second, secondOut := d.redrive(0)
	require.NoError(t, second.Wait(), secondOut.String())
	err := first.Wait()
	require.Error(t, err, firstOut.String())
	require.Equal(t, 1, first.ProcessState.ExitCode())
	require.Contains(t, firstOut.String(), "another redrive with the same ledger has begun")
	d.requireOnce()
}
