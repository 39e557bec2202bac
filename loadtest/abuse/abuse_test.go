// Package abuse does to a gateway what clients do that are broken or mean, many things at once, and holds that three
// things stay so: what the gateway's process holds is bounded by its settings, a client that does everything right is
// served all the time, and every event that was acknowledged is in Kafka once. It judges no speed. Owned by the gateway.
package abuse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/pkg/settings"
)

func idOf(t *testing.T, value []byte) string {
	t.Helper()
	var event struct{ MessageID string }
	require.NoError(t, json.Unmarshal(value, &event))
	return event.MessageID
}

// zeros is what a bomb is of.
var zeros = bytes.Repeat([]byte{'0'}, 8<<20)

// gzipBomb unpacks to a GiB: an archive may have many members.
func gzipBomb(t *testing.T) string {
	var member bytes.Buffer
	z, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	require.NoError(t, err)
	_, err = z.Write(zeros)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return strings.Repeat(member.String(), 128)
}

// zstdBomb unpacks to 8 GiB, and does not say so.
func zstdBomb(t *testing.T) string {
	var frame bytes.Buffer
	z, err := zstd.NewWriter(&frame, zstd.WithWindowSize(8<<20))
	require.NoError(t, err)
	_, err = z.Write(zeros)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return strings.Repeat(frame.String(), 1024)
}

// large is a batch of 3 MB: events of 200 KB, as a library has been seen to send, and one that is as it should be.
func large(id string) string {
	events := []string{eventOf(id)}
	for i := range 15 {
		events = append(events, fmt.Sprintf(`{"type":"track","event":"Large","userId":"u","messageId":"large-%d","properties":{"x":%q}}`, i, strings.Repeat("x", 200_000)))
	}
	return `{"batch":[` + strings.Join(events, ",") + `]}`
}

// Headers that do not end, and bodies that do not either, stay while the rest happens.
func TestAbuse(t *testing.T) {
	w := start(t)
	n := w.neighbour()
	defer n.stop()
	n.more(t, 1)
	herd := w.loris(200)
	const half = int(2 * settings.MiB)
	halves := w.halves(t, 8, half)
	defer hangUp(halves)
	held := herd.size + len(halves)
	await(t, "what half bodies hold is charged", func() bool { return w.held() >= float64(len(halves)/2*half) })
	n.more(t, 10)
	w.requireBounded(t, held)

	t.Run("bodies", func(t *testing.T) { w.bodies(t, n, held) })
	var stored []string
	t.Run("large events", func(t *testing.T) { stored = w.largeEvents(t, n, held) })
	t.Run("answers that nobody reads", func(t *testing.T) { w.unread(t, n, held) })
	t.Run("bodies that are only promised", func(t *testing.T) {
		promises := w.promises(t, 20)
		defer hangUp(promises)
		await(t, "every promise has been let in", func() bool { return w.metric("http_server_active_requests") >= float64(len(promises)) })
		require.Less(t, w.held(), float64(inFlight/2), "they hold next to nothing")
		n.more(t, 10)
		w.requireBounded(t, held+len(promises))
	})
	t.Run("headers that do not end", func(t *testing.T) {
		herd.herd.Wait()
		require.EqualValues(t, herd.size, herd.cut.Load(), "the gateway ends them")
		n.more(t, 10)
	})
	t.Run("idle connections", func(t *testing.T) {
		kept := w.idle(t, idleConnections())
		defer hangUp(kept)
		n.more(t, 10)
		w.requireBounded(t, len(halves)+len(kept))
	})

	hangUp(halves)
	stored = append(stored, n.end(t)...)
	await(t, "all that requests held is given back", func() bool { return w.held() == 0 })
	w.requireOnce(t, stored)
	require.NoError(t, w.end())
	log, err := os.ReadFile(w.log)
	require.NoError(t, err)
	require.NotContains(t, string(log), "met a defect")
	require.NotContains(t, string(log), "write-key")
}

func idleConnections() int {
	if testing.Short() {
		return 1000
	}
	return 10_000
}

// bodies are refused, each as a whole.
func (w *world) bodies(t *testing.T, n *neighbour, held int) {
	brackets := strings.Repeat("[", 250_000) + strings.Repeat("]", 250_000)
	for _, c := range []struct{ name, body, encoding, says string }{
		{"gzip bomb", gzipBomb(t), "gzip", `"payload_too_large"`},
		{"zstd bomb", zstdBomb(t), "zstd", `"payload_too_large"`},
		{"brackets", brackets, "", `"invalid_request"`},
		{"brackets in a batch", `{"batch":[` + brackets + `]}`, "", `"invalid_request"`},
		{"brackets in an event", `{"batch":[{"type":"track","event":"e","userId":"u","properties":{"x":` + brackets + `}}]}`, "", `"invalid_request"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			often(func(int) {
				status, answer, err := w.post(http.DefaultClient, badKey, c.body, c.encoding)
				require.NoError(t, err)
				require.Equal(t, 400, status, answer)
				require.Contains(t, answer, c.says)
			})
			n.more(t, 10)
			w.requireBounded(t, held)
		})
	}
}

// largeEvents are rejected one by one; it says which events beside them were not.
func (w *world) largeEvents(t *testing.T, n *neighbour, held int) (stored []string) {
	var mu sync.Mutex
	often(func(i int) {
		id := fmt.Sprint("beside the large ", i)
		status, answer, err := w.post(http.DefaultClient, badKey, large(id), "")
		require.NoError(t, err)
		require.Equal(t, 200, status, answer)
		require.Equal(t, 15, strings.Count(answer, `"event_too_large"`))
		mu.Lock()
		defer mu.Unlock()
		stored = append(stored, id)
	})
	n.more(t, 10)
	w.requireBounded(t, held)
	return stored
}

// unread are long answers: of batches of which nothing is an event, each is listed.
func (w *world) unread(t *testing.T, n *neighbour, held int) {
	body := `{"batch":[` + strings.TrimSuffix(strings.Repeat("0,", 2500), ",") + `]}`
	request := fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head(badKey), len(body), body)
	const clients = 2
	var group sync.WaitGroup
	for range clients {
		conn := w.dial()
		defer conn.Close()
		group.Go(func() { require.ErrorIs(t, deaf(conn, request), os.ErrDeadlineExceeded) })
	}
	n.more(t, 10)
	group.Wait()
	n.more(t, 10)
	w.requireBounded(t, held+clients)
}

// often does it eight times, two at once.
func often(do func(i int)) {
	var group sync.WaitGroup
	for g := range 2 {
		group.Go(func() {
			for i := range 4 {
				do(4*g + i)
			}
		})
	}
	group.Wait()
}
