package redrive

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/kafka"
)

func TestComesBackOnceAsItWas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.letter(1, event.Record{
			Key: []byte("no source!"), Value: []byte("\xff no event\x00"),
			Headers: []event.Header{{Key: "weir-source", Value: []byte("a")}, {Key: "own", Value: nil}},
		}, event.Malformed)
		w.letters(10)
		report := w.run()
		require.EqualValues(t, 11, report.Count(Back))
		w.requireOnce(append(plains(10), string(first.Value))...)

		for _, r := range w.read(eventsTopic) {
			if string(r.Value) != string(first.Value) {
				continue
			}
			require.Equal(t, first.Key, r.Key)
			require.Equal(t, map[string]string{
				"weir-source": "a", "own": "", "weir-received-at": "2026-11-23T10:00:00.123Z", "weir-redrive-count": "1",
			}, headers(r))
			require.WithinDuration(t, time.Now(), r.Timestamp, time.Minute, "retention counts from now")
		}

		again := w.run()
		require.EqualValues(t, 0, again.Count(Back))
		require.EqualValues(t, 11, again.Count(Before))
		w.requireOnce(append(plains(10), string(first.Value))...)
	})
}

// A record of a hot source comes back to its lane, whatever partition it came from.
func TestARecordOfALaneComesBackToIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for lane := range 2 {
			w.letter(0, event.Record{
				Key: []byte("a"), Value: []byte("{}"),
				Headers: []event.Header{{Key: event.HeaderFanout, Value: event.Lane{Lane: lane, Fanout: 2, Epoch: 1}.Append(nil)}},
			}, event.NoType)
		}
		require.EqualValues(t, 2, w.run().Count(Back))
		base := kgo.StickyKeyPartitioner(nil).ForTopic(eventsTopic).Partition(&kgo.Record{Key: []byte("a")}, 3)
		for _, r := range w.read(eventsTopic) {
			l, ok := event.ParseLane([]byte(headers(r)[event.HeaderFanout]))
			require.True(t, ok)
			require.EqualValues(t, (base+l.Lane)%3, r.Partition)
		}
	})
}

// The sink produces a dead letter again where it did not hear the acknowledgement.
func TestADeadLetterThatStandsTwiceComesBackOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(3)
		w.next[1]--
		w.letter(1, plain(1), event.NoType)
		report := w.run()
		require.EqualValues(t, 3, report.Count(Back))
		require.EqualValues(t, 1, report.Count(Result(Repeated)))
		w.next[2]--
		w.letter(2, plain(2), event.NoType)
		report = w.run()
		require.EqualValues(t, 5, report.Count(Before), "also when the copy comes after the redrive")
		w.requireOnce(plains(3)...)
	})
}

func TestDryRunChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(3)
		w.letter(0, event.Record{Key: []byte("a"), Value: []byte(`{"event":"e"}`)}, event.NoSource)
		before := w.ends()
		report := w.run(func(c *Config) { c.DryRun = true })
		require.Equal(t, []Group{
			{WouldBack, "no_source", "a", eventsTopic, "event"},
			{WouldBack, "no_type", "source0", eventsTopic, "dead letter: no_type"},
			{WouldBack, "no_type", "source1", eventsTopic, "dead letter: no_type"},
			{WouldBack, "no_type", "source2", eventsTopic, "dead letter: no_type"},
		}, report.Sorted())
		require.Equal(t, before, w.ends())
		_, _, err := kafka.Describe(t.Context(), w.client, ledgerTopic)
		require.ErrorIs(t, err, kafka.ErrNoTopic)

		w.run()
		before = w.ends()
		report = w.run(func(c *Config) { c.DryRun = true })
		require.EqualValues(t, 4, report.Count(Before), "it knows what came back")
		require.Equal(t, before, w.ends())
	})
}

// ends are the end offsets of the topics.
func (w *world) ends() map[string]map[int32]kafka.Span {
	w.t.Helper()
	all := map[string]map[int32]kafka.Span{}
	for _, topic := range []string{eventsTopic, lettersTopic, rejectedTopic} {
		spans, err := kafka.Spans(w.t.Context(), w.client, topic)
		require.NoError(w.t, err)
		all[topic] = spans
	}
	return all
}

// What is refused again comes back as another dead letter, whose headers count.
func TestAttemptsAreCountedAndEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.next[0] = 1000 // where nothing that comes back will stand
		w.letter(0, plain(0), event.NoType)
		for attempt := 1; attempt <= 3; attempt++ {
			require.EqualValues(t, 1, w.run().Count(Back))
			all := w.read(eventsTopic)
			require.Len(t, all, attempt)
			came := all[attempt-1]
			require.Equal(t, strconv.Itoa(attempt), headers(came)[event.HeaderRedriveCount])
			require.Len(t, came.Headers, 2, "it is counted in one header")
			var r event.Record
			kafka.FromKgo(&r, came, w.events.ID)
			d := event.DeadLetter(&r, event.NoType) // the sink
			w.produce(lettersTopic, r.Partition, d)
		}
		report := w.run()
		require.EqualValues(t, 0, report.Count(Back))
		require.EqualValues(t, 1, report.Count(Result(Quarantined)))
		require.EqualValues(t, 1, w.run(func(c *Config) { c.MaxAttempts = 4 }).Count(Back))
	})
}

