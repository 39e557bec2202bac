package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/kafka/kafkatest"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
)

// spills is a gateway with a spill.
func spills(t *testing.T) func(*Config) {
	dir := t.TempDir()
	return func(c *Config) { c.Spill = filepath.Join(dir, "spill") }
}

// brokerOn starts Kafka on a folder, so that it can be stopped and come back.
func (b *bubble) brokerOn(dir string) *kfake.Cluster {
	b.t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(b.net.Listen), kfake.DataDir(dir))
	require.NoError(b.t, err)
	b.t.Cleanup(c.Close)
	return c
}

// ids reads the messageIds of each source, in the order in which Kafka has them.
func (b *bubble) ids(topic string) map[string][]string {
	b.t.Helper()
	list := map[string][]string{}
	for _, r := range b.read(topic) {
		list[string(r.Key)] = append(list[string(r.Key)], fields(b.t, r.Value)["messageId"].(string))
	}
	return list
}

func (b *bubble) read(topic string) []*kgo.Record {
	b.t.Helper()
	return kafkatest.ReadAll(b.t, topic, kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(b.net.DialContext))
}

// sourceKeys are two sources; by their keys they are posted.
var sourceKeys = map[string]string{"source1": basicKey1, "foobar": "Basic a2V5Mjo="}

// postFor sends an event for a source.
func (b *bubble) postFor(source, id string) (answer, time.Duration) {
	b.t.Helper()
	return b.send(source, track(id))
}

func (b *bubble) send(source, body string) (answer, time.Duration) {
	b.t.Helper()
	r, err := http.NewRequest("POST", "http://"+virtualAddr+"/v1/track", strings.NewReader(body))
	require.NoError(b.t, err)
	r.Header.Set("Authorization", sourceKeys[source])
	start := time.Now()
	resp, err := b.http.Do(r)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return answer{resp.StatusCode, resp.Header, string(text), resp.Close}, time.Since(start)
}

// Kafka is away for minutes, in several ways. Every request is answered 200 within the deadline; afterwards Kafka
// has every event once, those of each source in their order, and the folder is empty.
func TestKafkaIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		minutes int // of five-second pauses between requests
		away    func(b *bubble, c *kfake.Cluster, dir string) (back func())
	}{
		"the broker is gone": {10, func(b *bubble, c *kfake.Cluster, dir string) func() {
			c.Close()
			return func() { b.brokerOn(dir) }
		}},
		"it refuses": {2, func(_ *bubble, c *kfake.Cluster, _ string) func() { // and is asked again four times a second
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
			return fault.Remove
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, setting := t.TempDir(), spills(t)
			inBubble(t, setting, func(t *testing.T, b *bubble) {
				cluster := b.brokerOn(dir)
				<-b.ready
				want := map[string][]string{}
				post := func(source string, n int) {
					id := fmt.Sprint(source, "-", n)
					a, took := b.postFor(source, id)
					require.Equal(t, 200, a.status, a.body)
					require.LessOrEqual(t, took, b.cfg.AckDeadline)
					want[source] = append(want[source], id)
				}
				n := 0
				both := func(times int, every time.Duration) {
					for range times {
						n++
						post("source1", n)
						post("foobar", n)
						time.Sleep(every)
					}
				}
				both(5, 100*time.Millisecond)
				back := c.away(b, cluster, dir)
				both(12*c.minutes, 5*time.Second)
				report := b.tel.Health.Report()
				require.True(t, report.Ready, "%+v", report)
				for name, state := range map[string]string{"kafka": "down", "spill": "up"} {
					require.True(t, slices.ContainsFunc(report.Dependencies, func(d telemetry.DependencyReport) bool {
						return d.Name == name && d.State == state
					}), "%s in %+v", name, report)
				}
				back()
				both(30, 100*time.Millisecond)
				time.Sleep(10 * time.Second)
				both(5, 100*time.Millisecond)
				got := b.ids(b.cfg.Topic)
				requireSame(t, want["source1"], got["source1"])
				requireSame(t, want["foobar"], got["foobar"])
				left, err := filepath.Glob(filepath.Join(b.cfg.Spill, "*.spill"))
				require.NoError(t, err)
				require.Empty(t, left)
			})
		})
	}
}

