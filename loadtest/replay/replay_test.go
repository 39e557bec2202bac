//go:build duckdb

package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
	"weir/pkg/kafka/kafkatest"
)

const docsKey = "docs-write-key"

// The corpus goes through the processes as users run them: 22 captured requests byte for byte, and the 198
// events of the Segment documentation one request each.
func TestCorpus(t *testing.T) {
	captures, err := Lines[Capture]("testdata/sdk-captures.jsonl")
	require.NoError(t, err)
	require.Len(t, captures, 22)
	events, err := Lines[json.RawMessage]("testdata/segment-events.jsonl")
	require.NoError(t, err)
	require.Len(t, events, 198)

	w, lakeDir := fleet.Embedded(t)
	w.Sources = sourcesOf(captures)
	f := fleet.Launch(t, w)

	replayCaptures(t, f, captures)
	taken, refused := postEvents(t, f, events)
	require.NoError(t, f.Drained(t.Context(), time.Minute))

	sdk, err := ReadTable(t.Context(), lakeDir, "sdk")
	require.NoError(t, err)
	require.Len(t, sdk, 94, "the events of the 20 captured POSTs")

	docs, err := ReadTable(t.Context(), lakeDir, "docs")
	require.NoError(t, err)
	require.Len(t, docs, len(taken))
	for i, row := range docs {
		require.Empty(t, Differences(row, taken[i]), "event %v", taken[i])
	}
	require.Equal(t, refused, rejectedReasons(t, w.Broker))
	t.Logf("%d captured events and %d of %d documented ones are in the table; refused %v", len(sdk), len(docs), len(events), refused)
}

func sourcesOf(captures []Capture) string {
	keys := map[string]bool{"wk_body": true, "wk_python": true, "wk_test": true}
	for _, c := range captures {
		keys[c.WriteKey()] = true
	}
	return fmt.Sprintf("sources:\n- {id: sdk, enabled: true, write_keys: [%s]}\n- {id: docs, enabled: true, write_keys: [%s]}\n",
		strings.Join(slices.Sorted(maps.Keys(keys)), ", "), docsKey)
}

func replayCaptures(t *testing.T, f *fleet.Fleet, captures []Capture) {
	posts := 0
	for _, c := range captures {
		status, answer, err := c.Send(f.Gateway)
		require.NoError(t, err, c.Client)
		require.Equal(t, http.StatusOK, status, "%s %s: %s", c.Client, c.Path, answer)
		if c.Method == http.MethodPost {
			posts++
			require.JSONEq(t, `{"success":true}`, string(answer), c.Client)
			continue
		}
		var document struct {
			Integrations map[string]struct{ APIKey string }
		}
		require.NoError(t, json.Unmarshal(answer, &document))
		require.Equal(t, c.WriteKey(), document.Integrations["Segment.io"].APIKey)
	}
	require.Equal(t, 20, posts)
}

// postEvents sends each event in a request of its own; it returns those that must be in the table, in order,
// and how often each reason must be in weir.rejected.
func postEvents(t *testing.T, f *fleet.Fleet, events []json.RawMessage) (taken []map[string]any, refused map[string]int) {
	refused = map[string]int{}
	for _, text := range events {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var event map[string]any
		require.NoError(t, decoder.Decode(&event))
		body := fmt.Appendf(nil, `{"batch":[%s]}`, text)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.Gateway+"/v1/batch", bytes.NewReader(body))
		require.NoError(t, err)
		req.SetBasicAuth(docsKey, "")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
		if reason := Refusal(event); reason != "" {
			refused[reason]++
		} else {
			taken = append(taken, event)
		}
	}
	require.Equal(t, map[string]int{"no_user_anon_id": 5, "event_not_defined": 1}, refused, "the corpus itself")
	return taken, refused
}

func rejectedReasons(t *testing.T, broker string) map[string]int {
	reasons := map[string]int{}
	for _, r := range kafkatest.ReadAll(t, "weir.rejected", kgo.SeedBrokers(broker)) {
		for _, h := range r.Headers {
			if h.Key == "weir-rejected-reason" {
				reasons[string(h.Value)]++
			}
		}
	}
	return reasons
}