func TestFilters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		start := time.Now()
		w.letters(6)
		time.Sleep(time.Hour) // virtual
		w.letter(0, event.Record{Key: []byte("a")}, event.Empty)
		w.letter(1, event.Record{Key: []byte("b"), Value: []byte("x")}, event.Malformed)
		for _, c := range []struct {
			change func(*Config)
			want   int
		}{
			{func(*Config) {}, 8},
			{func(c *Config) { c.Reason = []string{"malformed", "empty"} }, 2},
			{func(c *Config) { c.Source = []string{"source3"} }, 1},
			{func(c *Config) { c.Since = moment(t, "30m") }, 2},
			{func(c *Config) { c.Until = moment(t, "30m") }, 6},
			{func(c *Config) {
				c.Since = moment(t, start.Add(time.Minute).Format(time.RFC3339))
				c.Source = []string{"a"}
			}, 1},
			{func(c *Config) { c.Partition = []int32{1} }, 3},
			{func(c *Config) { c.Partition, c.Offset = []int32{1}, []int64{2, 0, 2} }, 2},
			{func(c *Config) { c.Max = 5 }, 5},
			{func(c *Config) { c.Reason = []string{"nothing"} }, 0},
		} {
			report := w.run(c.change, func(c *Config) { c.DryRun = true })
			require.EqualValues(t, c.want, report.Count(WouldBack))
		}
		w.run(func(c *Config) { c.Max = 5 })
		require.EqualValues(t, 3, w.run().Count(Back), "what is left comes with the next one")
		_, err := w.try(func(c *Config) { c.Partition, c.Offset = []int32{1}, []int64{99, 98} })
		require.ErrorIs(t, err, ErrNoLetter)
		require.ErrorContains(t, err, "weir.deadletters/1 offset 99 98: ")
		_, err = w.try(func(c *Config) { c.Partition = []int32{9} })
		require.ErrorContains(t, err, "has no partition 9: it has 3")
	})
}

func moment(t *testing.T, text string) Moment {
	t.Helper()
	m, err := ParseMoment(text)
	require.NoError(t, err)
	return m
}

// A tenth of a second's records go together, so in any second there are at most that
// many more than the rate.
func TestRate(t *testing.T) {
	for _, rate := range []int{3, 40, 1000} {
		inWorld(t, func(t *testing.T, w *world) {
			const n = 120
			w.letters(n)
			start := time.Now()
			w.run(func(c *Config) { c.Rate = rate })
			took := time.Since(start)
			batch := max(rate/10, 1)
			least := time.Duration(n-batch) * time.Second / time.Duration(rate)
			require.GreaterOrEqual(t, took, least)
			require.Less(t, took, least+least/10+time.Second)
			var times []time.Time
			for _, r := range w.read(ledgerTopic) {
				times = append(times, r.Timestamp)
			}
			require.Len(t, times, n)
			for i := range times {
				within := 0
				for j := i; j < n && times[j].Sub(times[i]) < time.Second; j++ {
					within++
				}
				require.LessOrEqual(t, within, rate+batch)
			}
		})
	}
}

func TestWhatStandsInTheWayIsNamed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letter(0, plain(0), event.NoType)
		foreign := event.Record{Topic: "other.events", Partition: 1, Key: []byte("a"), Timestamp: time.Now()}
		w.produce(lettersTopic, 0, event.DeadLetter(&foreign, event.Empty))
		w.produce(lettersTopic, 0, event.Record{Value: []byte("no dead letter")})
		report, err := w.try()
		require.ErrorIs(t, err, ErrLeft)
		require.Equal(t, []Group{
			{Back, "no_type", "source0", eventsTopic, "dead letter: no_type"},
			{Refused, "empty", "a", "", "stood in topic other.events"},
			{Result(Unreadable), "", "", "", ""},
		}, report.Sorted())
	})
}

func TestAnEventThatTheTopicDoesNotTakeStaysAside(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		events, _, err := kafka.Describe(t.Context(), w.client, eventsTopic)
		require.NoError(t, err)
		w.letter(0, event.Record{Key: []byte("a"), Value: random(events.MaxMessageBytes - 200)}, event.Malformed)
		w.letter(1, event.Record{Key: []byte("a"), Value: []byte(strings.Repeat("x", 2*events.MaxMessageBytes))}, event.Malformed)
		w.letters(3)
		report := w.run()
		require.EqualValues(t, 5, report.Count(Back), "what came in comes back, compressed as it was")
		w.letter(0, event.Record{Key: []byte("a"), Value: random(events.MaxMessageBytes - 60)}, event.Malformed)
		report, err = w.try()
		require.ErrorIs(t, err, ErrLeft)
		require.EqualValues(t, 1, report.Count(Refused))
		require.Contains(t, report.Sorted()[0].Becomes, "raise max.message.bytes of topic weir.events to ")
	})
}

