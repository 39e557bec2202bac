package livetail

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/intake"
)

// client is one who watches. It takes nothing while its gate is shut.
type client struct {
	header http.Header
	gate   chan struct{} // nil = open

	mu       sync.Mutex
	deadline time.Time
	code     int
	text     strings.Builder
	ended    chan struct{}
	hangUp   context.CancelFunc
}

func (c *client) Header() http.Header { return c.header }
func (c *client) WriteHeader(code int) {
	c.code = code
}
func (c *client) Flush() {}

func (c *client) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *client) Write(p []byte) (int, error) {
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-time.After(time.Until(c.deadline)):
			return 0, os.ErrDeadlineExceeded
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

// read gives what has come since the last read, once everybody waits.
func (c *client) read() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.text.String()
	c.text.Reset()
	return text
}

func (c *client) leave() {
	c.hangUp()
	<-c.ended
}

// watch begins to watch; headers are pairs.
func watch(t *testing.T, tap *Tap, query string, gate chan struct{}, headers ...string) *client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{header: http.Header{}, gate: gate, ended: make(chan struct{}), hangUp: cancel}
	r := httptest.NewRequestWithContext(ctx, "GET", "/tail?"+query, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	go func() {
		defer close(c.ended)
		tap.ServeHTTP(c, r)
	}()
	if gate == nil {
		require.Equal(t, "retry: 1000\n\n", c.read())
		require.Equal(t, "text/event-stream", c.header.Get("Content-Type"))
	}
	return c
}

// events are an outcome of so many events.
func events(source string, n int, value string) ingest.Outcome {
	o := ingest.Outcome{Source: source, At: time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)}
	for i := range n {
		o.Events = append(o.Events, intake.Event{Index: i, Value: []byte(value), MessageID: fmt.Append(nil, "m", i)})
	}
	return o
}

const bought = `{"type":"track","event":"Bought","userId":"u1","traits":{"plan":"pro"}}`

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		tap.Note(events("shop", 1, bought)) // nobody sees it
		c := watch(t, tap, "", nil)
		require.Equal(t, 1, tap.Watchers())
		o := events("shop", 1, bought)
		o.Rejected = []intake.Rejection{{Index: 1, Code: "invalid_type", MessageID: []byte("ada@example.com"), Original: []byte(`{"secret":1}`)}}
		tap.Note(o)
		require.Equal(t, `id: run-1
data: {"at":"2026-11-29T10:00:00.000Z","source":"shop","outcome":"accepted","messageId":"m0","event":{"type":"track","event":"Bought","userId":"u1","traits":{"plan":"***"}}}

id: run-2
data: {"at":"2026-11-29T10:00:00.000Z","source":"shop","outcome":"rejected","reason":"invalid_type","messageId":"***"}

`, c.read())
		o = events("", 3, bought)
		o.Refusal = &ingest.Refusal{Code: "overloaded"}
		tap.Note(o)
		require.Equal(t, "id: run-3\ndata: "+`{"at":"2026-11-29T10:00:00.000Z","outcome":"refused","reason":"overloaded","events":3}`+"\n\n", c.read())
		tap.Note(events("shop", 1, `[`+strings.Repeat("100000,", 3000)+`1]`))
		require.Contains(t, c.read(), `,1000`+"00]"+`,"cut":true}`+"\n\n")
		time.Sleep(2 * beat)
		require.Equal(t, ": beat\n\n: beat\n\n", c.read())
		tap.Close()
		tap.Close()
		require.Equal(t, ": beat\n\nevent: end\ndata: {\"reason\":\"the gateway drains\"}\n\n", c.read())
		<-c.ended
		require.Zero(t, tap.Watchers())
		entries, over, missed := tap.Totals()
		require.Equal(t, []int64{4, 0, 0}, []int64{entries, over, missed})
	})
}

func TestWhoMayWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		ask := func(method, query string) *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			tap.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, "/tail?"+query, nil))
			return rec
		}
		require.Equal(t, http.StatusMethodNotAllowed, ask("POST", "").Code)
		require.Equal(t, http.StatusMethodNotAllowed, ask("HEAD", "").Code)
		for query, says := range map[string]string{
			"filter=email%3Dx": `filter "email=x": such a value is masked`, "filter=x": "is neither", "limit=3": `"limit" is none of`, "raw=true": `"raw" is none of`,
		} {
			rec := ask("GET", query)
			require.Equal(t, http.StatusBadRequest, rec.Code)
			require.Contains(t, rec.Body.String(), says)
		}
		var all []*client
		for range maxWatchers {
			all = append(all, watch(t, tap, "", nil))
		}
		rec := ask("GET", "")
		require.Equal(t, http.StatusServiceUnavailable, rec.Code)
		require.Equal(t, "5", rec.Header().Get("Retry-After"))
		all[3].leave()
		all[3] = watch(t, tap, "", nil)
		tap.Note(events("shop", 1, bought))
		for _, c := range all {
			require.Contains(t, c.read(), "id: run-1\n")
		}
		tap.Close()
		for _, c := range all {
			<-c.ended
		}
		require.Equal(t, http.StatusServiceUnavailable, ask("GET", "").Code)
	})
}

func TestEachSeesWhatItAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		byEvent := watch(t, tap, "event=Bou*&source=shop", nil)
		byType := watch(t, tap, "type=page", nil)
		rejected := watch(t, tap, "filter=rejected&filter=reason%3Dinvalid*", nil)
		tap.Note(events("shop", 1, bought))
		tap.Note(events("other", 1, bought))
		tap.Note(events("other", 1, `{"type":"page"}`))
		o := events("shop", 0, "")
		o.Rejected = []intake.Rejection{{Code: "invalid_type"}, {Code: "too_large"}}
		tap.Note(o)
		for c, want := range map[*client]string{byEvent: "Bought", byType: `"page"`, rejected: "invalid_type"} {
			text := c.read()
			require.Contains(t, text, want)
			require.Equal(t, 1, strings.Count(text, "data:"), text)
			c.leave()
		}
		entries, over, _ := tap.Totals()
		require.EqualValues(t, 3, entries, "what nobody asks for is not kept")
		require.Zero(t, over)
		require.Zero(t, tap.Watchers())
	})
}

// At most 50 a second, however many come and however many watch, and who asks for little gets it.
func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		c := watch(t, tap, "", nil)
		tap.Note(events("shop", 1000, bought))
		require.Equal(t, perSecond, strings.Count(c.read(), "data:"))
		few := watch(t, tap, "event=Rare", nil)
		total := 0
		for range 90 {
			time.Sleep(100 * time.Millisecond)
			tap.Note(events("shop", 100, bought))
			total += strings.Count(c.read(), "data:")
		}
		require.InDelta(t, 9*perSecond/2, total, 2)
		tap.Note(events("shop", 1, `{"event":"Rare"}`))
		require.Contains(t, few.read(), "Rare")
		few.leave()
		time.Sleep(time.Second)
		require.Contains(t, c.read(), fmt.Sprintf(`event: status`+"\n"+`data: {"missed":0,"passedOver":%d}`, 1000+9000-perSecond-total))
		c.leave()
	})
}

// Filters look at so many events a second and no more.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		c := watch(t, tap, "event=Rare", nil)
		tap.Note(events("shop", looks+500, bought))
		_, over, _ := tap.Totals()
		require.EqualValues(t, 500, over)
		require.Empty(t, c.read())
		c.leave()
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		c := watch(t, tap, "", nil)
		for i := range 5 {
			tap.Note(events("shop", 1, fmt.Sprintf(`{"event":"e%d"}`, i)))
		}
		require.Equal(t, 5, strings.Count(c.read(), "data:"))
		c.leave()
		for id, want := range map[string]int{"run-3": 2, "run-0": 5, "run-5": 0, "run-99": 0, "other-3": 0, "run-x": 0, "run": 0, "": 0, "-3": 0} {
			c := watch(t, tap, "", make(chan struct{}), "Last-Event-ID", id)
			close(c.gate)
			require.Equal(t, want, strings.Count(c.read(), "data:"), id)
			c.leave()
		}
		c = watch(t, tap, "event=e4", make(chan struct{}), "Last-Event-ID", "run-1")
		close(c.gate)
		require.Contains(t, c.read(), "id: run-5\n")
		c.leave()
	})
}

// Who is slow misses what the ring no longer holds, and is told; who takes nothing is let go. Nobody waits for either.
func TestSlowWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		gate := make(chan struct{})
		slow, quick := watch(t, tap, "", gate), watch(t, tap, "", nil)
		total := 0
		for range 150 { // six seconds are 25 each, and twice 25 at once
			tap.Note(events("shop", 100, bought))
			time.Sleep(60 * time.Millisecond)
			total += strings.Count(quick.read(), "data: {\"at\"")
		}
		entries, _, missed := tap.Totals()
		require.EqualValues(t, entries, total, "the quick one has all of it")
		require.Zero(t, missed)
		time.Sleep(slowness)
		<-slow.ended
		require.Equal(t, 1, tap.Watchers())
		quick.leave()
	})
}

func TestMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		c := watch(t, tap, "", nil)
		c.gate = make(chan struct{})
		for range 12 { // it hangs at the first for nine seconds
			tap.Note(events("shop", 1000, bought))
			time.Sleep(700 * time.Millisecond)
		}
		entries, _, _ := tap.Totals()
		close(c.gate)
		text := c.read()
		require.Equal(t, 0, strings.Count(text, "event: status"), "nothing is missed within the ring")
		require.EqualValues(t, entries, strings.Count(text, "data: {\"at\""))

		late := watch(t, tap, "event=Bought", make(chan struct{}))
		synctest.Wait()
		for range 11 {
			time.Sleep(time.Second)
			if late.gate != nil && tap.Watchers() == 1 {
				break // it was let go
			}
			tap.Note(events("shop", 1000, bought))
		}
		<-late.ended
		after, _, _ := tap.Totals()
		require.Less(t, after-entries, int64(600))
		back := watch(t, tap, "", make(chan struct{}), "Last-Event-ID", "run-1")
		close(back.gate)
		require.Contains(t, back.read(), fmt.Sprintf("event: status\ndata: {\"missed\":%d,\"passedOver\":0}\n\nid: run-%d\n", after-1-500, after-499))
		_, _, missed := tap.Totals()
		require.EqualValues(t, after-1-500, missed)
		back.leave()
		c.leave()
	})
}

// While nobody watches, nothing is allocated and nothing kept; also after somebody has.
func TestNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tap := New("run")
		o := events("shop", 100, bought)
		require.Zero(t, testing.AllocsPerRun(100, func() { tap.Note(o) }))
		watch(t, tap, "", nil).leave()
		require.Zero(t, testing.AllocsPerRun(100, func() { tap.Note(o) }))
		require.Zero(t, tap.ring.Last())
	})
}

// BenchmarkNote is what a request pays while nobody watches.
func BenchmarkNote(b *testing.B) {
	tap, o := New("run"), events("shop", 100, bought)
	b.ReportAllocs()
	for b.Loop() {
		tap.Note(o)
	}
}
