package gateway

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/event"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
)

// crowd are users of source1, who post one event after the other, each numbered.
type crowd struct {
	b     *bubble
	size  int // of an event, in bytes, and some
	posts sync.WaitGroup
	stop  chan struct{}
	sent  []int // by user: how many events were answered 200
	again []int // and how often one was sent again
}

// gather lets n users post every pause, to one of the gateways after the other.
func (b *bubble) gather(n, size int, pause time.Duration, addrs ...string) *crowd {
	c := &crowd{b: b, size: size, stop: make(chan struct{}), sent: make([]int, n), again: make([]int, n)}
	for u := range n {
		c.posts.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-c.stop:
					return
				case <-time.After(pause):
				}
				if c.post(addrs[i%len(addrs)], u, c.sent[u]) {
					c.sent[u]++
				} else {
					c.again[u]++
				}
			}
		})
	}
	return c
}

func numbered(user, n, size int) string {
	return fmt.Sprintf(`{"type":"track","event":"e","userId":"user-%d","messageId":"%d/%d","properties":{"x":%q}}`, user, user, n, strings.Repeat("x", size))
}

func (c *crowd) post(addr string, user, n int) (taken bool) {
	r, err := http.NewRequest("POST", "http://"+addr+"/v1/track", strings.NewReader(numbered(user, n, c.size)))
	require.NoError(c.b.t, err)
	r.Header.Set("Authorization", basicKey1)
	start := time.Now()
	resp, err := c.b.http.Do(r)
	require.NoError(c.b.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(c.b.t, err)
	require.LessOrEqual(c.b.t, time.Since(start), c.b.cfg.AckDeadline)
	return resp.StatusCode == 200
}

// leave ends the crowd and waits until everything is in Kafka.
func (c *crowd) leave() {
	close(c.stop)
	c.posts.Wait()
	time.Sleep(20 * time.Second)
}

// requireOrder requires that every user's events stand in Kafka in order by (epoch, offset), those of one epoch in one
// partition: that of the key and as many further as the lane says. Those that were sent once stand there once.
func (c *crowd) requireOrder() (fanouts []int) {
	t := c.b.t
	t.Helper()
	byUser := make([][]placed, len(c.sent))
	base := int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte("source1")}, int(c.b.cfg.TopicPartitions)))
	for _, r := range c.b.read(c.b.cfg.Topic) {
		p := placeOf(t, r)
		require.Equal(t, (base+int32(p.lane.Lane))%c.b.cfg.TopicPartitions, r.Partition)
		user, n, _ := strings.Cut(p.id, "/")
		u, err := strconv.Atoi(user)
		require.NoError(t, err)
		p.n, err = strconv.Atoi(n)
		require.NoError(t, err)
		byUser[u] = append(byUser[u], p)
		for len(fanouts) <= int(p.lane.Epoch) {
			fanouts = append(fanouts, 0)
		}
		fanouts[p.lane.Epoch] = p.lane.Fanout
	}
	for u, list := range byUser {
		c.requireOrderOf(u, list)
	}
	return fanouts
}

func (c *crowd) requireOrderOf(u int, list []placed) {
	t := c.b.t
	t.Helper()
	slices.SortFunc(list, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.lane.Epoch, b.lane.Epoch), cmp.Compare(a.offset, b.offset))
	})
	in := map[int64]int32{} // epoch → partition
	next := 0
	for _, p := range list {
		if at, there := in[p.lane.Epoch]; there {
			require.Equal(t, at, p.partition, "user %d has one partition in epoch %d", u, p.lane.Epoch)
		}
		in[p.lane.Epoch] = p.partition
		if p.n != next {
			require.Equal(t, next-1, p.n, "user %d: only what was sent again stands twice", u)
			require.Positive(t, c.again[u])
			continue
		}
		next++
	}
	require.Equal(t, c.sent[u], next, "user %d", u)
}

// placed is where an event stands.
type placed struct {
	lane      event.Lane
	partition int32
	offset    int64
	id        string
	n         int
}

func placeOf(t *testing.T, r *kgo.Record) placed {
	t.Helper()
	p := placed{lane: event.Lane{Fanout: 1}, partition: r.Partition, offset: r.Offset, id: fields(t, r.Value)["messageId"].(string)}
	if text := headerOf(r, event.HeaderFanout); text != "" {
		l, ok := event.ParseLane([]byte(text))
		require.True(t, ok, text)
		p.lane = l
	}
	return p
}

