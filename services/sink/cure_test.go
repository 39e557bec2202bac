package sink

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
)

// Every stop names a command. A person who runs it, first without and then with --yes,
// gets a partition that goes on, has lost what the command said, and stands twice where
// the command said it would.
func TestEveryStopIsCured(t *testing.T) {
	for _, c := range []struct {
		name    string
		harm    func(w *world) // after 20 events are flushed and the sink has ended
		flags   string
		lost    []int64
		doubled []int64 // that do stand twice
		atMost  int64   // how many the command says
	}{
		{name: "reset-by-another-tool", harm: func(w *world) { w.commitOffset(0, 3, "") }},
		{name: "moved-but-kept", harm: func(w *world) {
			s, _ := w.state(0)
			w.commitOffset(0, 3, s.Metadata())
		}},
		{name: "expired", harm: (*world).loseOffsets},
		{name: "the-catalog-knows-more", harm: func(w *world) {
			before, _ := w.state(0)
			w.flushMore(10)
			after, _ := w.state(0)
			w.putGate(flush.Mark{Seq: after.Seq, Manifest: after.Manifest, Low: after.Low})
			w.commitState(before)
		}},
		{name: "the-catalog-knows-another", harm: func(w *world) {
			s, _ := w.state(0)
			o, seq, _, err := lake.ParseManifestKey(s.Manifest)
			require.NoError(w.t, err)
			w.putGate(flush.Mark{Seq: seq, Manifest: o.ManifestKey(seq, "other"), Low: 12})
		}, flags: "--from 12", doubled: numbers(12, 20), atMost: 8},
		{name: "retention", harm: func(w *world) {
			w.produceEvents(0, []string{"a"}, 10)
			w.deleteRecords(0, 25)
		}, flags: "--accept-loss", lost: numbers(20, 25)},
		{name: "expired-and-retention", harm: func(w *world) {
			w.produceEvents(0, []string{"a"}, 10)
			w.deleteRecords(0, 25)
			w.loseOffsets()
		}, flags: "(refused) --accept-loss", lost: numbers(20, 25)},
		{name: "cut-back", harm: func(w *world) {
			s, _ := w.state(0)
			w.commitState(w.forge(s, s.Low+5, nil))
		}, flags: "--from 20", atMost: 5},
		{name: "intent-without-manifest", harm: func(w *world) {
			before, _ := w.state(0)
			w.flushMore(10)
			after, _ := w.state(0)
			require.NoError(w.t, os.Remove(w.path(after.Manifest)))
			after.Low, after.Phase = before.Low, flush.Intent
			w.commitState(after)
		}, flags: "--from 20", doubled: numbers(20, 30), atMost: 10},
		{name: "ahead-without-manifest", harm: func(w *world) {
			s, _ := w.state(0)
			forged := w.forge(s, s.Low, flush.NewOffsets(22, 23))
			w.commitState(forged)
			require.NoError(w.t, w.store.Put(w.t.Context(), forged.Manifest, []byte("{")))
			w.produceEvents(0, []string{"a"}, 10)
		}, flags: "--from 20", atMost: 10},
		{name: "sound", harm: nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.produceEvents(1, []string{"a"}, 5)
			w.flushMore(20)
			var did Recovered
			if c.harm == nil { // what the text of a faulty cut says
				did = w.obey("--from 10")
				c.doubled, c.atMost = numbers(10, 20), 10
			} else {
				c.harm(w)
				flags := w.stopsWith(w.start())
				if rest, refused := strings.CutPrefix(c.flags, "(refused) "); refused {
					require.Empty(t, flags)
					all, err := w.recover()
					require.ErrorIs(t, err, ErrUnrecovered)
					require.Contains(t, all[0].Why, rest)
					flags, c.flags = rest, rest
				}
				require.Equal(t, c.flags, flags)
				did = w.obey(flags)
			}
			require.Equal(t, int64(len(c.lost)), did.Lost)
			require.Equal(t, c.atMost, did.Doubled)
			w.requireGoesOn(c.lost, c.doubled)
		})
	}
}

func numbers(from, to int64) (list []int64) {
	for n := from; n < to; n++ {
		list = append(list, n)
	}
	return list
}

// flushMore has a sink flush more events of partition 0, and ends it.
func (w *world) flushMore(n int) {
	w.t.Helper()
	w.produceEvents(0, []string{"a"}, n)
	p := w.start()
	w.awaitFlushed()
	require.NoError(w.t, p.end())
}

