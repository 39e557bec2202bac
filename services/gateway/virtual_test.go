package gateway

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/telemetry"
)

// bubble is a gateway and a broker in virtual time, on a virtual network.
type bubble struct {
	t     *testing.T
	net   *kfake.VirtualNetwork
	cfg   Config
	tel   *telemetry.Telemetry
	http  *http.Client
	ready chan string
	stop  context.CancelFunc
	done  chan error

	gateway *gateway
}

const virtualAddr = "127.0.0.1:8080"

// inBubble runs f with a gateway; without a broker it answers, but is never ready.
func inBubble(t *testing.T, change func(*Config), f func(t *testing.T, b *bubble)) {
	inBubbleBy(t, change, func(n *kfake.VirtualNetwork) []kgo.Opt { return []kgo.Opt{kgo.Dialer(n.DialContext)} }, f)
}

// inBubbleBy is inBubble with a way to Kafka of its own.
func inBubbleBy(t *testing.T, change func(*Config), way func(*kfake.VirtualNetwork) []kgo.Opt, f func(t *testing.T, b *bubble)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, net: new(kfake.VirtualNetwork), tel: telemetry.Discard(), ready: make(chan string, 1), done: make(chan error, 1)}
		b.cfg = DefaultConfig()
		b.cfg.Listen, b.cfg.Brokers = virtualAddr, []string{"127.0.0.1:9092"}
		b.cfg.Sources = filepath.Join(dir, "sources.yaml")
		b.cfg.TopicPartitions, b.cfg.TopicReplication = 4, 1
		require.NoError(t, os.WriteFile(b.cfg.Sources, []byte(sourcesYAML), 0o600))
		if change != nil {
			change(&b.cfg)
		}
		transport := &http.Transport{DialContext: b.net.DialContext}
		b.http = &http.Client{Transport: transport}
		ctx, cancel := context.WithCancel(context.Background())
		b.stop = cancel
		e := edges{listen: b.net.Listen, client: way(b.net)}
		require.Empty(t, b.cfg.Validate())
		var err error
		b.gateway, err = wire(b.cfg, b.tel, e)
		require.NoError(t, err)
		go func() { b.done <- b.gateway.run(ctx, func(addr string) { b.ready <- addr }) }()
		synctest.Wait() // it listens
		defer func() {  // also when f failed: nothing may outlive the bubble
			transport.CloseIdleConnections()
			cancel()
			require.NoError(t, <-b.done)
		}()
		f(t, b)
	})
}

// broker starts Kafka, and waits until the gateway has seen it.
func (b *bubble) broker() *kfake.Cluster {
	b.t.Helper()
	c := newBroker(b)
	<-b.ready
	return c
}

func newBroker(b *bubble) *kfake.Cluster {
	b.t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(b.net.Listen))
	require.NoError(b.t, err)
	b.t.Cleanup(c.Close)
	return c
}

// post sends an event and says how long the answer took.
func (b *bubble) post(id string, headers ...string) (answer, time.Duration) {
	b.t.Helper()
	r, err := http.NewRequest("POST", "http://"+virtualAddr+"/v1/track", strings.NewReader(track(id)))
	require.NoError(b.t, err)
	r.Header.Set("Authorization", basicKey1)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	start := time.Now()
	resp, err := b.http.Do(r)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}, time.Since(start)
}

func requireAgain(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, code, a.code(t))
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
	require.LessOrEqual(t, seconds, 10)
}

func TestKafkaIsNotThereAtTheStart(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		a, took := b.post("early")
		requireAgain(t, a, 503, "unavailable")
		require.Zero(t, took)
		time.Sleep(time.Minute)
		report := b.tel.Health.Report()
		require.Equal(t, "starting", report.State)
		require.Equal(t, "down", b.dependency("kafka"))

		b.broker()
		a, _ = b.post("late")
		require.Equal(t, 200, a.status)
		time.Sleep(2 * healthInterval)
		require.True(t, b.tel.Health.Report().Ready)
	})
}

// A topic that was deleted and created again is another topic: after a few refusals it takes events.
func TestTopicIsMadeAnew(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(b.net.DialContext))
		require.NoError(t, err)
		defer cl.Close()
		admin := kadm.NewClient(cl)
		_, err = admin.DeleteTopic(t.Context(), b.cfg.Topic)
		require.NoError(t, err)
		a, _ = b.post("between")
		require.Equal(t, 503, a.status, a.body)
		_, err = admin.CreateTopic(t.Context(), 4, 1, nil, b.cfg.Topic)
		require.NoError(t, err)
		for range 10 {
			if a, _ = b.post("after"); a.status == 200 {
				return
			}
			time.Sleep(healthInterval)
		}
		require.Equal(t, 200, a.status, a.body)
	})
}