// hotAt lets one partition take little of one source.
func hotAt(rate int) func(*Config) {
	return func(c *Config) { c.FanoutRate = settings.Bytes(rate) }
}

// fanout writes what the fleet would: over how many partitions source1 goes.
func (b *bubble) fanout(fanout, epoch int) {
	b.raw(func(cl *kgo.Client) {
		r := &kgo.Record{Topic: b.cfg.FanoutTopic, Key: []byte("source1"), Value: fmt.Appendf(nil, `{"fanout":%d,"epoch":%d,"rate":1}`, fanout, epoch)}
		require.NoError(b.t, cl.ProduceSync(b.t.Context(), r).FirstErr())
	})
}

// words are what the topic of the fan-outs was told, in its order; compaction takes none away.
type words struct {
	mu   sync.Mutex
	list []string
}

// hear listens to the topic from now on, until the bubble ends.
func (b *bubble) hear() *words {
	b.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cfg.Brokers...), kgo.Dialer(b.net.DialContext), kgo.ConsumeTopics(b.cfg.FanoutTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(b.t, err)
	w, done := new(words), make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetches := cl.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			w.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) {
				f := fields(b.t, r.Value)
				w.list = append(w.list, fmt.Sprintf("%s: %v/%v", r.Key, f["fanout"], f["epoch"]))
			})
			w.mu.Unlock()
		}
	}()
	b.t.Cleanup(func() {
		cl.Close()
		<-done
	})
	return w
}

func (w *words) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// beside runs one more gateway on the same topics.
func (b *bubble) beside(addr string) (stop func()) {
	b.t.Helper()
	cfg := b.cfg
	cfg.Listen = addr
	g, err := wire(cfg, telemetry.Discard(), edges{listen: b.net.Listen, client: []kgo.Opt{kgo.Dialer(b.net.DialContext)}})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- g.run(ctx, func(addr string) { ready <- addr }) }()
	<-ready
	return func() {
		b.http.CloseIdleConnections()
		cancel()
		require.NoError(b.t, <-done)
	}
}

// A source that sends more than one partition should take goes over two, then over four, while its users post on: every
// event stands in Kafka once, and each user's in their order. An hour after it has become quiet there are two again, and
// then one.
func TestAHotSource(t *testing.T) {
	inBubble(t, hotAt(2000), func(t *testing.T, b *bubble) {
		b.broker()
		topic := b.hear()
		users := b.gather(10, 700, time.Second, virtualAddr) // about 9 KB/s
		time.Sleep(35 * time.Second)
		users.leave()
		require.Equal(t, []int{1, 2, 4}, users.requireOrder())
		require.Equal(t, []string{"source1: 2/1", "source1: 4/2"}, topic.said())
		seen := map[int32]bool{}
		for _, r := range b.read(b.cfg.Topic) {
			seen[r.Partition] = true
			require.Equal(t, "source1", string(r.Key))
		}
		require.Len(t, seen, 4)

		time.Sleep(time.Hour)
		a, _ := b.post("half")
		require.Equal(t, 200, a.status)
		time.Sleep(time.Hour)
		a, _ = b.post("one")
		require.Equal(t, 200, a.status)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"source1: 2/1", "source1: 4/2", "source1: 2/3", "source1: 1/4"}, topic.said())
		for _, r := range b.read(b.cfg.Topic) {
			switch p := placeOf(t, r); p.id {
			case "half":
				require.Equal(t, event.Lane{Lane: p.lane.Lane, Fanout: 2, Epoch: 3}, p.lane)
			case "one":
				require.Equal(t, event.Lane{Fanout: 1, Epoch: 4}, p.lane, "the epoch stays in force")
			}
		}
	})
}

// What is needed stays: the record is renewed, and nothing changes.
func TestAFanoutThatIsNeeded(t *testing.T) {
	inBubble(t, hotAt(2000), func(t *testing.T, b *bubble) {
		b.broker()
		topic := b.hear()
		users := b.gather(1, 5000, 2*time.Second, virtualAddr) // about 2.7 KB/s
		time.Sleep(35 * time.Minute)
		users.leave()
		require.Equal(t, []int{1, 2}, users.requireOrder())
		said := topic.said()
		require.Len(t, said, 4, "at first, and after 10, 20 and 30 minutes")
		for _, s := range said {
			require.Equal(t, "source1: 2/1", s)
		}
	})
}