var namedCommand = regexp.MustCompile(`weir sink recover --group weir-sink --topic weir\.events --partition 0((?: --[a-z-]+| \d+)*)`)

// stopsWith waits until partition 0 stops, ends the sink, and gives the flags of the
// command that is named.
func (w *world) stopsWith(p *sinkProcess) string {
	w.t.Helper()
	w.await("it stops", func() bool { return strings.Contains(p.log.String(), "partition stopped") })
	require.NoError(w.t, p.end())
	found := namedCommand.FindStringSubmatch(p.log.String())
	require.NotNil(w.t, found, p.log.String())
	return strings.TrimSpace(found[1])
}

// obey runs the command with these flags: to see what it would do, without and with --yes.
func (w *world) obey(flags string) Recovered {
	w.t.Helper()
	words := strings.Fields(flags)
	cfg := func(dry, yes bool) func(*RecoverConfig) {
		return func(c *RecoverConfig) {
			c.Partition, c.DryRun, c.Yes = []int32{0}, dry, yes
			c.AcceptLoss = slices.Contains(words, "--accept-loss")
			if i := slices.Index(words, "--from"); i >= 0 {
				c.From, _ = strconv.ParseInt(words[i+1], 10, 64)
			}
		}
	}
	before := w.committedNow()
	gives := flags != ""
	all, err := w.recover(cfg(true, false))
	require.NoError(w.t, err, "%v", all)
	require.Equal(w.t, gives, all[0].Result == "would go on", "%v", all)
	said := all[0]
	if gives {
		_, err = w.recover(cfg(false, false))
		require.ErrorIs(w.t, err, ErrUnconfirmed)
	}
	require.Equal(w.t, before, w.committedNow(), "nothing was done")

	all, err = w.recover(cfg(false, true))
	require.NoError(w.t, err, "%v", all)
	require.Equal(w.t, map[bool]string{true: "went on", false: "restored"}[gives], all[0].Result, "%v", all)
	if !strings.Contains(said.Why, "is published") { // of which it cannot be foreseen
		require.Equal(w.t, []int64{said.Lost, said.Doubled}, []int64{all[0].Lost, all[0].Doubled}, "it did what it had said")
	}
	return all[0]
}

func (w *world) committedNow() string {
	w.t.Helper()
	all, err := w.admin().FetchOffsets(w.t.Context(), w.cfg.Group)
	require.NoError(w.t, err)
	o, ok := all.Lookup(w.cfg.Topic, 0)
	return strconv.FormatBool(ok) + " " + itoa(o.At) + " " + o.Metadata
}

// requireGoesOn starts a sink again and checks that every record of partition 0 stands
// once in both tables, but for those that are lost, and those that stand twice.
func (w *world) requireGoesOn(lost, doubled []int64) {
	w.t.Helper()
	w.produceEvents(0, []string{"b"}, 10)
	p := w.start()
	w.awaitFlushed()
	require.NotContains(w.t, p.log.String(), "partition stopped")
	require.NoError(w.t, p.end())
	var want []row
	for o := range w.sent[0] {
		if !slices.Contains(lost, o) {
			want = append(want, row{0, o})
		}
		if slices.Contains(doubled, o) {
			want = append(want, row{0, o})
		}
	}
	for o := range w.sent[1] {
		want = append(want, row{1, o})
	}
	require.Equal(w.t, want, w.rows())
	require.Equal(w.t, len(want), w.rawLines())
	all, err := w.recover(func(c *RecoverConfig) { c.Partition = []int32{0} })
	require.NoError(w.t, err)
	require.Equal(w.t, []string{"kept"}, results(all), "%v", all)
}

func (w *world) path(key string) string {
	return theS3.Root() + "/" + w.store.Location().Bucket + "/" + w.store.Location().Key(key)
}

func (w *world) commitState(s flush.State) {
	w.t.Helper()
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: w.cfg.Topic, Partition: 0, At: s.Low, LeaderEpoch: s.LeaderEpoch, Metadata: s.Metadata()})
	resp, err := w.admin().CommitOffsets(context.Background(), w.cfg.Group, o)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Error())
}

