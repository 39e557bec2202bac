package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/telemetry"
	"weir/services/gateway/internal/rpcapi"
)

// Of the sources, one has rules and one is switched off.
const fuzzSources = `
sources:
  - {id: plain, write_keys: [key1, k]}
  - id: ruled
    write_keys: [key2]
    ip: mask
    drop: [properties.email, context.page, secret]
    blocked_events: [Noise]
    suppressed_users: [gone]
  - {id: off, enabled: false, write_keys: [key-off]}
`

// What a request is made of: a number picks one of each list. text stands for what the fuzzer writes itself.
const text = "\x00"

var (
	methods = []string{"POST", "POST", "POST", "GET", "OPTIONS", "HEAD", text}
	paths   = []string{
		"/v1/batch", "//v1/b/", "/v1/import/", "/v1/v1/t", "/v1/track", "/v1/identify", "/v1/p", "/v1/screen", "/v1/g", "/v1/alias", "/v1/m",
		"/v1/pixel/track", "/v1/projects/key1/settings", "/weir.ingest.v1.IngestService/Ingest", "/weir.ingest.v1.IngestService/Nothing", text,
	}
	keys      = []string{basicKey1, "Basic a2V5Mjo=", "", "Bearer key2", "Basic a2V5LW9mZjo=", "Basic d3Jvbmc6", text}
	encodings = []string{"", "gzip", "x-gzip", "deflate", "br", "zstd", "identity", text}
)

func pick(list []string, n uint8, own string) string {
	if one := list[int(n)%len(list)]; one != text {
		return one
	}
	return own
}

// taken is what was handed to Kafka's client since it was emptied last.
type taken struct {
	mu      sync.Mutex
	records []kgo.Record
}

// OnProduceRecordBuffered is called while the request is answered; its buffers are used again after that.
func (k *taken) OnProduceRecordBuffered(r *kgo.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, kgo.Record{Topic: r.Topic, Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Headers: append([]kgo.RecordHeader(nil), r.Headers...)})
}

func (k *taken) empty() []kgo.Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	records := k.records
	k.records = nil
	return records
}

// fuzzed is a whole gateway whose handler is called without a connection, and a Kafka that takes everything and keeps
// nothing.
func fuzzed(f *testing.F) (g *gateway, k *taken) {
	f.Helper()
	network := new(kfake.VirtualNetwork)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen), kfake.BlackholeProduce())
	require.NoError(f, err)
	f.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Listen, cfg.Brokers = virtualAddr, []string{"127.0.0.1:9092"}
	cfg.Sources = filepath.Join(f.TempDir(), "sources.yaml")
	cfg.TopicPartitions, cfg.TopicReplication = 1, 1
	cfg.MaxBody, cfg.MaxEvent, cfg.MaxEvents = 64<<10, 4<<10, 20
	cfg.AckDeadline = time.Minute // a busy machine is no fault of the request's
	require.NoError(f, os.WriteFile(cfg.Sources, []byte(fuzzSources), 0o600))
	k = &taken{}
	g, err = wire(cfg, telemetry.Discard(), edges{listen: network.Listen, client: []kgo.Opt{kgo.Dialer(network.DialContext), kgo.WithHooks(k), kgo.ProducerLinger(0)}})
	require.NoError(f, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- g.run(ctx, func(addr string) { ready <- addr }) }()
	<-ready
	f.Cleanup(func() {
		cancel()
		require.NoError(f, <-done)
	})
	return g, k
}

