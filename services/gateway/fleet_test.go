package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/pkg/telemetry"
)

// onTopic makes a bubble's gateway read its sources from a topic, with what copy says on
// its disk; "" is nothing.
func onTopic(dir, copy string) func(*Config) {
	return func(c *Config) {
		c.SourcesTopic, c.Sources = "weir.sources", ""
		c.SourcesCopy = filepath.Join(dir, "copy.yaml")
		if copy != "" {
			_ = os.WriteFile(c.SourcesCopy, []byte(copy), 0o600)
		}
	}
}

// fleet is what weir sources sees of the bubble's topic.
func (b *bubble) fleet() SourceList {
	return SourceList{Topic: b.cfg.SourcesTopic, TopicReplication: 1, Kafka: kafka.Config{
		Brokers: b.cfg.Brokers, Extra: []kgo.Opt{kgo.Dialer(b.net.DialContext)},
	}}
}

func (b *bubble) status(key string) int {
	a, _ := b.post("m", "Authorization", basic(key))
	return a.status
}

func (b *bubble) raw(do func(*kgo.Client)) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.cfg.Brokers...), kgo.Dialer(b.net.DialContext))
	require.NoError(b.t, err)
	defer cl.Close()
	do(cl)
}

func (b *bubble) write(id, value string) {
	b.raw(func(cl *kgo.Client) {
		require.NoError(b.t, cl.ProduceSync(b.t.Context(), &kgo.Record{Topic: b.cfg.SourcesTopic, Key: []byte(id), Value: []byte(value)}).FirstErr())
	})
}

// A gateway whose sources are in a topic is not ready before it knows any, follows every
// edit within five seconds, and keeps what it knew last, whatever stands in the topic then.
func TestSourcesOfAFleet(t *testing.T) {
	const within = 5 * time.Second
	inBubble(t, onTopic(t.TempDir(), ""), func(t *testing.T, b *bubble) {
		c := newBroker(b)
		time.Sleep(time.Minute)
		a, _ := b.post("m")
		requireAgain(t, a, 503, "unavailable")
		require.Equal(t, "compact", *c.TopicInfo("weir.sources").Configs["cleanup.policy"])

		list := b.fleet()
		key, err := list.Add(t.Context(), "shop", "The shop")
		require.NoError(t, err)
		<-b.ready
		require.Equal(t, 200, b.status(key))
		second, err := list.Rotate(t.Context(), "shop")
		require.NoError(t, err)
		time.Sleep(within)
		require.Equal(t, 200, b.status(key))
		require.Equal(t, 200, b.status(second))
		require.NoError(t, list.Retire(t.Context(), "shop"))
		other, err := list.Add(t.Context(), "app", "")
		require.NoError(t, err)
		time.Sleep(within)
		require.Equal(t, 401, b.status(key))
		require.Equal(t, 200, b.status(second))
		require.Equal(t, 200, b.status(other))
		require.NoError(t, list.Enable(t.Context(), "app", false))
		time.Sleep(within)
		require.Equal(t, 403, b.status(other))
		infos, err := list.All(t.Context())
		require.NoError(t, err)
		require.Len(t, infos, 2)

		b.write("app", "{id: app, colour: red}")
		time.Sleep(within)
		require.Equal(t, 200, b.status(second), "the last good ones stay in force")
		require.Equal(t, "down", b.dependency("sources-topic"))
		b.write("app", "{id: app, write_keys: [by-hand]}")
		time.Sleep(within)
		require.Equal(t, 200, b.status("by-hand"))
		require.Equal(t, "up", b.dependency("sources-topic"))
	})
}

func (b *bubble) dependency(name string) string {
	return dependency(b.tel, name).State
}

// dependency is what /readyz says of one of the things that a gateway needs.
func dependency(tel *telemetry.Telemetry, name string) telemetry.DependencyReport {
	for _, d := range tel.Health.Report().Dependencies {
		if d.Name == name {
			return d
		}
	}
	return telemetry.DependencyReport{State: "unknown"}
}

// While Kafka is away a gateway starts with the copy; the topic counts once it is there and
// has a source. One that is gone takes none away, and one that was made anew is followed.
func TestSourcesWhileKafkaIsAway(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, onTopic(dir, "sources: [{id: shop, write_keys: [from-the-copy]}]"), func(t *testing.T, b *bubble) {
		time.Sleep(time.Minute)
		a, _ := b.post("m", "Authorization", basic("from-the-copy"))
		requireAgain(t, a, 503, "unavailable")
		newBroker(b)
		<-b.ready
		time.Sleep(10 * time.Second)
		require.Equal(t, 200, b.status("from-the-copy"), "the topic is empty")
		require.Equal(t, "down", b.dependency("sources-topic"))
		key, err := b.fleet().Add(t.Context(), "new", "")
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		require.Equal(t, 200, b.status(key))
		require.Equal(t, 401, b.status("from-the-copy"))

		b.raw(func(cl *kgo.Client) {
			_, err := kadm.NewClient(cl).DeleteTopic(t.Context(), b.cfg.SourcesTopic)
			require.NoError(t, err)
		})
		time.Sleep(time.Minute)
		require.Equal(t, 200, b.status(key))
		again, err := b.fleet().Add(t.Context(), "later", "")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, 200, b.status(again), "the topic was made anew, and is followed")
	})
	text, err := os.ReadFile(filepath.Join(dir, "copy.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(text), "later")
}
