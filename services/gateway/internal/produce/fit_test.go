package produce

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

// Kafka's client takes a record where a batch of it alone is as long as we say that it is, and not where it may be a byte
// less.
func TestBatchSizeIsTheClients(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	text := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	for range 40 {
		rec := kgo.Record{Topic: "events", Timestamp: time.UnixMilli(rnd.Int64N(1 << 41)), Key: text(rnd.IntN(200)), Value: text(600 + rnd.IntN(20_000))}
		for range rnd.IntN(4) {
			rec.Headers = append(rec.Headers, Header{Key: string(text(rnd.IntN(80))), Value: text(rnd.IntN(300))})
		}
		for less, want := range []error{nil, kerr.MessageTooLarge} {
			synctest.Test(t, func(t *testing.T) {
				network := new(kfake.VirtualNetwork)
				cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen), kfake.SeedTopics(1, "events"))
				require.NoError(t, err)
				defer cluster.Close()
				cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(network.DialContext), kgo.ProducerBatchCompression(kgo.NoCompression()),
					kgo.ProducerBatchMaxBytes(int32(batchSize(&rec)-less)))
				require.NoError(t, err)
				defer cl.Close()
				ctx := context.Background()
				require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: "events"}).FirstErr(), "from then on it knows what the broker speaks")
				one := rec
				require.ErrorIs(t, cl.ProduceSync(ctx, &one).FirstErr(), want, "%d bytes of value", len(rec.Value))
			})
		}
	}
}

// A record that is larger than its topic takes since it was spilled is not handed to Kafka's client, which would fail it and
// take the next: its source waits, and no other. Once the topic takes it, everything comes in order.
func TestARecordThatTheTopicTakesNoMore(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.p.PresumeAway()
		back := s.away()
		large := strings.Repeat("l", 5000)
		var want []string
		for i := range 20 {
			value := fmt.Sprint("a-", i)
			if i == 5 {
				value = large
			}
			require.NoError(t, s.deliver("a", value))
			require.NoError(t, s.deliver("b", fmt.Sprint("b-", i)))
			want = append(want, value)
		}
		require.NoError(t, s.deliver("c", "c-0", large, "c-2"))
		s.end()
		back()
		s.maxima = map[string]int{"events": 2000}
		s.start(s.dir)
		time.Sleep(2 * time.Minute)
		require.Equal(t, want[:5], s.values("a"))
		require.Len(t, s.values("b"), 20)
		require.Empty(t, s.values("c"), "a request is handed as a whole")
		require.NoError(t, s.deliver("a", "behind it"))
		require.NoError(t, s.deliver("b", "directly"))
		s.mu.Lock()
		told := map[string]int{}
		for _, r := range s.returned {
			if r.Err != nil {
				told[r.Source]++
				require.ErrorIs(t, r.Err, kerr.MessageTooLarge)
				require.ErrorContains(t, r.Err, "max.message.bytes")
			}
		}
		s.mu.Unlock()
		require.Len(t, told, 2)
		require.InDelta(t, 4, told["a"], 1)
		require.InDelta(t, 4, told["c"], 1)
		s.end()

		s.maxima = nil
		s.start(s.dir)
		time.Sleep(time.Minute)
		require.Equal(t, append(want, "behind it"), s.values("a"))
		require.Equal(t, []string{"c-0", large, "c-2"}, s.values("c"))
		require.False(t, s.log.Holds())
	})
}

// fill spills requests of a source, a record each, as fast as the disk takes them.
func (s *stage) fill(key string, values ...string) {
	var last spill.Ticket
	for _, v := range values {
		frame := segment.BeginRequest(nil, segment.Request{At: time.Now().UnixMilli(), Key: []byte(key), Records: 1})
		frame = segment.End(segment.AppendRecord(frame, "events", time.Now().UnixMilli(), []byte(v), 0, false), 0)
		var err error
		last, err = s.log.Put(frame, []byte(key), 1, false)
		require.NoError(s.t, err)
	}
	require.NoError(s.t, s.log.Wait(last, nil))
}

// Of a source that is passed over the first request alone is parked, and none that is read meanwhile goes into a round,
// although the first is on its way.
func TestWhatIsPassedOver(t *testing.T) {
	log, err := spill.Open(spill.Options{Dir: t.TempDir(), Size: 1 << 20, Observe: func(spill.Commit) {}})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close(t.Context())) }()
	s := &stage{t: t, log: log}
	s.fill("a", "0", "1", "2")
	s.fill("b", "0")
	x := &replay{
		p:     &Producer{opts: Options{Spill: log, Limits: new(Limits), Topics: []string{"events"}, Returned: func(Return) {}}},
		stuck: map[string]time.Time{}, passed: map[string]bool{}, turned: map[string]bool{},
	}
	next := func(blocked map[string]bool) (keys []string) {
		r := newRound(1 << 20)
		require.NoError(t, x.unpark(r, blocked))
		require.NoError(t, x.readOn(r, blocked))
		for _, l := range r.cargos {
			keys = append(keys, l.entry.Key)
		}
		return keys
	}
	require.Equal(t, []string{"b"}, next(map[string]bool{"a": true}))
	require.Len(t, x.parked, 3)
	x.stick("a", kerr.PolicyViolation)
	require.Empty(t, next(map[string]bool{"a": true}))
	require.Len(t, x.parked, 1)

	s.fill("a", "3")
	s.fill("b", "1")
	delete(x.stuck, "a")
	first := x.parked[0].ID
	require.Equal(t, []string{"a", "b"}, next(map[string]bool{}))
	require.Empty(t, x.parked)

	x.rewind()
	x.stuck["a"] = time.Now()
	require.Equal(t, []string{"b", "b"}, next(map[string]bool{"a": true}))
	require.Len(t, x.parked, 1)
	require.Equal(t, first, x.parked[0].ID)
}

// However much a source has in the spill of which Kafka refuses a record: nobody waits behind it but itself.
func TestAPoisonedSourceHoldsUpNobodyElse(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.p.PresumeAway()
		back := s.away()
		want := []string{"before it", strings.Repeat("l", 5000)}
		for i := range 2 * maxParked {
			want = append(want, fmt.Sprint("a-", i))
		}
		s.fill("a", want...)
		s.fill("b", "b-0", "b-1")
		s.end()
		back()
		s.maxima = map[string]int{"events": 2000}
		s.start(s.dir)
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"b-0", "b-1"}, s.values("b"))
		require.NoError(t, s.deliver("b", "directly"))
		require.NoError(t, s.deliver("a", "behind them"))
		require.Equal(t, want[:1], s.values("a"))
		s.end()

		s.maxima = nil
		s.start(s.dir)
		time.Sleep(time.Minute)
		require.Equal(t, append(want, "behind them"), s.values("a"))
		require.False(t, s.log.Holds())
	})
}
