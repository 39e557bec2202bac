package produce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/kafka/kafkatest"
	"weir/services/gateway/internal/spill"
	"weir/services/gateway/internal/spill/segment"
)

// stage is a producer with a spill, on a virtual broker in virtual time.
type stage struct {
	t        *testing.T
	net      *kfake.VirtualNetwork
	cluster  *kfake.Cluster
	log      *spill.Log
	p        *Producer
	h        *Hangar
	mu       sync.Mutex
	returned []Return
	looked   []Look
	closed   bool           // the log, by the test
	lose     atomic.Bool    // the next answer to a produce request
	maxima   map[string]int // max.message.bytes, by topic; absent = the client's default

	dir       string
	stop      func()
	replaying sync.WaitGroup
}

func onStage(t *testing.T, f func(t *testing.T, s *stage)) { onStageAfter(t, nil, f) }

// onStageAfter does something with the spill's folder before the producer starts.
func onStageAfter(t *testing.T, before func(t *testing.T, s *stage, dir string), f func(t *testing.T, s *stage)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, net: new(kfake.VirtualNetwork), h: NewHangar(64 << 20)}
		var err error
		s.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(s.net.Listen), kfake.SeedTopics(2, "events", "rejected"))
		require.NoError(t, err)
		defer s.cluster.Close()
		if before != nil {
			before(t, s, dir)
		}
		s.start(dir)
		defer func() {
			s.end()
			synctest.Wait()
			require.Zero(t, s.h.Budget.Used(), "everything is given back")
		}()
		f(t, s)
	})
}

// start begins a process.
func (s *stage) start(dir string) {
	var err error
	s.dir = dir
	s.log, err = spill.Open(spill.Options{Dir: dir, Size: 1 << 30, Observe: func(spill.Commit) {}})
	require.NoError(s.t, err)
	client := func(opts []kgo.Opt) *kgo.Client {
		cl, err := s.client(append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))...)
		require.NoError(s.t, err)
		return cl
	}
	limits := new(Limits)
	limits.Set(s.maxima)
	s.p = New(client(ClientOptions(5*time.Second, s.h.Budget.Limit(), limits, true)), Options{
		Topics: []string{"events", "rejected"}, Deadline: 5 * time.Second, Observe: func(Delivery) {},
		Spill: s.log, Replayer: client(ReplayOptions(5*time.Second, limits)), Limits: limits, Reader: s.client,
		Looked: func(l Look) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.looked = append(s.looked, l)
		},
		Returned: func(r Return) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.returned = append(s.returned, r)
		},
	})
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	s.replaying.Go(func() { require.NoError(s.t, s.p.Replay(ctx, s.h.Budget)) })
}

// end stops it as a gateway stops.
func (s *stage) end() {
	s.stop()
	s.replaying.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.p.Close(ctx)
	if !s.closed {
		require.NoError(s.t, s.log.Close(context.Background()))
	}
}

func (s *stage) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := s.net.DialContext(ctx, network, addr)
		return &losing{Conn: conn, lose: &s.lose}, err
	}))...)
}

// losing breaks before the answer to a produce request, where it is told to.
type losing struct {
	net.Conn
	produces atomic.Bool
	lose     *atomic.Bool
}

func (c *losing) Write(b []byte) (int, error) {
	if len(b) > 6 && b[4] == 0 && b[5] == byte(kmsg.Produce) {
		c.produces.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *losing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.produces.Load() && c.lose.CompareAndSwap(true, false) {
		return 0, errors.Join(io.EOF, c.Conn.Close())
	}
	return n, err
}

// deliver sends values of a source, each a record.
func (s *stage) deliver(key string, values ...string) error {
	f, ok := s.h.Begin(key, 1)
	require.True(s.t, ok)
	defer f.Release()
	require.True(s.t, f.Room(len(values)))
	f.Headers = append(f.Headers, Header{Key: "weir-received-at", Value: []byte("then")}, Header{Key: "weir-request-id", Value: []byte("id of " + values[0])})
	for _, v := range values {
		f.Add("events", []byte(key), []byte(v), time.Now(), f.Headers)
	}
	return s.p.Deliver(f)
}

func (s *stage) away() func() {
	return s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1}).Remove
}

func (s *stage) read(topic string) []*kgo.Record {
	s.t.Helper()
	return kafkatest.ReadAll(s.t, topic, kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(s.net.DialContext))
}