func (w *world) putGate(k flush.Mark) {
	w.t.Helper()
	k.Group = w.cfg.Group
	body, err := codec.EncodeGate(&flush.Gate{Marks: map[int32]flush.Mark{0: k}})
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.Put(w.t.Context(), lake.GateKey("weir", w.topicID()), body))
}

// forge puts the manifest of a flush after s that has no files, and gives its state.
func (w *world) forge(s flush.State, next int64, ahead *flush.Offsets) flush.State {
	w.t.Helper()
	list := w.manifests()
	m := *list[slices.IndexFunc(list, func(m *flush.Manifest) bool { return m.Key == s.Manifest })]
	m.Predecessor, m.Seq, m.FlushID, m.Files, m.Low, m.NextLow = m.Key, m.Seq+1, "forged", nil, s.Low, next
	m.Key = m.Owner().ManifestKey(m.Seq, m.FlushID)
	if ahead != nil {
		m.Ahead = map[string]*flush.Offsets{"eventlogs": ahead, "eventlogs_raw": ahead}
	}
	body, err := codec.EncodeManifest(&m)
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.PutIfAbsent(w.t.Context(), m.Key, body))
	s.Seq, s.Low, s.Manifest, s.Ahead = m.Seq, next, m.Key, ahead != nil
	return s
}

// Uploads that are lost together with a part of their records: what Kafka still holds is
// flushed again, the rest is lost, and the audit can read which.
func TestLostUploadsAreCured(t *testing.T) {
	w := newWorld(t, 2)
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		w.kafka.SleepControl(func() {
			w.abortUploads()
			w.deleteRecords(0, 10)
		})
		return nil, false, true
	})
	w.produceLarge(0, "a")
	p := w.start(inOneFlush)
	w.await("the records are read", func() bool { return w.position(p, 0) == w.sent[0] })
	require.NoError(t, p.end())
	require.Equal(t, "--accept-loss", w.stopsWith(p))
	w.produceEvents(1, []string{"a"}, 5)
	did := w.obey("--accept-loss")
	require.Equal(t, int64(10), did.Lost)
	require.Zero(t, did.Doubled)
	w.requireGoesOn(numbers(0, 10), nil)
	list := w.manifests()
	i := slices.IndexFunc(list, func(m *flush.Manifest) bool { return m.Trigger == flush.TriggerRecovery })
	require.Equal(t, "0-9", list[i].Lost.String())
	require.Len(t, list[i].Dropped, 2)
	require.Equal(t, []int64{40, 10}, []int64{list[i].Low, list[i].NextLow})
	w.requireNotified()
}

// What is pending and can be written again is no loss, whatever was accepted.
func TestAcceptedLossThatIsNone(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(1, []string{"a"}, 5)
	w.produceLarge(0, "a")
	p := w.start(inOneFlush)
	w.await("the records are read", func() bool { return w.position(p, 0) == w.sent[0] })
	require.NoError(t, p.end())
	s, _ := w.state(0)
	for _, m := range w.manifests() {
		if m.Key == s.Manifest {
			for _, f := range m.Files {
				require.NoError(t, os.Remove(w.path(f.Key)))
			}
			s.Low, s.Phase, s.Ahead = m.Low, flush.Intent, false
		}
	}
	w.commitState(s)
	did := w.obey("--accept-loss")
	require.Zero(t, did.Lost+did.Doubled)
	after, _ := w.state(0)
	require.Equal(t, flush.Done, after.Phase)
	require.Equal(t, s.Manifest, after.Manifest, "no flush says that something was given up")
	w.requireGoesOn(nil, nil)
}

// A batch unpacks to more than a sink may hold. What stands before it is flushed, and it alone is passed over.
func TestBombIsCured(t *testing.T) {
	w := newWorld(t, 2)
	w.cfg.Memory = settings.Memory{Bytes: 64 * settings.MiB}
	w.produceEvents(1, []string{"a"}, 5)
	w.produceEvents(0, []string{"a"}, 5)
	w.produceBomb(0, 33<<20)
	w.produceEvents(0, []string{"a"}, 5)
	require.Equal(t, "--from 6 --accept-loss", w.stopsWith(w.start()))
	require.Equal(t, int64(1), w.obey("--from 6 --accept-loss").Lost)
	w.requireGoesOn(numbers(5, 6), nil)
	w.requireNotified()
}