// A source that sends little has no header, and its partition is that of any Kafka client.
func TestUsualSourcesAreNotSpread(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		topic := b.hear()
		users := b.gather(5, 200, time.Second, virtualAddr)
		time.Sleep(time.Minute)
		users.leave()
		require.Equal(t, []int{1}, users.requireOrder())
		require.Empty(t, topic.said())
		for _, r := range b.read(b.cfg.Topic) {
			require.Empty(t, headerOf(r, event.HeaderFanout))
		}
	})
}

func TestFanoutIsOff(t *testing.T) {
	inBubble(t, func(c *Config) { c.FanoutTopic, c.FanoutRate = fanoutOff, 1 }, func(t *testing.T, b *bubble) {
		c := b.broker()
		users := b.gather(5, 200, time.Second, virtualAddr)
		time.Sleep(time.Minute)
		users.leave()
		require.Equal(t, []int{1}, users.requireOrder())
		require.Nil(t, c.TopicInfo(DefaultConfig().FanoutTopic))
		require.Equal(t, "unknown", b.dependency("fanout-topic"))
	})
}

// Gateways that share a topic agree, though each sees a part only; one that starts later knows before it takes an event.
func TestGatewaysAgreeOnAHotSource(t *testing.T) {
	inBubble(t, hotAt(1000), func(t *testing.T, b *bubble) {
		b.broker()
		topic := b.hear()
		const second, third = "127.0.0.1:8081", "127.0.0.1:8082"
		defer b.beside(second)()
		users := b.gather(10, 700, time.Second, virtualAddr, second) // about 4.5 KB/s each
		time.Sleep(time.Minute)
		defer b.beside(third)()
		require.True(t, users.post(third, 0, 1_000_000))
		users.leave()
		said := topic.said()
		require.Equal(t, "source1: 2/1", said[0])
		require.Contains(t, said, "source1: 4/2")
		require.LessOrEqual(t, len(said), 4, "at most each has written each once: %v", said)
		for _, r := range b.read(b.cfg.Topic) {
			if p := placeOf(t, r); p.id == "0/1000000" {
				require.Equal(t, 4, p.lane.Fanout)
			}
		}
	})
}

// A restart keeps the fan-out, with everything that stands in its topic.
func TestARestartKeepsTheFanout(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, hotAt(2000), func(t *testing.T, b *bubble) {
		c := b.brokerOn(dir)
		<-b.ready
		users := b.gather(10, 700, time.Second, virtualAddr)
		time.Sleep(35 * time.Second)
		users.leave()
		c.Close()
	})
	inBubble(t, hotAt(2000), func(t *testing.T, b *bubble) {
		b.brokerOn(dir)
		<-b.ready
		a, _ := b.post("first")
		require.Equal(t, 200, a.status)
		for _, r := range b.read(b.cfg.Topic) {
			if p := placeOf(t, r); p.id == "first" {
				require.Equal(t, 4, p.lane.Fanout)
				require.Equal(t, int64(2), p.lane.Epoch)
			}
		}
	})
}

// The fan-out changes, twice, while Kafka takes no events. Nothing is lost, every user's events stand in order, and with a spill each
// stands there once.
func TestASwitchWhileKafkaRefuses(t *testing.T) {
	for name, setting := range map[string]func(*Config){"with a spill": spills(t), "without": nil} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, setting, func(t *testing.T, b *bubble) {
				c := b.broker()
				users := b.gather(4, 200, 100*time.Millisecond, virtualAddr)
				time.Sleep(5 * time.Second)
				fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.cfg.Topic, Err: kerr.NotEnoughReplicas, Count: -1})
				time.Sleep(700 * time.Millisecond)
				b.fanout(2, 1)
				time.Sleep(7 * time.Second)
				b.fanout(4, 2)
				time.Sleep(7 * time.Second)
				fault.Remove()
				time.Sleep(time.Second)
				b.fanout(2, 3)
				time.Sleep(10 * time.Second)
				b.fanout(1, 4)
				time.Sleep(5 * time.Second)
				users.leave()
				fanouts := users.requireOrder()
				require.Len(t, fanouts, 5)
				require.Equal(t, 1, fanouts[4])
				if setting != nil {
					require.Equal(t, []int{1, 2, 4, 2, 1}, fanouts)
					require.Zero(t, slices.Max(users.again), "nobody is refused, and nothing stands twice")
				}
			})
		})
	}
}

