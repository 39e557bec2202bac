package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func lines(t testing.TB, file string) [][]byte {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	var all [][]byte
	for s.Scan() {
		all = append(all, bytes.Clone(s.Bytes()))
	}
	require.NoError(t, s.Err())
	return all
}

// capture is one request of an unmodified client library.
type capture struct {
	client string
	route  Route
	header map[string]string
	body   []byte // decompressed
}

func captures(t testing.TB) (all []capture) {
	routes := map[string]Route{
		"/v1/batch": Batch, "/v1/b": Batch, "/v1/import": Batch, "/v1/t": Track, "/v1/i": Identify, "/v1/p": Page,
		"/v1/s": Screen, "/v1/g": Group, "/v1/a": Alias,
	}
	for _, line := range lines(t, "../../../../loadtest/replay/testdata/sdk-captures.jsonl") {
		var raw struct {
			Client, Method, Path string
			RawHeaders           []string
			Body                 []byte `json:"body_b64"`
		}
		require.NoError(t, json.Unmarshal(line, &raw))
		if raw.Method != "POST" {
			continue
		}
		c := capture{client: raw.Client, header: map[string]string{}, body: raw.Body}
		for i := 0; i < len(raw.RawHeaders); i += 2 {
			c.header[strings.ToLower(raw.RawHeaders[i])] = raw.RawHeaders[i+1]
		}
		if c.header["content-encoding"] == "gzip" {
			z, err := gzip.NewReader(bytes.NewReader(c.body))
			require.NoError(t, err)
			c.body, err = io.ReadAll(z)
			require.NoError(t, err)
		}
		var ok bool
		c.route, ok = routes[raw.Path]
		require.True(t, ok, raw.Path)
		all = append(all, c)
	}
	return all
}

func TestClientLibraries(t *testing.T) {
	all := captures(t)
	require.Len(t, all, 20)
	var in Intake
	events := 0
	for _, c := range all {
		r := request(c.route, string(c.body))
		require.NoError(t, in.Parse(r), c.client)
		require.Empty(t, in.Rejected, c.client)
		require.Zero(t, in.Duplicates, c.client)
		compare(t, &in, r)
		events += len(in.Events)
		basic, hasBasic := strings.CutPrefix(c.header["authorization"], "Basic ")
		key, err := base64.StdEncoding.DecodeString(basic)
		require.NoError(t, err)
		if in.WriteKey != nil && hasBasic {
			require.Equal(t, strings.TrimSuffix(string(key), ":"), string(in.WriteKey), c.client)
		}
		require.True(t, hasBasic || in.WriteKey != nil, "%s names a write key somewhere", c.client)
		for _, e := range in.Events {
			require.NotContains(t, string(e.Value), "writeKey")
			// Only the browser's library gets an address.
			require.Equal(t, strings.Contains(c.client, "analytics-next"), strings.Contains(string(e.Value), r.ClientIP), c.client)
		}
	}
	require.Equal(t, 94, events)
}

// Exactly the events without any id, and the track without a name, are rejected.
func TestSegmentEvents(t *testing.T) {
	all := lines(t, "../../../../loadtest/replay/testdata/segment-events.jsonl")
	require.Len(t, all, 198)
	want := map[int]string{25: CodeNoID, 52: CodeNoID, 53: CodeNoID, 89: CodeNoID, 90: CodeNoID, 102: CodeNoEvent}
	got := map[int]string{}
	var in Intake
	for i, line := range all {
		r := request(Batch, `{"batch":[`+string(line)+`]}`)
		require.NoError(t, in.Parse(r))
		compare(t, &in, r)
		if len(in.Rejected) > 0 {
			got[i] = in.Rejected[0].Code
		}
	}
	require.Equal(t, want, got)

	r := request(Batch, `{"batch":[`+string(bytes.Join(all, []byte(",")))+`]}`)
	r.Body = bytes.ReplaceAll(r.Body, []byte(`"writeKey"`), []byte(`"otherKey"`)) // they come from several sources
	require.NoError(t, in.Parse(r))
	compare(t, &in, r)
	require.Len(t, in.Rejected, 6)
	require.Positive(t, in.Duplicates)
}
