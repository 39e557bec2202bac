package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/gif"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func pack(t *testing.T, text string) string { return packBy(t, "gzip", text) }

func packBy(t *testing.T, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var z io.WriteCloser
	switch encoding {
	case "gzip", "x-gzip":
		z = gzip.NewWriter(&b)
	case "deflate":
		z = zlib.NewWriter(&b)
	case "br":
		z = brotli.NewWriter(&b)
	default:
		var err error
		z, err = zstd.NewWriter(&b)
		require.NoError(t, err)
	}
	_, err := io.WriteString(z, text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestAnswers(t *testing.T) {
	w := start(t, nil)
	good := batchOf(track("m"))
	packed := pack(t, good)
	key := []string{"Authorization", basicKey1}
	with := func(headers ...string) []string { return append(headers, key...) }
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code                     string
	}{
		{"batch", "POST", "/v1/batch", good, key, 200, ""},
		{"mobile batch", "POST", "/v1/b", good, key, 200, ""},
		{"import", "POST", "/v1/import", good, key, 200, ""},
		{"import with a slash", "POST", "/v1/import/", good, key, 200, ""},
		{"trailing slash", "POST", "/v1/batch/", good, key, 200, ""},
		{"doubled slash", "POST", "//v1/batch", good, key, 200, ""},
		{"doubled slashes everywhere", "POST", "//v1//batch//", good, key, 200, ""},
		{"doubled v1", "POST", "/v1/v1/batch", good, key, 200, ""},
		{"query", "POST", "/v1/batch?a=b", good, key, 200, ""},

		{"own measurements", "POST", "/v1/m", `{"series":[]}`, nil, 200, ""},

		{"any content type", "POST", "/v1/batch", good, with("Content-Type", "application/x-www-form-urlencoded"), 200, ""},
		{"gzip", "POST", "/v1/batch", packed, with("Content-Encoding", "gzip"), 200, ""},
		{"x-gzip", "POST", "/v1/batch", packed, with("Content-Encoding", "X-GZIP"), 200, ""},
		{"deflate", "POST", "/v1/batch", packBy(t, "deflate", good), with("Content-Encoding", "deflate"), 200, ""},
		{"br", "POST", "/v1/batch", packBy(t, "br", good), with("Content-Encoding", "br"), 200, ""},
		{"zstd", "POST", "/v1/batch", packBy(t, "zstd", good), with("Content-Encoding", "zstd"), 200, ""},
		{"br said, not done", "POST", "/v1/batch", good, with("Content-Encoding", "br"), 400, "invalid_request"},
		{"zstd cut short", "POST", "/v1/batch", packBy(t, "zstd", good)[:20], with("Content-Encoding", "zstd"), 400, "invalid_request"},
		{"identity", "POST", "/v1/batch", good, with("Content-Encoding", "identity"), 200, ""},
		{"gzip, not said", "POST", "/v1/batch", packed, key, 200, ""},
		{"gzip said, not done", "POST", "/v1/batch", good, with("Content-Encoding", "gzip"), 400, "invalid_request"},
		{"gzip cut short", "POST", "/v1/batch", packed[:len(packed)-9], with("Content-Encoding", "gzip"), 400, "invalid_request"},
		{"gzip damaged", "POST", "/v1/batch", packed[:40] + "\xff\xff" + packed[42:], with("Content-Encoding", "gzip"), 400, "invalid_request"},
		{"unknown encoding", "POST", "/v1/batch", good, with("Content-Encoding", "lzma"), 400, "unsupported_encoding"},
		{"two encodings", "POST", "/v1/batch", good, with("Content-Encoding", "gzip", "Content-Encoding", "gzip"), 400, "unsupported_encoding"},

		{"empty body", "POST", "/v1/batch", "", key, 400, "invalid_request"},
		{"no JSON", "POST", "/v1/batch", "hello", key, 400, "invalid_request"},
		{"JSON cut short", "POST", "/v1/batch", good[:len(good)-3], key, 400, "invalid_request"},
		{"two values", "POST", "/v1/batch", good + good, key, 400, "invalid_request"},
		{"no object", "POST", "/v1/batch", "[" + good + "]", key, 400, "invalid_request"},
		{"no batch", "POST", "/v1/batch", `{"events":[]}`, key, 400, "invalid_request"},
		{"batch is no array", "POST", "/v1/batch", `{"batch":{}}`, key, 400, "invalid_request"},
		{"empty batch", "POST", "/v1/batch", `{"batch":[]}`, key, 400, "empty_batch"},
		{"event is no object", "POST", "/v1/track", `[1]`, key, 400, "invalid_request"},
		{"too large", "POST", "/v1/batch", strings.Repeat(" ", 4<<20) + good, key, 400, "payload_too_large"},
		{"10 MB", "POST", "/v1/batch", `{"batch":["` + strings.Repeat("x", 10_000_000) + `"]}`, key, 400, "payload_too_large"},
		{"too many events", "POST", "/v1/batch", batchOf(strings.Repeat("{},", 10_001) + "{}"), key, 400, "payload_too_large"},

		{"no key", "POST", "/v1/batch", good, nil, 401, "invalid_write_key"},
		{"unknown key", "POST", "/v1/batch", good, []string{"Authorization", "Basic d3Jvbmc6"}, 401, "invalid_write_key"},
		{"unknown key in the body", "POST", "/v1/t", `{"writeKey":"nobody","type":"track","event":"e","userId":"u"}`, nil, 401, "invalid_write_key"},
		{"unknown key in the query", "POST", "/v1/batch?writeKey=nobody", good, nil, 401, "invalid_write_key"},
		{"unknown key and a bad body", "POST", "/v1/batch", "hello", []string{"Authorization", "Basic d3Jvbmc6"}, 401, "invalid_write_key"},
		{"a token, and a key in the body", "POST", "/v1/t", `{"writeKey":"key1","event":"e","userId":"u"}`, []string{"Authorization", "Bearer some.token"}, 200, ""},
		{"a token, and no key", "POST", "/v1/batch", good, []string{"Authorization", "Bearer some.token"}, 401, "invalid_write_key"},
		{"mixed keys", "POST", "/v1/batch", batchOf(`{"writeKey":"key1","type":"page","userId":"u"}`, `{"writeKey":"key2","type":"page","userId":"u"}`), nil, 401, "mixed_write_keys"},
		{"disabled source", "POST", "/v1/batch", good, []string{"Authorization", "Basic a2V5LW9mZjo="}, 403, "source_disabled"},
		{"disabled source in the body", "POST", "/v1/page", `{"writeKey":"key-off","userId":"u"}`, nil, 403, "source_disabled"},

		{"unknown path", "POST", "/v1/unknown", good, key, 404, "not_found"},
		{"root", "GET", "/", "", nil, 404, "not_found"},
		{"below a route", "POST", "/v1/batch/more", good, key, 404, "not_found"},
		{"no v1", "POST", "/batch", good, key, 404, "not_found"},
		{"only v1", "POST", "/v1/", good, key, 404, "not_found"},
		{"dots", "POST", "/v1/../v1/batch", good, key, 404, "not_found"},
		{"wrong method", "GET", "/v1/batch", "", key, 405, "method_not_allowed"},
		{"wrong method for settings", "POST", "/v1/projects/key1/settings", "", key, 405, "method_not_allowed"},
		{"invented method", "BREW", "/v1/batch", "", key, 405, "method_not_allowed"},

		{"settings of an unknown key", "GET", "/v1/projects/nobody/settings", "", nil, 404, "invalid_write_key"},
		{"settings of a disabled source", "GET", "/v1/projects/key-off/settings", "", nil, 404, "invalid_write_key"},
		{"settings of no key", "GET", "/v1/projects//settings", "", nil, 404, "not_found"},
		{"below settings", "GET", "/v1/projects/key1/settings/more", "", nil, 404, "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := do(t, w.request(c.method, c.path, c.body, c.headers...))
			require.Equal(t, c.status, a.status, a.body)
			require.Equal(t, c.code, a.code(t))
			require.Equal(t, "Origin", a.header.Get("Vary"))
			if c.status == 200 {
				require.Equal(t, `{"success":true}`, a.body)
			}
			if c.status == 405 {
				require.NotEmpty(t, a.header.Get("Allow"))
			}
		})
	}
	require.Zero(t, w.metric("http_server_active_requests"))
	require.EqualValues(t, 2, w.metric(`weir_gateway_rejections_total{reason="source_disabled"}`))
}

