package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// capture is one request as an unmodified library sent it.
type capture struct {
	Client     string
	Method     string
	Path       string
	HTTP       string
	RawHeaders []string
	Body       []byte `json:"body_b64"`
}

func captures(t testing.TB) (list []capture) {
	t.Helper()
	text, err := os.ReadFile("../../loadtest/replay/testdata/sdk-captures.jsonl")
	require.NoError(t, err)
	dec := json.NewDecoder(bytes.NewReader(text))
	for dec.More() {
		var c capture
		require.NoError(t, dec.Decode(&c))
		list = append(list, c)
	}
	return list
}

// bytes is the request byte for byte.
func (c capture) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n", c.Method, c.Path, c.HTTP)
	for i := 0; i < len(c.RawHeaders); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", c.RawHeaders[i], c.RawHeaders[i+1])
	}
	b.WriteString("\r\n")
	b.Write(c.Body)
	return b.Bytes()
}

// events are the events in the body, as sent.
func (c capture) events(t *testing.T) []map[string]any {
	t.Helper()
	text := c.Body
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(text))
		require.NoError(t, err)
		text, err = io.ReadAll(z)
		require.NoError(t, err)
	}
	var body struct{ Batch []map[string]any }
	require.NoError(t, json.Unmarshal(text, &body))
	if body.Batch == nil {
		return []map[string]any{fields(t, text)}
	}
	return body.Batch
}

// raw sends bytes over a connection of its own and reads one answer.
func (w *world) raw(method string, request []byte) answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	require.NoError(w.t, err)
	defer conn.Close()
	_, err = conn.Write(request)
	require.NoError(w.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(w.t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close}
}

func TestCapturedRequestsByteForByte(t *testing.T) {
	w := start(t, nil)
	sent := map[string]map[string]any{}
	posts, gets := 0, 0
	for i, c := range captures(t) {
		a := w.raw(c.Method, c.bytes())
		name := fmt.Sprintf("request %d of %s", i, c.Client)
		require.Equal(t, 200, a.status, "%s: %s", name, a.body)
		require.Equal(t, "application/json", a.header.Get("Content-Type"), name)
		if c.Method == "GET" {
			gets++
			requireSettings(t, a.body, "wk_ajs")
			continue
		}
		posts++
		require.Equal(t, `{"success":true}`, a.body, name)
		for _, e := range c.events(t) {
			sent[e["messageId"].(string)] = e
		}
	}
	require.Equal(t, 20, posts)
	require.Equal(t, 2, gets)
	require.Empty(t, w.records(w.cfg.RejectedTopic))

	stored := w.records(w.cfg.Topic)
	require.Len(t, stored, 94)
	seen := map[string]int{}
	for _, r := range stored {
		got := fields(t, r.Value)
		id := got["messageId"].(string)
		seen[id]++
		want := sent[id]
		require.NotNil(t, want, "messageId %s was not sent", id)
		require.Contains(t, []string{"node", "browser", "others"}, string(r.Key))
		require.Equal(t, headerOf(r, "weir-received-at"), got["receivedAt"])
		require.Len(t, headerOf(r, "weir-request-id"), 36)
		require.NotContains(t, got, "writeKey")
		for _, same := range []string{"type", "event", "userId", "properties", "traits", "name", "groupId", "previousId"} {
			require.Equal(t, want[same], got[same], "%s of %s", same, id)
		}
		requireTimestamps(t, want, got)
	}
	// The python library sent the same seven events twice, plain and compressed.
	require.Len(t, seen, len(sent))
}

func requireTimestamps(t *testing.T, sent, got map[string]any) {
	t.Helper()
	if sent["originalTimestamp"] != nil {
		require.Equal(t, sent["originalTimestamp"], got["originalTimestamp"])
	} else if sent["timestamp"] != nil {
		require.Equal(t, sent["timestamp"], got["originalTimestamp"])
	}
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, got["timestamp"])
}

func requireSettings(t *testing.T, body, key string) {
	t.Helper()
	doc := fields(t, []byte(body))
	segment := doc["integrations"].(map[string]any)["Segment.io"].(map[string]any)
	require.Equal(t, key, segment["apiKey"])
	require.NotContains(t, segment, "apiHost")
	require.EqualValues(t, 0, doc["metrics"].(map[string]any)["sampleRate"])
	require.Contains(t, doc["plan"], "track")
	require.Equal(t, []any{}, doc["remotePlugins"])
}

// A capture that lost its colon, or gained a padding, is still a good key.
func TestKeysInTheirForms(t *testing.T) {
	w := start(t, nil)
	event := `{"type":"track","event":"e","userId":"u"%s}`
	for name, c := range map[string]struct{ path, field, authorization string }{
		"basic":              {"/v1/t", "", basicKey1},
		"basic lower case":   {"/v1/t", "", "basic a2V5MTo="},
		"basic no colon":     {"/v1/t", "", "Basic " + base64.StdEncoding.EncodeToString([]byte("key1"))},
		"basic no padding":   {"/v1/t", "", "Basic a2V5MTo"},
		"basic and password": {"/v1/t", "", "Basic " + base64.StdEncoding.EncodeToString([]byte("key1:ignored"))},
		"second key":         {"/v1/t", "", "Basic " + base64.StdEncoding.EncodeToString([]byte("key1-next:"))},
		"body":               {"/v1/t", `,"writeKey":"key1"`, ""},
		"bearer and body":    {"/v1/t", `,"writeKey":"key1"`, "Bearer abc"},
		"empty basic, body":  {"/v1/t", `,"writeKey":"key1"`, "Basic Og=="},
		"broken basic, body": {"/v1/t", `,"writeKey":"key1"`, "Basic !!"},
		"query":              {"/v1/t?x=1&writeKey=key1", "", ""},
		"header before body": {"/v1/t", `,"writeKey":"nobody"`, basicKey1},
		"body before query":  {"/v1/t?writeKey=nobody", `,"writeKey":"key1"`, ""},
	} {
		headers := []string{}
		if c.authorization != "" {
			headers = append(headers, "Authorization", c.authorization)
		}
		a := w.post(c.path, fmt.Sprintf(event, c.field), headers...)
		require.Equal(t, `{"success":true}`, a.body, name)
	}
	a := w.post("/v1/batch", `{"batch":[`+fmt.Sprintf(event, `,"writeKey":"key1"`)+`,`+fmt.Sprintf(event, `,"writeKey":"key1"`)+`]}`)
	require.Equal(t, `{"success":true}`, a.body, "a key in each event")
	for _, r := range w.records(w.cfg.Topic) {
		require.Equal(t, "source1", string(r.Key))
		require.NotContains(t, string(r.Value), "key1")
	}
	require.NotContains(t, w.logs.text(), "key1")
}