// A gateway whose topic is gone says so, with and without requests, and takes events at once when it is there again:
// with the limits of the new one.
func TestTopicIsGone(t *testing.T) {
	for name, asked := range map[string]bool{"and nobody posts": false, "and somebody posts": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, b *bubble) {
				b.broker()
				a, _ := b.post("before")
				require.Equal(t, 200, a.status)
				cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(b.net.DialContext))
				require.NoError(t, err)
				defer cl.Close()
				admin := kadm.NewClient(cl)
				_, err = admin.DeleteTopics(t.Context(), b.cfg.Topic, b.cfg.RejectedTopic)
				require.NoError(t, err)
				for range 20 {
					time.Sleep(healthInterval)
					if asked {
						a, _ = b.post("between")
						requireAgain(t, a, 503, "unavailable")
					}
				}
				report := b.tel.Health.Report()
				require.False(t, report.Ready)
				require.Contains(t, report.Reason, b.cfg.Topic)
				require.Equal(t, "down", b.dependency("kafka"))
				require.Contains(t, dependency(b.tel, "kafka").Error, b.cfg.Topic)

				small := "20000"
				_, err = admin.CreateTopic(t.Context(), 4, 1, map[string]*string{"max.message.bytes": &small}, b.cfg.Topic)
				require.NoError(t, err)
				time.Sleep(10 * time.Second)
				require.True(t, b.tel.Health.Report().Ready, "%+v", b.tel.Health.Report())
				a, _ = b.post("after")
				require.Equal(t, 200, a.status, a.body)
				a, _ = b.post("larger than the new topic takes " + strings.Repeat("x", 25_000))
				require.Equal(t, 200, a.status, "it is rejected, and the rejected topic is there: %s", a.body)
			})
		})
	}
}

// Kafka stops answering: everyone gets an answer within the deadline, in the form
// that their library honours, and nothing is lost of what it holds when it is back.
func TestKafkaStopsAnswering(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		for agent, status := range map[string]int{
			"analytics-node-next/latest": 429, "analytics-node/6.2.0": 429, "Mozilla/5.0 (X11; Linux)": 429,
			"analytics-ruby/2.5.0": 503, "analytics-python/2.3.4": 503, "analytics-go (version: 3.0.0)": 503, "": 503,
		} {
			a, took := b.post("during", "User-Agent", agent)
			requireAgain(t, a, status, "unavailable")
			require.LessOrEqual(t, took, b.cfg.AckDeadline)
		}
		a, _ = b.post("during", "Origin", "https://shop.example")
		requireAgain(t, a, 429, "unavailable")
		require.Equal(t, "https://shop.example", a.header.Get("Access-Control-Allow-Origin"))

		report := b.tel.Health.Report()
		require.Equal(t, "unable", report.State)
		require.Equal(t, "down", b.dependency("kafka"))
		fault.Remove()
		time.Sleep(15 * time.Second)
		require.True(t, b.tel.Health.Report().Ready, "a gateway that gets no requests any more finds out by itself")
		a, _ = b.post("after")
		require.Equal(t, 200, a.status)
	})
}

// A produce request that is never answered can neither be cancelled nor sent anew.
func TestKafkaSwallowsARequest(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) { return nil, nil, true })
		a, took := b.post("swallowed")
		requireAgain(t, a, 503, "unavailable")
		require.Equal(t, b.cfg.AckDeadline, took.Truncate(100*time.Millisecond))
		time.Sleep(time.Minute)
		a, _ = b.post("after")
		require.Equal(t, 200, a.status)
	})
}

func TestABrokerThatIsGone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		c.Close()
		a, took := b.post("lost")
		requireAgain(t, a, 503, "unavailable")
		require.LessOrEqual(t, took, b.cfg.AckDeadline)
		time.Sleep(2 * patience)
		require.Equal(t, "unable", b.tel.Health.Report().State)
	})
}

// Clients that send their header or their body too slowly are hung up on.
func TestSlowClients(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		const header = "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: " + basicKey1 + "\r\n"
		for name, c := range map[string]struct {
			sent   string
			within time.Duration
			status int
		}{
			"half a header": {header, 5 * time.Second, 0},
			"half a body":   {header + "Content-Length: 100\r\n\r\n{", 30 * time.Second, 503},
			"idle":          {"", 5 * time.Second, 0},
		} {
			conn, err := b.net.DialContext(t.Context(), "tcp", virtualAddr)
			require.NoError(t, err)
			start := time.Now()
			_, err = conn.Write([]byte(c.sent))
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Equal(t, c.within, time.Since(start), name)
			if c.status > 0 {
				resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
				require.NoError(t, err, "%s", answer)
				require.Equal(t, c.status, resp.StatusCode)
				require.True(t, resp.Close)
			}
			require.NoError(t, conn.Close())
		}
	})
}

// A drain answers who is inside, serves on while balancers look, then refuses.
func TestDrain(t *testing.T) {
	inBubble(t, func(c *Config) { c.DrainDelay = 10 * time.Second }, func(t *testing.T, b *bubble) {
		c := b.broker()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		inside := make(chan answer, 1)
		go func() {
			a, _ := b.post("inside")
			inside <- a
		}()
		synctest.Wait()
		b.stop()
		synctest.Wait()
		require.Equal(t, "draining", b.tel.Health.Report().State)
		fault.Remove()
		a, _ := b.post("while draining")
		require.Equal(t, 200, a.status)
		require.True(t, a.hungUp)
		require.Equal(t, 200, (<-inside).status)

		conn, err := b.net.DialContext(t.Context(), "tcp", virtualAddr)
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		_, err = io.WriteString(conn, "POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nAuthorization: "+basicKey1+"\r\n\r\n")
		require.NoError(t, err)
		time.Sleep(b.cfg.DrainDelay + time.Second)
		_, err = b.net.DialContext(t.Context(), "tcp", virtualAddr)
		require.Error(t, err)
		_, err = io.WriteString(conn, "{}")
		require.NoError(t, err)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, "it was inside when the drain began")
		require.NoError(t, conn.Close())
		err = <-b.done
		b.done <- err
		require.NoError(t, err)
	})
}
