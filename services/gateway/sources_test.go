package gateway

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/services/gateway/internal/source"
)

func basic(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")) }

// startWith runs a gateway with more sources.
func startWith(t *testing.T, more string) *world {
	t.Helper()
	return start(t, func(c *Config) {
		require.NoError(t, os.WriteFile(c.Sources, []byte(sourcesYAML+more), 0o600))
	})
}

// What a rule drops or hashes stands nowhere in Kafka: in no event, in nothing that is
// rejected, in no batch's context, for no spelling of its key.
func TestRulesBeforeKafka(t *testing.T) {
	t.Setenv("WEIR_TEST_HMAC", "a key that is long enough")
	w := startWith(t, `
  - id: ruled
    write_keys: [wk-ruled]
    drop: [properties.email, traits.email, context.secret]
    hmac: {paths: [userId, context.device], key_env: WEIR_TEST_HMAC}
    ip: mask
    blocked_events: [Noise]
    suppressed_users: [gone-for-ever]
`)
	body := `{"context":{"secret":"PII-1","direct":true,"device":"PII-2"},"batch":[` + strings.Join([]string{
		`{"type":"track","event":"e","userId":"PII-3","messageId":"a","properties":{"\u0065mail":"PII-4","email":"PII-5","price":9.90}}`,
		`{"type":"track","userId":"PII-3","messageId":"b","properties":{"email":["PII-6"]},"context":{"secret":{"x":"PII-7"}}}`,
		`{"type":"track","event":"Noise","userId":"PII-3","messageId":"c","properties":{"email":"PII-8"}}`,
		`{"type":"track","event":"e","userId":"gone-for-ever","messageId":"d","properties":{"x":"PII-9"}}`,
		`{"type":7,"userId":"gone-for-ever","messageId":"e"}`,
		`[{"type":"track","properties":{"email":"PII-10"}}]`,
	}, ",") + `],"context":{"secret":"PII-11","direct":true,"device":"PII-12"}}`
	a := w.post("/v1/batch", body, "Authorization", basic("wk-ruled"))
	require.Equal(t, 200, a.status, a.body)
	for i, code := range map[int]string{1: "event_not_defined", 2: "event_blocked", 3: "user_suppressed", 4: "user_suppressed", 5: "not_object"} {
		require.Contains(t, a.body, fmt.Sprintf(`{"index":%d`, i))
		require.Contains(t, a.body, code)
	}
	events, rejected := w.records(w.cfg.Topic), w.records(w.cfg.RejectedTopic)
	require.Len(t, events, 1)
	require.Len(t, rejected, 2, "nobody knows whose an array is")
	for _, r := range append(events, rejected...) {
		require.NotContains(t, string(r.Value), "PII")
		require.NotContains(t, string(r.Value), "gone-for-ever")
	}
	require.Contains(t, string(events[0].Value), `"properties":{"price":9.90}`, "the rest is as it was")
	require.Equal(t, "127.0.0.0", fields(t, events[0].Value)["context"].(map[string]any)["ip"])

	// The same where the body names the key.
	a = w.post("/v1/track", `{"writeKey":"wk-ruled","event":"e","userId":"PII-3","properties":{"email":"PII-4"}}`)
	require.Equal(t, `{"success":true}`, a.body)
	for _, r := range w.records(w.cfg.Topic) {
		require.NotContains(t, string(r.Value), "PII")
	}
	require.NotContains(t, w.logs.text(), "PII")
	require.NotContains(t, w.logs.text(), "gone-for-ever")
	require.EqualValues(t, 2, w.metric(`weir_gateway_events_total{outcome="rejected",reason="user_suppressed",weir_source="ruled"}`))
	w.requireNothingHeld()
}

func TestOrigins(t *testing.T) {
	w := startWith(t, `
  - {id: shop, write_keys: [wk-shop], allowed_origins: ["https://shop.example"]}
`)
	body := `{"writeKey":"wk-shop","event":"e","userId":"u"}`
	for origin, status := range map[string]int{"https://shop.example": 200, "https://evil.example": 403, "null": 403} {
		for name, a := range map[string]answer{
			"header": w.post("/v1/t", track("m"), "Origin", origin, "Authorization", basic("wk-shop")),
			"body":   w.post("/v1/t", body, "Origin", origin),
			"query":  w.post("/v1/t?writeKey=wk-shop", track("m"), "Origin", origin),
		} {
			require.Equal(t, status, a.status, "%s %s", origin, name)
			require.Equal(t, origin, a.header.Get("Access-Control-Allow-Origin"), "the library must read why")
			if status != 200 {
				require.Equal(t, "origin_not_allowed", a.code(t))
			}
		}
		settings := do(t, w.request("GET", "/v1/projects/wk-shop/settings", "", "Origin", origin))
		require.Equal(t, status, settings.status)
	}
	require.Equal(t, 200, w.post("/v1/t", body).status, "a server says no origin")
	require.Equal(t, 200, w.post("/v1/t", track("m"), "Origin", "https://evil.example", "Authorization", basicKey1).status)
	require.Len(t, w.records(w.cfg.Topic), 5)
}

// A source over its limits is told 429 and when to come back, whatever its library; others
// do not notice, and what was told holds.
func TestLimits(t *testing.T) {
	more := `
  - {id: slow, write_keys: [wk-slow], limits: {events_per_second: 10, burst: 2s}}
  - {id: thin, write_keys: [wk-thin], limits: {bytes_per_second: 1KiB, burst: 1s}}
`
	inBubble(t, func(c *Config) {
		require.NoError(t, os.WriteFile(c.Sources, []byte(sourcesYAML+more), 0o600))
	}, func(t *testing.T, b *bubble) {
		b.broker()
		post := func(headers ...string) answer {
			a, _ := b.post("m", headers...)
			return a
		}
		slow := []string{"Authorization", basic("wk-slow")}
		for i := range 20 {
			require.Equal(t, 200, post(slow...).status, i)
		}
		for _, agent := range []string{"analytics-ruby/2.5.0", "analytics-node/6.2.0", "Mozilla/5.0", "analytics-go", ""} {
			a := post(append(slow, "User-Agent", agent)...)
			requireAgain(t, a, 429, "rate_limited")
			require.Equal(t, 200, post().status, "another source")
		}
		time.Sleep(time.Second)
		for range 10 {
			require.Equal(t, 200, post(slow...).status)
		}
		a := post(slow...)
		require.Equal(t, 429, a.status)
		wait, err := strconv.Atoi(a.header.Get("Retry-After"))
		require.NoError(t, err)
		time.Sleep(time.Duration(wait) * time.Second)
		require.Equal(t, 200, post(slow...).status)

		thin := []string{"Authorization", basic("wk-thin")}
		a, _ = b.post(strings.Repeat("x", 60<<10), thin...)
		require.Equal(t, 200, a.status, "larger than the bucket, and it is full")
		a = post(thin...)
		require.Equal(t, 429, a.status)
		require.Equal(t, "rate_limited", a.code(t))
		wait, err = strconv.Atoi(a.header.Get("Retry-After"))
		require.NoError(t, err)
		require.Greater(t, wait, 50)
		require.LessOrEqual(t, wait, 60)
		time.Sleep(61 * time.Second)
		require.Equal(t, 200, post(thin...).status)
	})
}

// Whoever is over a limit is refused whatever becomes of the body, and what Kafka did not take uses
// no limit up.
func TestLimitsCountWhatIsStored(t *testing.T) {
	more := `
  - {id: slow, write_keys: [wk-slow], limits: {events_per_second: 1, burst: 9s}}
`
	inBubble(t, func(c *Config) {
		c.AckDeadline = 2 * time.Second
		require.NoError(t, os.WriteFile(c.Sources, []byte(sourcesYAML+more), 0o600))
	}, func(t *testing.T, b *bubble) {
		c := b.broker()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		var posts sync.WaitGroup
		for range 9 {
			posts.Go(func() {
				a, _ := b.post("m", "Authorization", basic("wk-slow"))
				requireAgain(t, a, 503, "unavailable")
			})
		}
		posts.Wait()
		fault.Remove()
		for range 9 {
			require.Equal(t, 200, b.status("wk-slow"))
		}
		conn, err := b.net.DialContext(t.Context(), "tcp", virtualAddr)
		require.NoError(t, err)
		_, err = io.WriteString(conn, "POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nAuthorization: "+basic("wk-slow")+"\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 429, resp.StatusCode)
		require.NoError(t, conn.Close())
	})
}

// The limit of a source whose key stands in the body is judged once it is read, and the
// metric names it.
func TestLimitsOfAKeyInTheBody(t *testing.T) {
	w := startWith(t, `
  - {id: slow, write_keys: [wk-slow], limits: {events_per_second: 1, burst: 1s}}
`)
	body := `{"batch":[` + track("a") + `,` + track("b") + `,` + strings.Repeat(track("c")+",", 3600) + track("d") + `],"writeKey":"wk-slow"}`
	require.Equal(t, 200, w.post("/v1/batch", body).status)
	a := w.post("/v1/batch", body)
	require.Equal(t, 429, a.status, a.body)
	require.Equal(t, "rate_limited", a.code(t))
	require.Equal(t, 429, w.post("/v1/batch", batchOf(track("e")), "Authorization", basic("wk-slow")).status)
	require.EqualValues(t, 2, w.metric(`weir_gateway_rejections_total{reason="rate_limited",weir_source="slow"}`))
	w.requireNothingHeld()
}

// A key that is taken away, or a source that is switched off, is refused within five
// seconds; a key that was added is good within them.
func TestRevocationWithinFiveSeconds(t *testing.T) {
	const within = 5 * time.Second
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		status := func(key string) int {
			a, _ := b.post("m", "Authorization", basic(key))
			return a.status
		}
		edit := func(e source.Edit) {
			require.NoError(t, source.EditFile(b.cfg.Sources, e))
			time.Sleep(within)
		}
		require.Equal(t, 200, status("key1"))
		edit(source.Rotate("source1", source.Secret{Key: "fresh", Salt: "salt"}))
		require.Equal(t, 401, status("key1"), "the oldest of three")
		require.Equal(t, 200, status("key1-next"))
		require.Equal(t, 200, status("fresh"))
		edit(source.Retire("source1"))
		require.Equal(t, 401, status("key1-next"))
		require.Equal(t, 200, status("fresh"))
		edit(source.Enable("source1", false))
		require.Equal(t, 403, status("fresh"))
		edit(source.Enable("source1", true))
		require.Equal(t, 200, status("fresh"))
		edit(source.Add("new", "", source.Secret{Key: "new-key", Salt: "salt"}))
		require.Equal(t, 200, status("new-key"))
	})
}

