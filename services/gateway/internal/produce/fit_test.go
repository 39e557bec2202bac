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