func (s *stage) values(key string) (list []string) {
	for _, r := range s.read("events") {
		if string(r.Key) == key {
			list = append(list, string(r.Value))
		}
	}
	return list
}

// A record that waited in the spill is the record that would have been: key, value, headers, timestamp, topic.
func TestSpilledRecordsAreTheSame(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.p.PresumeAway()
		back := s.away()
		at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		f, ok := s.h.Begin("source1", 1)
		require.True(t, ok)
		require.True(t, f.Room(3))
		shared := []Header{{Key: "weir-received-at", Value: []byte("2026-11-29T09:00:00.000Z")}, {Key: "weir-request-id", Value: []byte("r1")}}
		own := append(shared[:2:2], Header{Key: "weir-rejected-reason", Value: []byte("id_required")}, Header{Key: "empty", Value: nil})
		f.Add("events", []byte("source1"), []byte(`{"n":1}`), at, shared)
		f.Add("events", []byte("source1"), []byte(`{"n":2}`), at, shared)
		f.Add("rejected", []byte("source1"), []byte("\x00not json\xff"), at, own)
		require.NoError(t, s.p.Deliver(f))
		f.Release()
		time.Sleep(time.Minute)
		back()
		time.Sleep(10 * time.Second)
		events, rejected := s.read("events"), s.read("rejected")
		require.Len(t, events, 2)
		require.Len(t, rejected, 1)
		for i, r := range append(events, rejected...) {
			require.Equal(t, "source1", string(r.Key))
			require.Equal(t, []string{`{"n":1}`, `{"n":2}`, "\x00not json\xff"}[i], string(r.Value))
			require.True(t, at.Equal(r.Timestamp), r.Timestamp)
			want := shared
			if i == 2 {
				want = own
			}
			require.Len(t, r.Headers, len(want))
			for j, h := range want {
				require.Equal(t, h.Key, r.Headers[j].Key)
				require.Equal(t, string(h.Value), string(r.Headers[j].Value))
			}
		}
	})
}

// Of a request of which Kafka took a part, the rest is spilled and written, no more.
func TestPartOfARequest(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		refuse := func(partition int32) func() {
			return s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "rejected", Err: kerr.NotEnoughReplicas, Count: -1}).Remove
		}
		back := refuse(0)
		f, ok := s.h.Begin("a", 1)
		require.True(t, ok)
		require.True(t, f.Room(2))
		f.Add("events", []byte("a"), []byte("taken"), time.Now(), nil)
		f.Add("rejected", []byte("a"), []byte("not taken"), time.Now(), nil)
		start := time.Now()
		require.NoError(t, s.p.Deliver(f))
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
		f.Release()
		require.NoError(t, s.deliver("a", "next"), "it waits behind the part that is missing")
		require.NoError(t, s.deliver("b", "another source"))
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"another source"}, s.values("b"), "and nobody else does")
		back()
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"taken", "next"}, s.values("a"))
		require.Len(t, s.read("rejected"), 1)
		require.False(t, s.log.Holds())
	})
}

// A record that Kafka refuses for what it is makes its source wait, and no other, not even those that share its batch;
// when the topic takes it, everything comes in order.
func TestARecordThatKafkaRefuses(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		want := map[string][]string{}
		for i := range 30 {
			key := fmt.Sprint("source", i%6)
			value := fmt.Sprint(key, "-", i)
			if i == 8 {
				value = "poison"
			}
			require.NoError(t, s.deliver(key, value))
			want[key] = append(want[key], value)
		}
		var heals sync.Once
		healed := make(chan struct{})
		s.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			s.cluster.KeepControl()
			select {
			case <-healed:
				return nil, nil, false
			default:
			}
			p := req.(*kmsg.ProduceRequest)
			resp := p.ResponseKind().(*kmsg.ProduceResponse)
			poisoned := false
			for _, t := range p.Topics {
				rt := kmsg.NewProduceResponseTopic()
				rt.Topic, rt.TopicID = t.Topic, t.TopicID
				for _, part := range t.Partitions {
					rp := kmsg.NewProduceResponseTopicPartition()
					rp.Partition = part.Partition
					rp.ErrorCode = kerr.NotEnoughReplicas.Code
					if bytes.Contains(part.Records, []byte("poison")) {
						rp.ErrorCode, poisoned = kerr.MessageTooLarge.Code, true
					}
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, poisoned
		})
		back()
		time.Sleep(time.Minute)
		for key, values := range want {
			if key == "source2" {
				require.Equal(t, values[:1], s.values(key))
				require.Contains(t, values, "poison")
				continue
			}
			require.Equal(t, values, s.values(key))
		}
		s.mu.Lock()
		stuck := 0
		for _, r := range s.returned {
			if r.Err != nil {
				stuck++
				require.Equal(t, "source2", r.Source)
				require.ErrorIs(t, r.Err, kerr.MessageTooLarge)
			}
		}
		s.mu.Unlock()
		require.Positive(t, stuck)
		require.LessOrEqual(t, stuck, 3)
		require.NoError(t, s.deliver("source1", "directly"))
		require.NoError(t, s.deliver("source2", "behind the poison"))
		heals.Do(func() { close(healed) })
		time.Sleep(2 * time.Minute)
		require.Equal(t, append(want["source2"], "behind the poison"), s.values("source2"))
		require.False(t, s.log.Holds())
	})
}

