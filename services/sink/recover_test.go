package sink

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/services/sink/internal/group"
)

func (w *world) recover(change ...func(*RecoverConfig)) ([]Recovered, error) {
	w.t.Helper()
	cfg := RecoverConfig{Kafka: w.cfg.Kafka, Group: w.cfg.Group, Topic: w.cfg.Topic, FlushTopic: w.cfg.FlushTopic, DeadLetterTopic: w.cfg.DeadLetterTopic, Lake: w.cfg.Lake, From: -1}
	for _, c := range change {
		c(&cfg)
	}
	require.NoError(w.t, settings.Join(cfg.Validate()))
	return Recover(w.t.Context(), cfg)
}

func results(all []Recovered) (list []string) {
	for _, r := range all {
		list = append(list, r.Result)
	}
	return list
}

// stopped runs a sink until it says that partition 0 stopped and which command recovers it, and ends it.
func (w *world) stopped() {
	w.t.Helper()
	p := w.start()
	const command = "weir sink recover --group weir-sink --topic weir.events --partition 0"
	w.await("it stops", func() bool { return strings.Contains(p.log.String(), command) })
	require.NoError(w.t, p.end())
}

func (w *world) loseOffsets() {
	_, err := w.admin().DeleteOffsets(w.t.Context(), w.cfg.Group, kadm.TopicsSet{w.cfg.Topic: {0: {}}})
	require.NoError(w.t, err)
}

// Whatever made the committed offset untrue, the last decided flush gives it back; the
// sink goes on, and every record stands once.
func TestRecover(t *testing.T) {
	for name, harm := range map[string]func(*world){
		"expired":               (*world).loseOffsets,
		"reset-by-another-tool": func(w *world) { w.commitOffset(0, 3, "") },
		"group-deleted": func(w *world) {
			_, err := w.admin().DeleteGroups(w.t.Context(), w.cfg.Group)
			require.NoError(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.produceEvents(0, []string{"a", "b"}, 20)
			w.produceEvents(1, []string{"a"}, 20)
			p := w.start()
			w.awaitFlushed()
			w.produceEvents(0, []string{"a"}, 20)
			w.awaitFlushed()
			before, _ := w.state(0)

			all, err := w.recover()
			require.ErrorContains(t, err, "group weir-sink is in use, stop its members first: it is Stable, with 1: ")
			require.Empty(t, all)
			require.NoError(t, p.end())

			harm(w)
			w.stopped()

			_, err = w.recover(func(c *RecoverConfig) { c.After = time.Hour; c.Partition = []int32{0} })
			require.ErrorIs(t, err, ErrUnrecovered)
			all, err = w.recover(func(c *RecoverConfig) { c.DryRun = true; c.Partition = []int32{0} })
			require.NoError(t, err)
			require.Equal(t, []string{"would restore"}, results(all))
			require.Contains(t, all[0].Stands, before.Manifest)
			_, ours := w.state(0)
			require.False(t, ours, "neither of them committed anything")

			all, err = w.recover()
			require.NoError(t, err, "%v", all)
			require.Contains(t, results(all), "restored")
			after, _ := w.state(0)
			require.Equal(t, before, after)
			all, err = w.recover()
			require.NoError(t, err)
			require.Equal(t, []string{"kept", "kept"}, results(all))

			w.produceEvents(0, []string{"b"}, 10)
			w.start()
			w.awaitFlushed()
			w.requireOnce()
		})
	}
}

// The offsets are lost while a flush is half published and nobody was told: it is decided
// again and rolled forward. That one of its objects is visible does not mean that all are.
func TestRecoverHalfPublished(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a", "b"}, 20)
	p := w.start(func(c *Config) { c.FileAge = time.Second }) // one flush
	w.awaitFlushed()
	require.NoError(t, p.end())
	m := w.manifests()[0]
	require.Len(t, m.Files, 4)
	require.NoError(t, os.Remove(theS3.Root()+"/"+w.store.Location().Bucket+"/"+w.store.Location().Key(m.Files[0].Key)))
	require.NoError(t, os.Remove(theS3.Root()+"/"+w.store.Location().Bucket+"/"+w.store.Location().Key(m.Bundle)))
	_, err := w.admin().DeleteTopics(t.Context(), w.cfg.FlushTopic)
	require.NoError(t, err)
	w.loseOffsets()

	_, err = w.recover()
	require.ErrorIs(t, err, kafka.ErrNoTopic)
	require.NoError(t, kafka.EnsureTopics(t.Context(), w.client, []kafka.TopicSpec{w.cfg.layout().Flushes(w.cfg.FlushTopic)}))
	all, err := w.recover()
	require.NoError(t, err)
	require.Equal(t, []string{"restored"}, results(all))
	s, ok := w.state(0)
	require.True(t, ok)
	require.Equal(t, flush.State{Phase: flush.Intent, Seq: 1, Manifest: m.Key, Home: s.Home, LeaderEpoch: m.LeaderEpoch}, s)

	w.produceEvents(0, []string{"b"}, 10)
	p = w.start()
	w.awaitFlushed()
	require.Equal(t, 1, strings.Count(p.log.String(), "a lost upload was written again"))
	w.requireOnce()
}

