package gateway

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"weir/pkg/settings"
)

func TestDefaultConfigIsWhatTheTagsSay(t *testing.T) {
	var c Config
	parser, err := kong.New(&c)
	require.NoError(t, err)
	_, err = parser.Parse(nil)
	require.NoError(t, err)
	require.Equal(t, DefaultConfig(), c)
}

func TestValidateReportsEveryFault(t *testing.T) {
	c := DefaultConfig()
	c.Brokers = nil
	c.Listen = "8080"
	c.Sources = "nothing/here.yaml"
	c.Topic, c.RejectedTopic = "a b", "a b"
	c.MaxBody, c.MaxEvent, c.MaxEvents = 1, 2*settings.GiB, 0
	c.InFlight = settings.Memory{Bytes: 3}
	c.AckDeadline, c.DrainDelay, c.ClientRetries = 0, -1, -1
	c.TLSClientCA = "nothing/here.crt"
	c.TrustedProxies = []string{"10.0.0.0/8", "proxy"}
	c.PublicHost = "https://x/"
	c.FanoutTopic, c.FanoutRate = "", -1
	c.TopicPartitions, c.TopicReplication, c.TopicRetention = 0, 0, 0
	err := settings.Join(c.Validate())
	for _, setting := range []string{
		"kafka-brokers", "listen", "sources", "topic", "rejected-topic", "max-body", "max-event", "max-events", "in-flight",
		"ack-deadline", "drain-delay", "client-retries", "tls-client-ca", "trusted-proxies", "public-host", "fanout-topic", "fanout-rate", "topic-partitions", "topic-replication", "topic-retention",
	} {
		require.ErrorContains(t, err, "\n"+setting+": ")
	}
	require.ErrorContains(t, Run(t.Context(), c, nil, nil), "settings are wrong")

	for _, taken := range []string{"weir.events", "weir.rejected"} {
		c = DefaultConfig()
		c.FanoutTopic = taken
		require.ErrorContains(t, settings.Join(c.Validate()), "\nfanout-topic: ")
	}
	c = DefaultConfig()
	c.SourcesTopic, c.SourcesCopy = c.Topic, ""
	err = settings.Join(c.Validate())
	require.ErrorContains(t, err, "\nsources-topic: ")
	require.ErrorContains(t, err, "\nsources-copy: ")
	c.SourcesTopic, c.SourcesCopy = "weir.sources", t.TempDir()+"/copy.yaml"
	require.Empty(t, c.Validate(), "the copy is not there yet")
	require.NoError(t, os.WriteFile(c.SourcesCopy, nil, 0o600))
	require.Empty(t, c.Validate(), "the copy has no source yet")
	require.NoError(t, os.WriteFile(c.SourcesCopy, []byte("sources: 7"), 0o600))
	require.ErrorContains(t, settings.Join(c.Validate()), "\nsources-copy: ")

	c = DefaultConfig()
	c.Sources = t.TempDir() + "/sources.yaml"
	require.NoError(t, os.WriteFile(c.Sources, []byte("sources: []"), 0o600))
	require.ErrorContains(t, settings.Join(c.Validate()), "there is no source in it")
	require.NoError(t, os.WriteFile(c.Sources, []byte(sourcesYAML), 0o600))
	require.Empty(t, c.Validate())
}

func TestABusyPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	w := prepare(t, []string{"127.0.0.1:1"}, func(c *Config) { c.Listen = l.Addr().String() })
	err = Run(t.Context(), w.cfg, w.tel, nil)
	require.ErrorContains(t, err, l.Addr().String())
	require.ErrorContains(t, err, "setting listen")
}

func TestACompactedTopicIsRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	defer cluster.Close()
	require.NoError(t, cluster.CreateTopic("weir.events", 1, map[string]string{"cleanup.policy": "compact,delete"}))
	w := prepare(t, cluster.ListenAddrs(), nil)
	err = Run(t.Context(), w.cfg, w.tel, func(string) { t.Error("it must not accept events") })
	require.ErrorContains(t, err, "topic weir.events is compacted")
}

// The partition of a source is the one that every Kafka client would choose:
// murmur2("foobar") is -790332482 in Kafka's own tests, and 6 of 12.
func TestASourceHasThePartitionOfItsKey(t *testing.T) {
	w := start(t, nil)
	for i := range 3 {
		a := w.post("/v1/track", track(fmt.Sprint(i)), "Authorization", "Basic a2V5Mjo=")
		require.Equal(t, 200, a.status)
	}
	for _, r := range w.records(w.cfg.Topic) {
		require.Equal(t, "foobar", string(r.Key))
		require.EqualValues(t, 6, r.Partition)
	}
}

func TestTopicsAreCreatedAsConfigured(t *testing.T) {
	w := start(t, func(c *Config) { c.TopicPartitions = 3; c.TopicRetention = -1 })
	for _, topic := range []string{w.cfg.Topic, w.cfg.RejectedTopic} {
		info := w.cluster.TopicInfo(topic)
		require.Len(t, w.cluster.PartitionInfos(topic), 3)
		require.Equal(t, "-1", *info.Configs["retention.ms"])
	}
}