// A stream has many messages on their way at each switch: every user's stand in their order.
func TestAStreamIsSpread(t *testing.T) {
	for name, away := range map[string]bool{"Kafka is there": false, "and is away at times": true} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, spills(t), 30*time.Millisecond, func(t *testing.T, b *bubble) {
				const messages = 800
				c := b.broker()
				service, closeIdle := b.rpc()
				defer closeIdle()
				s := service.IngestStream(t.Context())
				answers := listen(s)
				users := &crowd{b: b, sent: make([]int, 8), again: make([]int, 8)}
				for n := range messages {
					u := n * 7 % len(users.sent)
					sendOn(t, s, uint64(n+1), numbered(u, users.sent[u], 200))
					users.sent[u]++
					time.Sleep(10 * time.Millisecond)
					switch {
					case n%200 == 100:
						b.fanout(1<<(n/200%3), n/200+1)
					case away && n%400 == 80:
						fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.cfg.Topic, Err: kerr.NotEnoughReplicas, Count: -1})
						time.AfterFunc(3*time.Second, func() { fault.Remove() })
					}
				}
				time.Sleep(30 * time.Second)
				require.Len(t, answers.numbers, messages, "every message is answered")
				require.Equal(t, []int{1, 1, 2, 4, 1}, users.requireOrder())
				require.NoError(t, s.CloseRequest())
				require.ErrorIs(t, <-answers.end, io.EOF)
			})
		})
	}
}

// Whatever stands in the topic, a gateway goes on with what it knows.
func TestJunkInTheTopicOfFanouts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		b.fanout(2, 5)
		write := func(key, value string) {
			b.raw(func(cl *kgo.Client) {
				require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: b.cfg.FanoutTopic, Key: []byte(key), Value: []byte(value)}).FirstErr())
			})
		}
		for _, junk := range []string{"", "{", `{"fanout":3,"epoch":6}`, strings.Repeat("x", 100_000)} {
			write("source1", junk)
		}
		write("", `{"fanout":4,"epoch":6}`)
		time.Sleep(time.Second)
		a, _ := b.post("m")
		require.Equal(t, 200, a.status)
		require.Equal(t, "up", b.dependency("fanout-topic"))
		p := placeOf(t, b.read(b.cfg.Topic)[0])
		require.Equal(t, int64(5), p.lane.Epoch)
		require.Equal(t, 2, p.lane.Fanout)
	})
}

// A topic of fan-outs that cannot be used holds a start up for a while, and no longer; a topic that can be, a gateway
// follows as soon as it is there.
func TestATopicOfFanoutsThatCannotBeUsed(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := newBroker(b)
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Topic: b.cfg.FanoutTopic, Err: kerr.TopicAuthorizationFailed, Count: -1})
		start := time.Now()
		<-b.ready
		require.GreaterOrEqual(t, time.Since(start), fanoutLimit)
		require.Less(t, time.Since(start), 2*fanoutLimit)
		a, _ := b.post("m")
		require.Equal(t, 200, a.status)
		require.Equal(t, "down", b.dependency("fanout-topic"))
		time.Sleep(time.Minute)
		require.True(t, b.tel.Health.Report().Ready)
		fault.Remove()
		time.Sleep(time.Minute)
		require.Equal(t, "up", b.dependency("fanout-topic"))
	})
}

// A gateway whose word the topic swallows ends all the same.
func TestAStopWhileAFanoutIsWritten(t *testing.T) {
	inBubble(t, hotAt(1), func(t *testing.T, b *bubble) {
		c := b.broker()
		swallowed, id := make(chan struct{}), c.TopicInfo(b.cfg.FanoutTopic).TopicID
		c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				if topic.TopicID == id || topic.Topic == b.cfg.FanoutTopic {
					close(swallowed)
					return nil, nil, true
				}
			}
			return nil, nil, false
		})
		a, _ := b.post("m")
		require.Equal(t, 200, a.status)
		<-swallowed
		synctest.Wait()
		start := time.Now()
		b.stop()
		err := <-b.done
		b.done <- err
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Minute)
	})
}