// Retention took records that were not flushed: it says which, and changes nothing.
func TestRecoverRefuses(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(0, []string{"a"}, 20)
	w.produceEvents(1, []string{"a"}, 20)
	p := w.start()
	w.awaitFlushed()
	require.NoError(t, p.end())
	w.produceEvents(0, []string{"a"}, 10)
	w.deleteRecords(0, 25)
	w.loseOffsets()
	all, err := w.recover()
	require.ErrorIs(t, err, ErrUnrecovered)
	require.EqualError(t, err, "not everything could be recovered: 1 of 2 partitions are as they were")
	require.Equal(t, []string{"refused", "kept"}, results(all))
	require.Equal(t, "records 20 to 24 were deleted by retention before they were flushed; to go on without them: --accept-loss", all[0].Why)
	_, ok := w.state(0)
	require.False(t, ok)

	_, err = w.recover(func(c *RecoverConfig) { c.Partition = []int32{2} })
	require.ErrorContains(t, err, "topic weir.events has no partition 2: it has 2")
}

// Members of the consumer protocol (KIP-848) are seen too: a broker that is asked for a classic group denies theirs.
func TestRecoverSeesMembers(t *testing.T) {
	for _, protocol := range group.Protocols {
		t.Run(protocol, func(t *testing.T) {
			w := newWorld(t, 1)
			w.produceEvents(0, []string{"a"}, 5)
			p := w.start(func(c *Config) { c.GroupProtocol = protocol })
			w.awaitFlushed()
			_, err := w.recover()
			require.ErrorContains(t, err, "group weir-sink is in use, stop its members first: it is Stable, with 1: ")
			require.NoError(t, p.end())
			_, err = w.recover()
			require.NoError(t, err)
		})
	}
}

// The offsets come back from a backup, and no catalog has heard of what was flushed since: the lake tells.
func TestRecoverFromBackup(t *testing.T) {
	for _, flushes := range []int{1, 2} {
		t.Run(fmt.Sprint(flushes, " flushes behind"), func(t *testing.T) {
			w := newWorld(t, 1)
			w.produceEvents(0, []string{"a", "b"}, 20)
			p := w.start()
			w.awaitFlushed()
			backup, _ := w.state(0)
			require.NoError(t, p.end())
			for range flushes {
				w.flushMore(3)
			}
			latest, _ := w.state(0)
			require.Equal(t, backup.Seq+uint64(flushes), latest.Seq)
			w.commitState(backup)
			w.stopped()

			all, err := w.recover()
			require.NoError(t, err, "%v", all)
			require.Equal(t, []string{"restored"}, results(all))
			w.produceEvents(0, []string{"b"}, 10)
			w.start()
			w.awaitFlushed()
			w.requireOnce()
		})
	}
}

// The next flush's manifest cannot be read: nobody knows whether it was decided, and the partition stops.
func TestStopsBeforeAnUnreadableManifest(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 5)
	p := w.start()
	w.awaitFlushed()
	require.NoError(t, p.end())
	s, _ := w.state(0)
	owner := lake.Owner{Group: w.cfg.Group, Topic: w.cfg.Topic, TopicID: w.topicID()}
	require.NoError(t, w.store.Put(t.Context(), owner.ManifestKey(s.Seq+1, "00dc6ff7-c1ae-700a-9061-046bcfa54db1"), []byte("{}")))
	w.stopped()
	_, err := w.recover()
	require.ErrorIs(t, err, ErrUnrecovered)
}
