package abuse

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka/kafkatest"
)

// neighbour is a client that does everything right: batch after batch, each when the one before was answered.
type neighbour struct {
	w      *world
	served atomic.Int64 // batches
	fault  error        // read once ended is closed
	ended  chan struct{}
	stop   context.CancelFunc
}

const neighbourBatch = 5

func (w *world) neighbour() *neighbour {
	ctx, stop := context.WithCancel(context.Background())
	n := &neighbour{w: w, ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(n.ended)
		client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: patience}
		defer client.CloseIdleConnections()
		for ctx.Err() == nil && n.fault == nil {
			if n.fault = n.send(client); n.fault == nil {
				n.served.Add(1)
			}
		}
	}()
	return n
}

func eventOf(id string) string {
	return fmt.Sprintf(`{"type":"track","event":"Bought","userId":"u1","messageId":%q}`, id)
}

func (n *neighbour) ids(batch int64) (ids []string) {
	for i := range neighbourBatch {
		ids = append(ids, fmt.Sprintf("neighbour-%d-%d", batch, i))
	}
	return ids
}

func (n *neighbour) send(client *http.Client) error {
	var events []string
	for _, id := range n.ids(n.served.Load()) {
		events = append(events, eventOf(id))
	}
	status, answer, err := n.w.post(client, goodKey, `{"batch":[`+strings.Join(events, ",")+`]}`, "")
	if err == nil && (status != 200 || answer != `{"success":true}`) {
		err = fmt.Errorf("the neighbour was answered %d %s", status, answer)
	}
	return err
}

// more waits until so many more batches were answered, whose requests began after now.
func (n *neighbour) more(t *testing.T, batches int64) {
	t.Helper()
	wanted := n.served.Load() + 1 + batches
	await(t, "the neighbour is served", func() bool {
		select {
		case <-n.ended:
			require.NoError(t, n.fault)
		default:
		}
		return n.served.Load() >= wanted
	})
}

// end stops it and says which of its events were acknowledged.
func (n *neighbour) end(t *testing.T) (ids []string) {
	t.Helper()
	n.stop()
	<-n.ended
	require.NoError(t, n.fault)
	for batch := range n.served.Load() {
		ids = append(ids, n.ids(batch)...)
	}
	return ids
}

// post sends a batch; encoding "" = none.
func (w *world) post(client *http.Client, key, body, encoding string) (status int, answer string, err error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+w.addr+"/v1/batch", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.SetBasicAuth(key, "")
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// requireOnce sees that the topic holds each of the events once, and no other.
func (w *world) requireOnce(t *testing.T, ids []string) {
	t.Helper()
	times := map[string]int{}
	for _, r := range kafkatest.ReadAll(t, topic, kgo.SeedBrokers(w.kafka.Addr())) {
		times[idOf(t, r.Value)]++
	}
	for _, id := range ids {
		require.Equal(t, 1, times[id], id)
	}
	require.Len(t, times, len(ids))
}