// requireSame compares long lists, and shows where they part.
func requireSame(t *testing.T, want, got []string) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i], "at %d", i)
	}
	require.Equal(t, len(want), len(got))
}

// An acknowledgement that comes after the request was spilled cancels its replay.
func TestLateAcknowledgement(t *testing.T) {
	inBubble(t, spills(t), func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		answered := make(chan struct{})
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.SleepControl(func() { <-answered })
			return nil, nil, false
		})
		a, took := b.post("late")
		require.Equal(t, 200, a.status, a.body)
		require.LessOrEqual(t, took, b.cfg.AckDeadline)
		a, _ = b.post("behind it")
		require.Equal(t, 200, a.status, a.body)
		time.Sleep(3 * time.Second)
		close(answered)
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"before", "late", "behind it"}, b.ids(b.cfg.Topic)["source1"])
	})
}

// A spill that is full refuses, and what it took is not lost.
func TestSpillIsFull(t *testing.T) {
	small := spills(t)
	inBubble(t, func(c *Config) { small(c); c.SpillSize = settings.MiB }, func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		want := map[string]bool{"before": true}
		refused := 0
		for i := range 100 {
			id := fmt.Sprint(i)
			a, took := b.send("source1", strings.Replace(track(id), "Bought", strings.Repeat("x", 20_000), 1))
			require.LessOrEqual(t, took, b.cfg.AckDeadline)
			if a.status == 200 {
				want[id] = true
				continue
			}
			refused++
			requireAgain(t, a, 503, "overloaded")
		}
		require.Greater(t, len(want), 30)
		require.Positive(t, refused)
		time.Sleep(2 * patience)
		report := b.tel.Health.Report()
		require.False(t, report.Ready, "%+v", report)
		require.Equal(t, "down", b.shown("spill").State)
		require.Contains(t, b.shown("spill").Error, "setting spill-size")
		fault.Remove()
		time.Sleep(10 * time.Second)
		require.True(t, b.tel.Health.Report().Ready)
		require.Equal(t, "up", b.shown("spill").State)
		a, _ = b.post("after")
		require.Equal(t, 200, a.status, a.body)
		got := b.ids(b.cfg.Topic)["source1"]
		require.Len(t, got, len(want)+1)
		for _, id := range got[:len(got)-1] {
			require.True(t, want[id])
		}
	})
}

// shown is what /readyz says of a part.
func (b *bubble) shown(name string) telemetry.DependencyReport {
	all := b.tel.Health.Report().Dependencies
	i := slices.IndexFunc(all, func(d telemetry.DependencyReport) bool { return d.Name == name })
	require.GreaterOrEqual(b.t, i, 0, "%s in %+v", name, all)
	return all[i]
}

// What the spill holds and cannot be read is shown, and takes the gateway out of no balancer: it is given back once it can be.
func TestASpillThatCannotBeRead(t *testing.T) {
	inBubble(t, spills(t), func(t *testing.T, b *bubble) {
		c := b.broker()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		for _, source := range []string{"source1", "foobar"} { // of the first Kafka's client has what is spilled: it is not read
			a, _ := b.postFor(source, "spilled")
			require.Equal(t, 200, a.status, a.body)
		}
		paths, err := filepath.Glob(filepath.Join(b.cfg.Spill, "*.spill"))
		require.NoError(t, err)
		require.Len(t, paths, 1)
		require.NoError(t, os.Symlink(paths[0], paths[0]+".none")) // which cannot be opened once it is there:
		require.NoError(t, os.Link(paths[0], paths[0]+".away"))
		require.NoError(t, os.Rename(paths[0]+".none", paths[0])) // in one step, as somebody may just read it
		time.Sleep(time.Minute)
		require.Equal(t, "down", b.shown("spill").State)
		require.Contains(t, b.shown("spill").Error, "cannot be read now")
		require.True(t, b.tel.Health.Report().Ready)
		require.NoError(t, os.Rename(paths[0]+".away", paths[0]))
		fault.Remove()
		time.Sleep(time.Minute)
		require.Equal(t, "up", b.shown("spill").State, "%+v", b.shown("spill"))
		require.Equal(t, map[string][]string{"source1": {"spilled"}, "foobar": {"spilled"}}, b.ids(b.cfg.Topic))
	})
}