func TestEveryTypeByItsPath(t *testing.T) {
	w := start(t, nil)
	for path, typ := range map[string]string{
		"t": "track", "track": "track", "i": "identify", "identify": "identify", "p": "page", "page": "page",
		"s": "screen", "screen": "screen", "g": "group", "group": "group", "a": "alias", "alias": "alias",
	} {
		id := "m-" + path
		body := fmt.Sprintf(`{"messageId":%q,"event":"e","userId":"u","groupId":"g","previousId":"p"}`, id)
		for _, form := range []string{"/v1/%s", "/v1/%s/"} {
			require.Equal(t, `{"success":true}`, w.post(fmt.Sprintf(form, path), body, "Authorization", basicKey1).body, path)
		}
		for _, r := range w.records(w.cfg.Topic) {
			if e := fields(t, r.Value); e["messageId"] == id {
				require.Equal(t, typ, e["type"])
			}
		}
	}
	require.Len(t, w.records(w.cfg.Topic), 24)
}

func TestSettingsDocument(t *testing.T) {
	w := start(t, func(c *Config) { c.PublicHost = "events.example.com" })
	for _, path := range []string{"/v1/projects/key1/settings", "/v1/projects/key1/settings/", "//v1/v1/projects//key1/settings"} {
		a := do(t, w.request("GET", path, "", "Origin", "https://shop.example", "Host", "evil.example"))
		require.Equal(t, 200, a.status)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.Equal(t, "https://shop.example", a.header.Get("Access-Control-Allow-Origin"))
		segment := fields(t, []byte(a.body))["integrations"].(map[string]any)["Segment.io"].(map[string]any)
		require.Equal(t, "key1", segment["apiKey"])
		require.Equal(t, "events.example.com/v1", segment["apiHost"])
	}
	text := do(t, w.request("GET", "/v1/projects/key1/settings", "")).body
	var doc struct {
		HTTPConfig   map[string]map[string]any
		Integrations map[string]struct{ HTTPConfig map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &doc))
	require.Equal(t, doc.HTTPConfig, doc.Integrations["Segment.io"].HTTPConfig)
	require.EqualValues(t, 12*60*60, doc.HTTPConfig["rateLimitConfig"]["maxRateLimitDuration"])
	require.EqualValues(t, 12*60*60, doc.HTTPConfig["backoffConfig"]["maxTotalBackoffDuration"])
	require.Equal(t, "retry", doc.HTTPConfig["backoffConfig"]["default5xxBehavior"])
	told := start(t, func(c *Config) { c.ClientRetries = 0 })
	require.NotContains(t, do(t, told.request("GET", "/v1/projects/key1/settings", "")).body, "httpConfig")

	a := do(t, w.request("HEAD", "/v1/projects/key1/settings", ""))
	require.Equal(t, 200, a.status)
	require.Empty(t, a.body)
}