// Whatever a request is: it is answered as the libraries read it, and never with a fault of the gateway's; each record of
// an accepted event is a JSON object with what the gateway adds; and nothing goes to Kafka where the answer is no success.
// How many events there are, and what they mean, is intake's, and TestAgainstOracle's there.
func FuzzRequests(f *testing.F) {
	seedRequests(f)
	g, k := fuzzed(f)
	good := httptest.NewRequest("POST", "/v1/batch?writeKey=k", strings.NewReader(batchOf(track("m1"), `{"type":7}`, track("m2"))))
	g.handler.ServeHTTP(httptest.NewRecorder(), good)
	require.Len(f, k.empty(), 3, "what is judged below is what goes to Kafka")
	f.Fuzz(func(t *testing.T, method, path, key, encoding uint8, pack bool, own string, body []byte) {
		coding := pick(encodings, encoding, own)
		if pack && slices.Contains(encodings[1:6], coding) { // what no mutation would make
			body = []byte(packBy(t, coding, string(body)))
		}
		r := &http.Request{
			Method: pick(methods, method, own), URL: &url.URL{Path: pick(paths, path, own), RawQuery: own}, Host: "gateway.example",
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "192.0.2.1:1234",
			Header: http.Header{"Origin": {own}, "Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		for name, value := range map[string]string{"Authorization": pick(keys, key, own), "Content-Encoding": coding} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		w := httptest.NewRecorder()
		g.handler.ServeHTTP(w, r)
		requireAnswer(t, r.URL.Path, w)
		requireRecords(t, w, k.empty())
	})
}

// seedRequests adds what the libraries send to every path, and batches under every key, in every encoding.
func seedRequests(f *testing.F) {
	for i, c := range captures(f) {
		f.Add(uint8(0), uint8(i), uint8(0), uint8(0), false, "", c.Body)
	}
	batch := []byte(batchOf(track("m1"), `{"type":"page","anonymousId":"a","writeKey":"k","context":{"page":{"url":"x"}}}`, `{"type":7}`, track("m1")))
	odd := []byte(`{"userId":"gone","event":"Noise","secret":1,"groupId":"g","properties":{"email":"x","\u0000":"\ud83c"}}`)
	for i := range max(len(paths), len(encodings)) {
		n := uint8(i)
		f.Add(uint8(0), uint8(0), n, n, true, "writeKey=k", batch)
		f.Add(uint8(0), n, n/2, n, true, "https://shop.example", odd)
		f.Add(n, n, uint8(0), uint8(0), false, "/v1//track", odd)
	}
	for _, query := range []string{"writeKey=k&event=e&userId=u&properties.a.b=c", "data=eyJ3cml0ZUtleSI6ImsiLCJldmVudCI6ImUiLCJ1c2VySWQiOiJ1In0", "data=%%%"} {
		f.Add(uint8(3), uint8(11), uint8(2), uint8(0), false, query, []byte(nil))
	}
	f.Add(uint8(0), uint8(0), uint8(0), uint8(1), false, "", []byte("\x1f\x8b\x08"))
	f.Add(uint8(0), uint8(13), uint8(3), uint8(0), false, "", []byte(`{"events":["e30="]}`))
}

// requireAnswer holds an answer against what every library reads.
func requireAnswer(t *testing.T, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	if rpcapi.Serves(path) {
		unknown := w.Code == http.StatusNotImplemented // Connect's answer for a procedure that is not there
		require.True(t, w.Code < 500 || unknown, "%d %s", w.Code, w.Body)
		return
	}
	require.Less(t, w.Code, 500, "%s", w.Body)
	require.False(t, w.Code >= 300 && w.Code < 400, "redirected to %s", w.Header().Get("Location"))
	switch w.Header().Get("Content-Type") {
	case "": // a preflight
		require.Equal(t, http.StatusNoContent, w.Code)
	case "image/gif":
		require.Equal(t, http.StatusOK, w.Code)
	default:
		if w.Body.Len() > 0 { // not of a HEAD
			requireJSONAnswer(t, w)
		}
	}
}

func requireJSONAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var said struct {
		Success       *bool
		Code, Message string
		Integrations  json.RawMessage
	}
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &said), "%s", w.Body)
	if w.Code == http.StatusOK {
		require.True(t, said.Integrations != nil || said.Success != nil && *said.Success, "%s", w.Body)
		return
	}
	require.True(t, said.Success != nil && !*said.Success && said.Code != "" && said.Message != "", "%s", w.Body)
}

// requireRecords holds what went to Kafka against the answer.
func requireRecords(t *testing.T, w *httptest.ResponseRecorder, records []kgo.Record) {
	t.Helper()
	if w.Code != http.StatusOK {
		require.Empty(t, records, "%d %s", w.Code, w.Body)
	}
	for _, r := range records {
		require.Contains(t, []string{"plain", "ruled"}, string(r.Key))
		if r.Topic != "weir.events" {
			require.NotEmpty(t, headerOf(&r, event.HeaderRejectedReason))
			continue
		}
		var e map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(r.Value, &e), "%q", r.Value)
		require.True(t, utf8.Valid(r.Value), "%q", r.Value)
		require.NotContains(t, e, "writeKey")
		for _, key := range []string{"messageId", "receivedAt", "timestamp", "type"} {
			var text string
			require.NoError(t, json.Unmarshal(e[key], &text), "%s of %q", key, r.Value)
			require.NotEmpty(t, text, "%s of %q", key, r.Value)
		}
		if string(r.Key) == "ruled" {
			require.NotContains(t, e, "secret")
		}
	}
}