func TestSourcesAreReloaded(t *testing.T) {
	w := start(t, nil)
	require.Equal(t, 200, w.batch(track("a")).status)
	rewrite := func(text string) {
		require.NoError(t, os.WriteFile(w.cfg.Sources+".next", []byte(text), 0o600))
		require.NoError(t, os.Rename(w.cfg.Sources+".next", w.cfg.Sources))
	}
	refused := w.logs.next("the last good sources stay in force")
	rewrite("sources: [{id: source1, write_key: oops}]")
	<-refused
	require.Equal(t, 200, w.batch(track("b")).status)
	require.Equal(t, "down", dependency(w.tel, "sources").State)

	refused = w.logs.next("there is no source in it")
	rewrite("")
	<-refused
	require.Equal(t, 200, w.batch(track("b")).status)
	require.Equal(t, "down", dependency(w.tel, "sources").State)

	reloaded := w.logs.next("sources reloaded")
	rewrite("sources: [{id: source1, write_keys: [key-new]}]")
	<-reloaded
	require.Equal(t, 401, w.batch(track("c")).status)
	require.Equal(t, 200, w.post("/v1/track", `{"writeKey":"key-new","event":"e","userId":"u"}`).status)
	require.EqualValues(t, 2, w.metric(`weir_gateway_sources_reloads_total{outcome="refused"}`))
	require.EqualValues(t, 1, w.metric("weir_gateway_sources"))
	require.NotContains(t, w.logs.text(), "key-new")
}

// The address in context.ip is the one that the network or a trusted proxy vouches for.
func TestClientAddress(t *testing.T) {
	event := func(id string) string {
		return fmt.Sprintf(`{"type":"page","userId":"u","messageId":%q,"context":{"library":{"name":"analytics.js"}}}`, id)
	}
	for trusted, want := range map[string]string{"": "127.0.0.1", "127.0.0.0/8": "203.0.113.7"} {
		w := start(t, func(c *Config) {
			if trusted != "" {
				c.TrustedProxies = []string{trusted}
			}
		})
		a := w.post("/v1/page", event("m"), "Authorization", basicKey1, "X-Forwarded-For", "8.8.8.8, 203.0.113.7", "X-Forwarded-For", "127.0.0.2")
		require.Equal(t, 200, a.status)
		context := fields(t, w.records(w.cfg.Topic)[0].Value)["context"].(map[string]any)
		require.Equal(t, want, context["ip"])
	}
}

// A sampled trace reaches the records, and is not started by weir itself.
func TestTraceParent(t *testing.T) {
	w := start(t, nil)
	const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	require.Equal(t, 200, w.post("/v1/track", track("sampled"), "Authorization", basicKey1, "Traceparent", sampled).status)
	require.Equal(t, 200, w.post("/v1/track", track("not"), "Authorization", basicKey1, "Traceparent", sampled[:len(sampled)-1]+"0").status)
	require.Equal(t, 200, w.batch(track("none")).status)
	for _, r := range w.records(w.cfg.Topic) {
		want := ""
		if fields(t, r.Value)["messageId"] == "sampled" {
			want = sampled
		}
		require.Equal(t, want, headerOf(r, "traceparent"))
	}
}

func TestAccessLogSaysWhatHappenedAndNoSecrets(t *testing.T) {
	w := start(t, func(c *Config) { c.AccessLog = true })
	logged := w.logs.next(`"msg":"request"`)
	a := w.post("/v1/batch?writeKey=key1", batchOf(track("secret-id")), "User-Agent", "analytics-go", "X-Retry-Count", "2")
	require.Equal(t, 200, a.status)
	<-logged
	text := w.logs.text()
	for _, want := range []string{`"route":"/v1/batch"`, `"status":200`, `"took":"`, `"retry":"2"`, `"agent":"analytics-go"`, a.header.Get("X-Request-Id")} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "secret-id")
	require.NotContains(t, text, "key1")
	require.EqualValues(t, 1, w.metric(`weir_gateway_retries_total{http_route="/v1/batch"}`))
}

func TestARefusalIsLoggedWithItsCauseIfThereIsOne(t *testing.T) {
	w := start(t, nil)
	require.Equal(t, 401, w.post("/v1/track", `{"writeKey":"nobody","event":"e","userId":"u"}`).status)
	require.Equal(t, 400, w.post("/v1/track", "{", "Authorization", basicKey1).status)
	var refusals []map[string]any
	for line := range strings.Lines(w.logs.text()) {
		if f := fields(t, []byte(line)); f["msg"] == "request refused" {
			refusals = append(refusals, f)
		}
	}
	require.Len(t, refusals, 2)
	require.Equal(t, "invalid_write_key", refusals[0]["reason"])
	require.NotContains(t, refusals[0], "err")
	require.Contains(t, refusals[1], "err")
}

func TestServerLimits(t *testing.T) {
	s := newServer(http.NotFoundHandler(), prepare(t, []string{"127.0.0.1:1"}, nil).tel.Log)
	require.Equal(t, 5*time.Second, s.ReadHeaderTimeout)
	require.Positive(t, s.ReadTimeout)
	require.Greater(t, s.WriteTimeout, s.ReadTimeout+DefaultConfig().AckDeadline)
	require.Positive(t, s.IdleTimeout)
	require.Equal(t, 16<<10, s.MaxHeaderBytes)
	require.Equal(t, 250, s.HTTP2.MaxConcurrentStreams)
	for _, d := range []time.Duration{s.HTTP2.SendPingTimeout, s.HTTP2.PingTimeout, s.HTTP2.WriteByteTimeout} {
		require.Positive(t, d, "a stream has no other bound on a peer that is gone")
	}
	for _, spoken := range []bool{s.Protocols.HTTP1(), s.Protocols.HTTP2(), s.Protocols.UnencryptedHTTP2()} {
		require.True(t, spoken)
	}
}