// A pixel is an image whatever becomes of its event.
func TestPixel(t *testing.T) {
	w := start(t, nil)
	data := func(encoding *base64.Encoding, text string) string {
		return url.QueryEscape(encoding.EncodeToString([]byte(text)))
	}
	full := `{"writeKey":"key1","userId":"ü??>>~~","event":"Opened","messageId":"full","properties":{"n":1.50}}`
	for _, query := range []string{
		"/v1/pixel/track?data=" + data(base64.StdEncoding, full),
		"/v1/pixel/track/?data=" + data(base64.URLEncoding, strings.Replace(full, "full", "url", 1)),
		"/v1/pixel/track?data=" + data(base64.RawURLEncoding, strings.Replace(full, "full", "raw", 1)),
		"/v1/pixel/track?data=" + base64.StdEncoding.EncodeToString([]byte(strings.Replace(full, "full", "plus", 1))), // not escaped
		"/v1/pixel/page?writeKey=key1&userId=u&messageId=flat&name=Mail&properties.subject=Hello+you&properties.mail.list=news&properties=x",

		"/v1/pixel/track", "/v1/pixel/track?data=%25%25", "/v1/pixel/track?data=aGVsbG8", "/v1/pixel/track?writeKey=nobody&userId=u&event=e",
		"/v1/pixel/track?writeKey=key1&userId=u", "/v1/pixel/identify?writeKey=key-off&userId=u", "/v1/pixel/track?%zz=%zz",
	} {
		a := do(t, w.request("GET", query, ""))
		require.Equal(t, 200, a.status, query)
		require.Equal(t, "image/gif", a.header.Get("Content-Type"))
		require.Contains(t, a.header.Get("Cache-Control"), "no-store")
		image, err := gif.Decode(strings.NewReader(a.body))
		require.NoError(t, err)
		require.Equal(t, 1, image.Bounds().Dx()*image.Bounds().Dy())
	}
	require.Empty(t, do(t, w.request("HEAD", "/v1/pixel/track", "")).body)
	require.Equal(t, 405, w.post("/v1/pixel/track", full).status)
	require.Equal(t, map[string]int{"full": 1, "url": 1, "raw": 1, "plus": 1, "flat": 1}, w.storedIDs())
	for _, r := range w.records(w.cfg.Topic) {
		e := fields(t, r.Value)
		if e["messageId"] == "flat" {
			require.Equal(t, "page", e["type"])
			require.Equal(t, map[string]any{"subject": "Hello you", "mail": map[string]any{"list": "news"}}, e["properties"])
		} else {
			require.Equal(t, "track", e["type"])
			require.Contains(t, string(r.Value), `"n":1.50`)
		}
		require.NotContains(t, string(r.Value), "key1")
	}
	require.Len(t, w.records(w.cfg.RejectedTopic), 1)
	require.Positive(t, w.metric(`weir_gateway_rejections_total{reason="invalid_write_key"}`))
}