// A gateway that starts without Kafka takes events, if it knows from an earlier start how long they may be.
func TestStartWithoutKafka(t *testing.T) {
	dir, setting := t.TempDir(), spills(t)
	inBubble(t, setting, func(t *testing.T, b *bubble) {
		c := b.brokerOn(dir)
		<-b.ready
		a, _ := b.post("first")
		require.Equal(t, 200, a.status)
		c.Close()
		a, _ = b.post("second")
		require.Equal(t, 200, a.status, a.body)
	})
	inBubble(t, setting, func(t *testing.T, b *bubble) {
		<-b.ready
		for i := range 3 {
			a, took := b.post(fmt.Sprint("without ", i))
			require.Equal(t, 200, a.status, a.body)
			require.Less(t, took, time.Second)
		}
		time.Sleep(time.Minute)
		require.True(t, b.tel.Health.Report().Ready, "%+v", b.tel.Health.Report())
		b.brokerOn(dir)
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"first", "second", "without 0", "without 1", "without 2"}, b.ids(b.cfg.Topic)["source1"])
	})
}

// A broker that takes connections and says nothing keeps a gateway with a spill starting for half a deadline only.
func TestStartBeforeASilentBroker(t *testing.T) {
	setting := spills(t)
	inBubble(t, setting, func(t *testing.T, b *bubble) {
		b.broker()
	})
	inBubble(t, setting, func(t *testing.T, b *bubble) {
		silent, err := b.net.Listen("tcp", "127.0.0.1:9092")
		require.NoError(t, err)
		defer silent.Close()
		go func() {
			for {
				conn, err := silent.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
			}
		}()
		start := time.Now()
		<-b.ready
		require.LessOrEqual(t, time.Since(start), b.cfg.AckDeadline)
		a, took := b.post("spilled")
		require.Equal(t, 200, a.status, a.body)
		require.Less(t, took, time.Second)
	})
}

// Many clients post while Kafka goes and comes: what is answered 200 is in Kafka once, each client's events in order.
func TestKafkaComesAndGoes(t *testing.T) {
	inBubble(t, spills(t), func(t *testing.T, b *bubble) {
		c := b.broker()
		const clients = 4
		var posts sync.WaitGroup
		stop := make(chan struct{})
		sent := make([]int, clients)
		for i := range clients {
			posts.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					a, took := b.postFor([]string{"source1", "foobar"}[i%2], fmt.Sprintf("%d-%d", i, n))
					require.Equal(t, 200, a.status, a.body)
					require.LessOrEqual(t, took, b.cfg.AckDeadline)
					sent[i]++
					time.Sleep(time.Duration(1+i) * 100 * time.Millisecond)
				}
			})
		}
		for i := range 4 {
			time.Sleep(5 * time.Second)
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
			time.Sleep(time.Duration(i) * 2 * time.Second)
			fault.Remove()
		}
		time.Sleep(20 * time.Second)
		close(stop)
		posts.Wait()
		synctest.Wait()
		got := map[string]int{}
		for _, ids := range b.ids(b.cfg.Topic) {
			for _, id := range ids {
				client, n, _ := strings.Cut(id, "-")
				require.Equal(t, fmt.Sprint(got[client]), n, "client %s", client)
				got[client]++
			}
		}
		for i, n := range sent {
			require.Equal(t, n, got[fmt.Sprint(i)])
		}
		left, err := os.ReadDir(b.cfg.Spill)
		require.NoError(t, err)
		require.Len(t, left, 2, "the lock and what the topics take: %v", left)
	})
}