// What holds when a body is complete counts, however long ago it began: neither a key that was taken away meanwhile, nor a
// source that was switched off, stores anything; rules that came to hold do.
func TestRevocationWhileABodyArrives(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(text string) string
		status int
		stored int64
	}{
		"the source is switched off": {func(s string) string { return strings.Replace(s, "name: ", "enabled: false, name: ", 1) }, 403, 0},
		"the key is taken away":      {func(s string) string { return strings.Replace(s, "key1, key1-next", "key1-next", 1) }, 401, 0},
		"its user is suppressed":     {func(s string) string { return strings.Replace(s, "name: ", "suppressed_users: [u], name: ", 1) }, 200, 0},
		"nothing":                    {func(s string) string { return s }, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(c *Config) {
				text := "sources: [{id: source1, name: One, write_keys: [key1, key1-next]}]"
				require.NoError(t, os.WriteFile(c.Sources, []byte(text), 0o600))
			}, func(t *testing.T, b *bubble) {
				kafka := b.broker()
				body, in := io.Pipe()
				r, err := http.NewRequest("POST", "http://"+virtualAddr+"/v1/track", body)
				require.NoError(t, err)
				r.Header.Set("Authorization", basicKey1)
				answers := make(chan int, 1)
				go func() {
					resp, err := b.http.Do(r)
					if err != nil {
						answers <- 0
						return
					}
					_ = resp.Body.Close()
					answers <- resp.StatusCode
				}()
				event := `{"event":"e","userId":"u"}`
				_, err = in.Write([]byte(event[:10]))
				require.NoError(t, err)
				text, err := os.ReadFile(b.cfg.Sources)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(b.cfg.Sources, []byte(c.edit(string(text))), 0o600))
				time.Sleep(25 * time.Second)
				_, err = in.Write([]byte(event[10:]))
				require.NoError(t, err)
				require.NoError(t, in.Close())
				require.Equal(t, c.status, <-answers)
				require.Equal(t, c.stored, stored(kafka, b.cfg.Topic))
				require.Zero(t, b.bufferUsage())
			})
		})
	}
}
