package gateway

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A gateway's live tail is on its admin port and nowhere else, shows where an event stands in Kafka and nothing of a person,
// and ends with the gateway.
func TestLiveTail(t *testing.T) {
	w := start(t, nil)
	admin := httptest.NewServer(w.tel.AdminHandler())
	defer admin.Close()
	ask := func(query string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", admin.URL+tailPath+query, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	require.Equal(t, http.StatusBadRequest, ask("?filter=email%3Dx").StatusCode)
	require.Equal(t, http.StatusNotFound, do(t, w.request("GET", tailPath, "")).status)
	require.Zero(t, w.metric("weir_gateway_livetail_watchers"))

	resp := ask("?source=source1")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	in := bufio.NewScanner(resp.Body)
	next := func() map[string]any {
		for in.Scan() {
			if text, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				require.NotContains(t, text, "ada")
				require.NotContains(t, text, "key1")
				return fields(t, []byte(text))
			}
		}
		require.FailNow(t, "the stream has ended", "%v", in.Err())
		return nil
	}
	require.True(t, in.Scan()) // it watches from here on
	require.EqualValues(t, 1, w.metric("weir_gateway_livetail_watchers"))
	require.Equal(t, 200, w.post("/v1/track", `{"writeKey":"key2","event":"Other","userId":"u"}`).status)
	require.Equal(t, 200, w.batch(
		`{"type":"identify","userId":"u1","messageId":"m1","writeKey":"key1","traits":{"email":"ada@example.com"},"context":{"ip":"192.0.2.1"}}`,
		`{"type":"nothing","messageId":"m2","userId":"","properties":{"comment":"ada"}}`,
	).status)
	first, second := next(), next()
	require.Equal(t, "accepted", first["outcome"])
	event := first["event"].(map[string]any)
	require.Equal(t, "u1", event["userId"])
	require.Equal(t, map[string]any{"email": "***"}, event["traits"])
	for _, r := range w.records(w.cfg.Topic) {
		if string(r.Key) == "source1" {
			require.EqualValues(t, first["partition"], r.Partition)
			require.EqualValues(t, first["offset"], r.Offset)
		}
	}
	require.Equal(t, "rejected", second["outcome"])
	require.NotEmpty(t, second["reason"])
	require.NotContains(t, second, "event")
	require.EqualValues(t, 2, w.metric(`weir_gateway_livetail_events_total{outcome="shown"}`))

	w.stop()
	require.Equal(t, map[string]any{"reason": "the gateway drains"}, next())
	for in.Scan() {
		require.Empty(t, in.Text(), "nothing follows the end")
	}
	err := <-w.done
	w.done <- err
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, ask("").StatusCode)
}

// A request that Kafka does not take is shown as refused, with no event of it.
func TestLiveTailOfARefusal(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		ctx, cancel := context.WithCancel(t.Context())
		rec := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.gateway.tap.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/tail?filter=refused", nil))
		}()
		c := b.broker()
		c.Close()
		a, _ := b.post("m")
		require.Equal(t, 503, a.status)
		cancel()
		<-ended
		require.Contains(t, rec.Body.String(), `"source":"source1","outcome":"refused","reason":"unavailable","events":1}`)
	})
}