// produceBomb appends one record of so many bytes, which are few on their way.
func (w *world) produceBomb(p int32, size int) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerBatchMaxBytes(int32(size)+1<<10), kgo.BrokerMaxWriteBytes(1<<30))
	require.NoError(w.t, err)
	defer client.Close()
	bomb := &kgo.Record{Topic: w.cfg.Topic, Partition: p, Key: []byte("a"), Value: bytes.Repeat([]byte(" "), size)}
	require.NoError(w.t, client.ProduceSync(w.t.Context(), bomb).FirstErr())
	w.sent[p]++
}

// Retention overtakes a sink that runs: it stops with what a start would say.
func TestRetentionIsCured(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(1, []string{"a"}, 5)
	w.produceEvents(0, []string{"a"}, 5)
	p := w.start()
	w.awaitFlushed()
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	w.kafka.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		held <- struct{}{}
		w.kafka.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	<-held
	w.produceEvents(0, []string{"a"}, 20)
	w.deleteRecords(0, 15)
	close(hold)
	require.Equal(t, "--accept-loss", w.stopsWith(p))
	require.Equal(t, int64(10), w.obey("--accept-loss").Lost)
	w.requireGoesOn(numbers(5, 15), nil)
	w.requireNotified()
}

// The group was another consumer's: the partition begins where that one ended.
func TestForeignGroupIsCured(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(0, []string{"a"}, 20)
	w.produceEvents(1, []string{"a"}, 5)
	w.commitOffset(0, 8, "")
	require.Equal(t, "--from 8", w.stopsWith(w.start()))
	did := w.obey("--from 8")
	require.Zero(t, did.Lost)
	require.Zero(t, did.Doubled)
	w.requireGoesOn(numbers(0, 8), nil)
	w.requireNotified()
}

// The marker that says where a partition begins cannot be read.
func TestUnreadableMarkerIsCured(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(0, []string{"a"}, 20)
	w.produceEvents(1, []string{"a"}, 5)
	o := lake.Owner{Group: w.cfg.Group, Topic: w.cfg.Topic, TopicID: w.topicID()}
	require.NoError(t, w.store.Put(t.Context(), o.StartedKey(), []byte("{")))
	require.Equal(t, "--from 0", w.stopsWith(w.start()))
	w.obey("--from 0")
	w.requireGoesOn(nil, nil)
	w.requireNotified()
}

// The lake is another one, on purpose: it begins where the other ended.
func TestAnotherLakeIsCured(t *testing.T) {
	w := newWorld(t, 1)
	w.flushMore(20)
	first := w.rows()
	w.cfg.Lake += "/two"
	loc, err := lake.ParseLocation(w.cfg.Lake)
	require.NoError(t, err)
	w.store, err = s3.Open(t.Context(), s3.Config{Lake: loc}, nil)
	require.NoError(t, err)
	require.Equal(t, "--from 20", w.stopsWith(w.start()))
	did := w.obey("--from 20")
	require.Zero(t, did.Lost+did.Doubled)
	w.requireGoesOn(numbers(0, 20), nil)
	require.Len(t, first, 20)
}

// What is given up needs an empty group, a partition and an offset that is there.
func TestGivingUpIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 20)
	p := w.start()
	w.awaitFlushed()
	_, err := w.recover(func(c *RecoverConfig) { c.From, c.Yes, c.Partition = 10, true, []int32{0} })
	require.ErrorContains(t, err, "group weir-sink is in use, stop its members first")
	require.NoError(t, p.end())
	all, err := w.recover(func(c *RecoverConfig) { c.From, c.Yes, c.Partition = 21, true, []int32{0} })
	require.ErrorIs(t, err, ErrUnrecovered)
	require.Contains(t, all[0].Why, "--from 21: Kafka holds offsets 0 to 19")
	w.produceEvents(0, []string{"a"}, 5)
	all, err = w.recover(func(c *RecoverConfig) { c.From, c.Yes, c.Partition = 22, true, []int32{0} })
	require.ErrorIs(t, err, ErrUnrecovered)
	require.Contains(t, all[0].Why, "records 20-21 are not flushed, and would be lost: add --accept-loss, or go on at 20")
	c := RecoverConfig{Kafka: w.cfg.Kafka, Group: "g", Topic: "t", FlushTopic: "f", DeadLetterTopic: "d", Lake: w.cfg.Lake, From: 3}
	require.ErrorContains(t, c.Validate()[0], "name it with --partition")
}