// A record that Kafka refuses at the door is refused as it always was: nothing of it is spilled.
func TestRefusedDirectly(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord})
		require.ErrorIs(t, s.deliver("a", "invalid"), kerr.InvalidRecord)
		require.False(t, s.log.Holds())
	})
}

// While the spill is given back under load, sources turn to Kafka directly again: the spill gets empty although requests
// never pause.
func TestTurnUnderLoad(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		var posting sync.WaitGroup
		stop := make(chan struct{})
		sent := make([]int, 4)
		for c := range sent {
			posting.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					require.NoError(t, s.deliver("busy", fmt.Sprintf("%d-%d", c, sent[c])))
					sent[c]++
					time.Sleep(15 * time.Millisecond)
				}
			})
		}
		time.Sleep(5 * time.Second)
		back()
		empty := false
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			if empty = !s.log.Holds(); empty {
				break
			}
		}
		require.True(t, empty)
		close(stop)
		posting.Wait()
		time.Sleep(10 * time.Second)
		next := make([]int, len(sent))
		for _, v := range s.values("busy") {
			var c, n int
			_, err := fmt.Sscanf(v, "%d-%d", &c, &n)
			require.NoError(t, err)
			require.Equal(t, next[c], n, "client %d", c)
			next[c]++
		}
		require.Equal(t, sent, next)
	})
}

// Where the disk takes nothing, requests have what they had without a spill: Kafka, or a refusal in time.
func TestTheDiskTakesNothing(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		require.NoError(t, s.deliver("a", "spilled"))
		require.NoError(t, s.log.Close(t.Context()))
		s.closed = true
		start := time.Now()
		require.ErrorIs(t, s.deliver("a", "behind it"), spill.ErrClosed, "it must not overtake")
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, s.deliver("b", "refused"), ErrLate)
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
		back()
		require.NoError(t, s.deliver("b", "directly"))
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"spilled"}, s.values("a"), "what it holds is given back")
		require.NoError(t, s.deliver("a", "directly"))
	})
}