func TestCORS(t *testing.T) {
	w := start(t, nil)
	const origin = "https://shop.example"
	a := do(t, w.request("OPTIONS", "/v1/t", "", "Origin", origin, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization,content-type,x-retry-count,x-custom"))
	require.Equal(t, 204, a.status)
	require.Empty(t, a.body)
	require.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "authorization,content-type,x-retry-count,x-custom", a.header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, "GET, POST, OPTIONS", a.header.Get("Access-Control-Allow-Methods"))
	require.Contains(t, a.header.Get("Vary"), "Origin")
	age, err := strconv.Atoi(a.header.Get("Access-Control-Max-Age"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, age, 7200)

	a = do(t, w.request("OPTIONS", "/v1/batch", "", "Origin", origin))
	for _, header := range []string{"authorization", "content-type", "content-encoding", "x-retry-count", "traceparent"} {
		require.Contains(t, a.header.Get("Access-Control-Allow-Headers"), header)
	}
	a = do(t, w.request("OPTIONS", "/v1/batch", "", "Origin", origin, "Access-Control-Request-Headers", strings.Repeat("x", 10_000)))
	require.Less(t, len(a.header.Get("Access-Control-Allow-Headers")), 1000)

	for status, r := range map[int]*http.Request{
		200: w.request("POST", "/v1/t", track("m"), "Origin", origin, "Authorization", basicKey1),
		400: w.request("POST", "/v1/t", "{", "Origin", origin, "Authorization", basicKey1),
		401: w.request("POST", "/v1/t", track("m"), "Origin", origin),
		404: w.request("POST", "/v1/x", track("m"), "Origin", origin),
		405: w.request("PUT", "/v1/t", track("m"), "Origin", origin),
	} {
		a := do(t, r)
		require.Equal(t, status, a.status)
		require.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", a.header.Get("Access-Control-Allow-Credentials"))
		require.Equal(t, "Retry-After", a.header.Get("Access-Control-Expose-Headers"))
		require.Equal(t, "Origin", a.header.Get("Vary"))
	}
	require.NotContains(t, w.batch(track("m2")).header, "Access-Control-Allow-Origin")
}

// One bad event among a hundred: 99 are stored, the bad one is set aside with its
// reason and its original bytes, and the answer is success.
func TestRejectedEvents(t *testing.T) {
	w := start(t, nil)
	events := make([]string, 100)
	for i := range events {
		events[i] = track(fmt.Sprint("m", i))
	}
	const bad = `{"type":"track", "messageId":"bad-one", "userId":"u1","properties":{"n":1e2}}`
	events[42] = bad
	a := w.batch(events...)
	require.Equal(t, 200, a.status)
	require.JSONEq(t, `{"success":true,"rejected":[{"index":42,"messageId":"bad-one","code":"event_not_defined","message":"a track event must have an event name"}]}`, a.body)

	require.Len(t, w.records(w.cfg.Topic), 99)
	list := w.records(w.cfg.RejectedTopic)
	require.Len(t, list, 1)
	require.Equal(t, bad, string(list[0].Value))
	require.Equal(t, "source1", string(list[0].Key))
	require.Equal(t, "event_not_defined", headerOf(list[0], "weir-rejected-reason"))
	require.NotEmpty(t, headerOf(list[0], "weir-rejected-at"))
	require.Equal(t, a.header.Get("X-Request-Id"), headerOf(list[0], "weir-request-id"))
	require.Empty(t, headerOf(list[0], "weir-rejected-length"))

	require.EqualValues(t, 99, w.metric(`weir_gateway_events_total{outcome="accepted",weir_source="source1"}`))
	require.EqualValues(t, 1, w.metric(`weir_gateway_events_total{outcome="rejected",reason="event_not_defined",weir_source="source1"}`))
	require.EqualValues(t, 1, w.metric(`weir_gateway_batch_events_count{weir_source="source1"}`))
	require.EqualValues(t, 100, w.metric(`messaging_client_sent_messages_total{messaging_destination_name="weir.events",messaging_operation_name="send",messaging_system="kafka"}`))
	w.requireNothingHeld()
	require.Contains(t, w.logs.text(), `"event rejected"`)
	require.NotContains(t, w.logs.text(), "bad-one")
}

// An event that is larger than the topic takes never reaches Kafka's client; what is
// larger than the rejected topic takes is cut, and says so.
func TestEventsLargerThanTheTopic(t *testing.T) {
	w := start(t, func(c *Config) { c.MaxEvent = 2 << 20; c.Topic = "small" })
	require.EqualValues(t, 1048588, maxMessageBytes(t, w, "small"))
	require.EqualValues(t, 1048588+64<<10, maxMessageBytes(t, w, w.cfg.RejectedTopic))
	large := func(id string, n int) string {
		return fmt.Sprintf(`{"type":"page","userId":"u","messageId":%q,"properties":{"x":"%s"}}`, id, strings.Repeat("x", n))
	}
	a := w.batch(large("fits", 1<<20-4<<10), large("rejected", 1<<20), large("cut", 1<<20+256<<10), track("small"))
	require.Equal(t, 200, a.status, a.body)
	var got struct {
		Rejected []struct{ MessageID, Code string }
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &got))
	require.Len(t, got.Rejected, 2)
	require.Len(t, w.records("small"), 2)
	for _, r := range w.records(w.cfg.RejectedTopic) {
		require.Equal(t, "event_too_large", headerOf(r, "weir-rejected-reason"))
		if bytes.Contains(r.Value, []byte(`"cut"`)) {
			n, err := strconv.Atoi(headerOf(r, "weir-rejected-length"))
			require.NoError(t, err)
			require.Greater(t, n, len(r.Value))
		} else {
			require.Empty(t, headerOf(r, "weir-rejected-length"))
		}
	}
}