// A stream goes on while Kafka is away for minutes: every message is answered, in its turn and within the deadline, and
// stands in Kafka once and in the order of the stream.
func TestAStreamWhileKafkaIsAway(t *testing.T) {
	dir, setting := t.TempDir(), spills(t)
	inBubble(t, setting, func(t *testing.T, b *bubble) {
		cluster := b.brokerOn(dir)
		<-b.ready
		service, closeIdle := b.rpc()
		defer closeIdle()
		s := service.IngestStream(t.Context())
		answers := listen(s)
		var want []string
		send := func(times int, every time.Duration) {
			for range times {
				n := uint64(len(want) + 1)
				want = append(want, fmt.Sprint("m", n))
				sendOn(t, s, n, track(want[n-1]))
				time.Sleep(every)
			}
			time.Sleep(b.cfg.AckDeadline)
			require.Len(t, answers.numbers, len(want), "every one is answered")
		}
		send(100, 10*time.Millisecond)
		cluster.Close()
		send(300, 100*time.Millisecond)
		require.True(t, b.gateway.spill.Holds())
		a, _ := b.post("a request of the same source")
		require.Equal(t, 200, a.status, a.body)
		time.Sleep(2 * time.Minute)
		send(300, 10*time.Millisecond)
		b.brokerOn(dir)
		send(300, 50*time.Millisecond)
		time.Sleep(10 * time.Second)
		require.False(t, b.gateway.spill.Holds())
		send(100, 10*time.Millisecond)
		require.NoError(t, s.CloseRequest())
		require.ErrorIs(t, <-answers.end, io.EOF)
		for n := range want {
			require.EqualValues(t, n+1, <-answers.numbers)
		}
		got := b.ids(b.cfg.Topic)["source1"]
		got = slices.DeleteFunc(got, func(id string) bool { return id == "a request of the same source" })
		requireSame(t, want, got)
		require.Zero(t, b.bufferUsage())
	})
}

// What is in the spill is stored: it uses the source's limits up, through either door.
func TestLimitsCountWhatIsSpilled(t *testing.T) {
	setting := spills(t)
	inBubble(t, func(c *Config) {
		setting(c)
		require.NoError(t, os.WriteFile(c.Sources, []byte("sources: [{id: source1, name: S, write_keys: [key1], limits: {events_per_second: 1, burst: 3s}}]"), 0o600))
	}, func(t *testing.T, b *bubble) {
		c := b.broker()
		defer c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1}).Remove()
		a, _ := b.post("makes Kafka known to be away")
		require.Equal(t, 200, a.status, a.body)
		time.Sleep(time.Minute)
		service, closeIdle := b.rpc()
		defer closeIdle()
		a, _ = b.post("1")
		require.Equal(t, 200, a.status, a.body)
		for _, id := range []string{"2", "3"} {
			_, err := service.Ingest(t.Context(), connect.NewRequest(messageOf(track(id))))
			require.NoError(t, err)
		}
		a, _ = b.post("4")
		require.Equal(t, 429, a.status, a.body)
		require.Equal(t, "rate_limited", a.code(t))
	})
}

// What hangs is left once it had its time, and not before it is told to end.
func TestWhatHangsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		defer close(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		ended, _ := leave(ctx, 5*time.Second, func() error { <-hangs; return nil })
		require.False(t, ended)
		require.Equal(t, time.Hour+5*time.Second, time.Since(start))

		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ended, err := leave(ctx, 5*time.Second, func() error { <-ctx.Done(); time.Sleep(time.Second); return io.EOF })
		require.True(t, ended)
		require.ErrorIs(t, err, io.EOF)
	})
}