// A process was killed while it gave three requests back: Kafka has all of one, a part of another, and nothing of the third.
// The next one finds out, and completes each.
func TestWhatAKilledProcessHadOnItsWay(t *testing.T) {
	for name, denied := range map[string]bool{"found": false, "not to be read": true} {
		t.Run(name, func(t *testing.T) {
			record := func(request, value string) kgo.Record {
				return kgo.Record{
					Topic: "events", Key: []byte("a"), Value: []byte(value), Timestamp: time.Now().Add(-time.Minute).Truncate(time.Millisecond),
					Headers: []kgo.RecordHeader{{Key: "weir-request-id", Value: []byte(request)}},
				}
			}
			before := func(t *testing.T, s *stage, dir string) {
				log, err := spill.Open(spill.Options{Dir: dir, Size: 1 << 30, Observe: func(spill.Commit) {}})
				require.NoError(t, err)
				var ids []segment.ID
				for i, request := range []string{"r1", "r2", "r3", "r4"} {
					f := &Flight{records: []kgo.Record{record(request, request+" x"), record(request, request+" y"), record(request, request+" y")}}
					frame := f.encode(nil, segment.Request{At: 1, Open: i == 0, Key: []byte("a"), Records: 3}, func(int) bool { return true })
					ticket, err := log.Put(frame, []byte("a"), 3, i == 0)
					require.NoError(t, err)
					require.NoError(t, log.Wait(ticket, nil))
					if i > 0 && i < 3 {
						ids = append(ids, segment.ID(i+1))
					}
				}
				require.NoError(t, log.Hand(t.Context(), ids))
				require.NoError(t, log.Close(t.Context()))
				cl, err := s.client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
				require.NoError(t, err)
				defer cl.Close()
				for _, r := range []kgo.Record{record("r0", "r1 x"), record("r1", "r1 x"), record("r1", "r1 y"), record("r1", "r1 y"), record("r2", "r2 x"), record("r2", "r2 y"), record("r4", "r4 x")} {
					require.NoError(t, cl.ProduceSync(t.Context(), &r).FirstErr())
				}
				if denied {
					s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.TopicAuthorizationFailed, Count: -1})
				}
			}
			onStageAfter(t, before, func(t *testing.T, s *stage) {
				time.Sleep(20 * time.Second)
				require.False(t, s.log.Holds())
				s.mu.Lock()
				defer s.mu.Unlock()
				require.Len(t, s.looked, 1)
				require.Equal(t, 3, s.looked[0].Requests)
				if denied {
					require.ErrorIs(t, s.looked[0].Err, kerr.TopicAuthorizationFailed)
					require.EqualValues(t, 7+12, stored(s.cluster), "all of it again, rather than none")
					return
				}
				require.NoError(t, s.looked[0].Err)
				require.Equal(t, 5, s.looked[0].Found)
				got := s.values("a")
				require.Equal(t, []string{"r1 x", "r1 x", "r1 y", "r1 y", "r2 x", "r2 y", "r4 x"}, got[:7])
				require.Equal(t, []string{"r2 y", "r3 x", "r3 y", "r3 y", "r4 x", "r4 y", "r4 y"}, got[7:], "r4 was in no doubt: another wrote a record like it")
			})
		})
	}
}

// stored counts the records of the events topic in the broker itself.
func stored(c *kfake.Cluster) (n int64) {
	for _, p := range c.PartitionInfos("events") {
		n += p.HighWatermark
	}
	return n
}

// A request that is larger than a round comes back too.
func TestLargeRequest(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		back := s.away()
		values := make([]string, 12)
		for i := range values {
			values[i] = fmt.Sprint(i, strings.Repeat("x", 400_000))
		}
		require.NoError(t, s.deliver("a", "small"))
		require.NoError(t, s.deliver("a", values...))
		require.NoError(t, s.deliver("a", "last"))
		back()
		time.Sleep(20 * time.Second)
		got := s.values("a")
		require.Len(t, got, 14)
		require.Equal(t, append(append([]string{"small"}, values...), "last"), got)
	})
}

func BenchmarkDeliver(b *testing.B) {
	for _, withSpill := range []bool{false, true} {
		b.Run(fmt.Sprint("spill=", withSpill), func(b *testing.B) {
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "events"))
			require.NoError(b, err)
			defer c.Close()
			c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) { c.KeepControl(); return nil, nil, false })
			h := NewHangar(256 << 20)
			client, err := kgo.NewClient(append(ClientOptions(5*time.Second, h.Budget.Limit(), new(Limits), withSpill), kgo.SeedBrokers(c.ListenAddrs()...))...)
			require.NoError(b, err)
			o := Options{Topics: []string{"events"}, Deadline: 5 * time.Second, Observe: func(Delivery) {}, Returned: func(Return) {}}
			if withSpill {
				o.Spill, err = spill.Open(spill.Options{Dir: b.TempDir(), Size: 1 << 30, Observe: func(spill.Commit) {}})
				require.NoError(b, err)
				defer func() { _ = o.Spill.Close(b.Context()) }()
			}
			p := New(client, o)
			defer p.Close(context.Background())
			value := make([]byte, 935)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					f, ok := h.Begin("a", 1)
					if !ok || !f.Room(20) {
						b.Error("the budget is used up")
						return
					}
					for range 20 {
						f.Add("events", []byte("source1"), value, time.Now(), nil)
					}
					if err := p.Deliver(f); err != nil {
						b.Error(err)
						return
					}
					f.Release()
				}
			})
		})
	}
}