// A ledger that is not the ledger says nothing about what came back.
func TestStrangeLedger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(1)
		w.run()
		w.produce(ledgerTopic, 0, event.Record{Key: []byte("x"), Value: []byte("y")})
		w.letters(1)
		_, err := w.try()
		require.ErrorContains(t, err, "somebody else writes to this topic")
		require.Len(t, w.read(eventsTopic), 1)
	})
}

// Nor does one whose records go.
func TestLedgerThatForgets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(1)
		for _, c := range []struct{ policy, age, bytes, says string }{
			{"delete", "604800000", "-1", `retention.ms is "604800000"`},
			{"compact,delete", "-1", "1000", `retention.bytes is "1000"`},
			{"compact", "604800000", "-1", ""},
			{"delete", "-1", "-1", ""},
		} {
			topic := "ledger-" + strconv.Itoa(len(c.says)) + c.policy[:2]
			require.NoError(t, kafka.EnsureTopics(t.Context(), w.client, []kafka.TopicSpec{{Name: topic, Partitions: 1, Replication: 1, Config: map[string]string{
				"cleanup.policy": c.policy, "retention.ms": c.age, "retention.bytes": c.bytes,
			}}}))
			_, err := w.try(func(cfg *Config) { cfg.RedrivenTopic = topic })
			if c.says == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "set it to -1")
			require.Empty(t, w.read(eventsTopic))
		}
	})
}

func TestBrokersAndTopicsThatAreNotThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.try(func(c *Config) { c.Topic = "nowhere" })
		require.ErrorIs(t, err, kafka.ErrNoTopic)
		_, err = w.try(func(c *Config) { c.Aside.Topic = "nowhere" })
		require.ErrorIs(t, err, kafka.ErrNoTopic)
	})
}

func TestValidate(t *testing.T) {
	good := Config{Look: Look{
		Kafka: kafka.Config{Brokers: []string{"a:1"}}, RedrivenTopic: "r", MaxAttempts: 1, Aside: Aside{DeadLetters, "d"},
	}, Topic: "t", TopicReplication: 1}
	require.Empty(t, good.Validate())
	bad := good
	bad.Kafka.Brokers = nil
	bad.MaxAttempts, bad.Max, bad.Rate, bad.TopicReplication = 0, -1, -1, 0
	bad.Since, bad.Until = moment(t, "1h"), moment(t, "2h")
	bad.Partition, bad.Offset = []int32{-1, 2}, []int64{-1}
	bad.AsSource, bad.Topic, bad.RedrivenTopic = "no source", "d", "a b"
	bad.Aside.Kind = Rejected
	var text []string
	for _, err := range bad.Validate() {
		text = append(text, err.Error())
	}
	require.Equal(t, []string{
		"kafka-brokers: at least one broker is needed, as host:port",
		"max-attempts: 0 is not between 1 and 1000",
		"until: 2h is not after since, 1h",
		"partition: -1 is no partition",
		"offset: -1 is no offset",
		"offset: needs one partition to go with: name it with partition",
		"max: -1 is negative",
		"rate: -1 is negative",
		`as-source: "no source" is no source id: want up to 128 of letters, digits, dot, underscore, hyphen`,
		"topic-replication: 0 is not between 1 and 15",
		`redriven-topic: "a b" is no name for a topic`,
		`topic: "d" is rejected-topic already`,
	}, text)
	_, err := Run(t.Context(), bad)
	require.Error(t, err)
	bad = good
	bad.Value = []byte("x")
	require.Len(t, bad.Validate(), 1)
}

func TestReportIsBounded(t *testing.T) {
	var r Report
	for i := range 3 * maxGroups {
		r.add(Group{Result: Back, Source: strconv.Itoa(i)}, &Letter{Bytes: 2})
	}
	require.Len(t, r.Groups, maxGroups+1)
	require.EqualValues(t, 3*maxGroups, r.Count(Back))
	require.Equal(t, Group{Result: Back, Reason: others, Source: others}, r.Sorted()[0])
}

func TestInterrupted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(10)
		cfg := w.config()
		cfg.Rate = 1
		ctx, cancel := contextWithStop(t)
		cfg.Progress = func(text string) {
			if strings.HasPrefix(text, "4 records") {
				cancel(errors.New("a signal"))
			}
		}
		report, err := Run(ctx, cfg)
		require.ErrorIs(t, err, ErrInterrupted)
		require.EqualValues(t, 4, report.Count(Back))
		require.EqualValues(t, 6, w.run().Count(Back))
		w.requireOnce(plains(10)...)
	})
}
