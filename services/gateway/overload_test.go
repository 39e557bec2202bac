package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/settings"
)

// While Kafka takes nothing, the gateway holds what it may and refuses the rest at
// once; all of it is free again when Kafka is back, and nothing answered 200 is lost.
func TestFullBuffer(t *testing.T) {
	small := func(c *Config) {
		c.MaxBody, c.MaxEvent, c.MaxEvents = 16*settings.KiB, 8*settings.KiB, 10
		c.InFlight = settings.Memory{Bytes: 256 * settings.KiB}
	}
	inBubble(t, small, func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		var (
			posts           sync.WaitGroup
			mu              sync.Mutex
			accepted, full  int
			others          []answer
			slowestRefusal  time.Duration
			requests        = 600
			holdsAtLeast    = 10
			recoversWithin  = 3 * time.Second
			refusedAtOnceIn = 100 * time.Millisecond
		)
		for i := range requests {
			posts.Go(func() {
				a, took := b.post(fmt.Sprint("m", i))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case a.status == 200:
					accepted++
				case strings.Contains(a.body, `"overloaded"`):
					full++
					slowestRefusal = max(slowestRefusal, took)
					requireAgain(t, a, 503, "overloaded")
				default:
					others = append(others, a)
				}
			})
		}
		synctest.Wait()
		time.Sleep(recoversWithin)
		fault.Remove()
		posts.Wait()
		require.Empty(t, others)
		require.GreaterOrEqual(t, accepted, holdsAtLeast)
		require.Equal(t, requests, accepted+full)
		require.Positive(t, full)
		require.Less(t, slowestRefusal, refusedAtOnceIn)
		a, _ = b.post("after")
		require.Equal(t, 200, a.status)
		require.EqualValues(t, 2+accepted, stored(c, b.cfg.Topic))
	})
}

// stored counts the records of a topic in the broker itself.
func stored(c *kfake.Cluster, topic string) (n int64) {
	for _, p := range c.PartitionInfos(topic) {
		n += p.HighWatermark
	}
	return n
}

// A client that hangs up takes nobody's events with it, not even its own.
func TestAClientHangsUp(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		a, _ := b.post("before")
		require.Equal(t, 200, a.status)
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		ctx, hangUp := context.WithCancel(t.Context())
		var posts sync.WaitGroup
		posts.Go(func() { // its record is the first of the batch
			r, err := http.NewRequestWithContext(ctx, "POST", "http://"+virtualAddr+"/v1/track", strings.NewReader(track("hangs up")))
			require.NoError(t, err)
			r.Header.Set("Authorization", basicKey1)
			_, err = b.http.Do(r)
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for i := range 5 {
			posts.Go(func() {
				a, _ := b.post(fmt.Sprint("stays", i))
				require.Equal(t, `{"success":true}`, a.body)
			})
		}
		synctest.Wait()
		hangUp()
		time.Sleep(time.Second)
		fault.Remove()
		posts.Wait()
		require.EqualValues(t, 7, stored(c, b.cfg.Topic))
	})
}

// A body that is cut off in the middle stores nothing.
func TestABodyIsCutOff(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		body := track("cut")
		for _, sent := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body)+1, body),
			fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body),
			fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n%s", pack(t, body)),
		} {
			conn, err := b.net.DialContext(t.Context(), "tcp", virtualAddr)
			require.NoError(t, err)
			_, err = io.WriteString(conn, "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: "+basicKey1+"\r\n"+sent)
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, conn.Close())
			synctest.Wait()
		}
		require.Zero(t, stored(c, b.cfg.Topic))
	})
}

// A length that is said and not sent holds next to nothing: who only promises keeps nobody out.
func TestPromisedBodies(t *testing.T) {
	small := func(c *Config) { c.InFlight = settings.Memory{Bytes: 64 * settings.MiB} }
	inBubble(t, small, func(t *testing.T, b *bubble) {
		b.broker()
		for _, path := range []string{"/v1/batch", unaryMethod} {
			for length := 4 << 20; length >= 4<<10; length /= 2 { // the smaller ones fit between the larger ones
				for range 10 {
					conn, err := b.net.DialContext(t.Context(), "tcp", virtualAddr)
					require.NoError(t, err)
					defer conn.Close()
					_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\nContent-Length: %d\r\n\r\n{", path, length)
					require.NoError(t, err)
				}
			}
		}
		synctest.Wait()
		a, _ := b.post("served")
		require.Equal(t, 200, a.status, a.body)
	})
}

// allocated says how many bytes the process allocates while f runs, client included:
// more than it holds at any moment.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestBombs(t *testing.T) {
	w := start(t, nil)
	member := pack(t, strings.Repeat("\x00", 8<<20)) // an archive may have many
	bomb := strings.Repeat(member, 128)
	require.Less(t, len(bomb), 2<<20, "1 GiB fits a body")
	nothing := strings.Repeat("\x00", 8<<20)
	for name, c := range map[string]struct {
		body string
		code string
	}{
		"gzip":          {bomb, "payload_too_large"},
		"gzip of gzip":  {pack(t, bomb), "invalid_request"},
		"deflate":       {packBy(t, "deflate", nothing), "payload_too_large"},
		"br":            {packBy(t, "br", nothing), "payload_too_large"},
		"zstd":          {packBy(t, "zstd", nothing), "payload_too_large"},
		"open arrays":   {strings.Repeat("[", 3<<20), "invalid_request"},
		"open objects":  {strings.Repeat(`{"batch":`, 400_000), "invalid_request"},
		"deep in batch": {`{"batch":[` + strings.Repeat(`[`, 1<<20) + strings.Repeat(`]`, 1<<20) + `]}`, "invalid_request"},
		"inheritance":   {`{"context":{"x":"` + strings.Repeat("x", 30<<10) + `"},"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"page","userId":"u"},`, 2500), ",") + `]}`, "payload_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			var a answer
			bytes := allocated(func() { a = w.post("/v1/batch", c.body, "Authorization", basicKey1, "Content-Encoding", saidOf(name)) })
			require.Equal(t, 400, a.status)
			require.Equal(t, c.code, a.code(t))
			require.Less(t, bytes, uint64(64<<20))
		})
	}
	require.Equal(t, 200, w.batch(track("after")).status)
	w.requireNothingHeld()
}

// saidOf is what a bomb says of its encoding; gzip need not be said.
func saidOf(name string) string {
	switch name {
	case "deflate", "br", "zstd":
		return name
	}
	return "identity"
}

// Many clients at once, among them some that hang up, send what is refused, or send
// compressed: every event that was answered with success is in Kafka, once.
func TestManyClients(t *testing.T) {
	w := start(t, nil)
	const clients, rounds = 8, 25
	var sent sync.Map
	var posts sync.WaitGroup
	for c := range clients {
		posts.Go(func() {
			for i := range rounds {
				id := func(n int) string { return fmt.Sprintf("c%d-r%d-e%d", c, i, n) }
				events := make([]string, 1+(c*i)%40)
				for n := range events {
					events[n] = track(id(n))
				}
				body := batchOf(events...)
				switch c % 4 {
				case 1:
					body = pack(t, body)
				case 2:
					w.hangUp(body)
					continue
				case 3:
					require.Equal(t, 400, w.batch(track("x")+"}").status)
				}
				a := w.post("/v1/batch", body, "Authorization", basicKey1)
				require.Equal(t, `{"success":true}`, a.body)
				for n := range events {
					sent.Store(id(n), true)
				}
			}
		})
	}
	posts.Wait()
	count := map[string]int{}
	for _, r := range w.records(w.cfg.Topic) {
		id := fields(t, r.Value)["messageId"].(string)
		count[id]++
		require.Equal(t, track(id)[:40], string(r.Value[:40]), "no byte of another event")
	}
	sent.Range(func(id, _ any) bool {
		require.Equal(t, 1, count[id.(string)], "%s", id)
		return true
	})
}

// hangUp sends a request and does not wait for the answer.
func (w *world) hangUp(body string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	r := w.request("POST", "/v1/batch", body, "Authorization", basicKey1).WithContext(ctx)
	go cancel()
	if resp, err := client.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	cancel()
}

// A connection serves many requests, refused ones too.
func TestConnectionsAreKept(t *testing.T) {
	w := start(t, nil)
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	kept := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		if c.Reused {
			kept++
		}
	}})
	for i, key := range []string{basicKey1, "Basic d3Jvbmc6", basicKey1, ""} {
		for _, path := range []string{"/v1/track", "/v1/m", "/nothing", unaryMethod} {
			r := w.request("POST", path, track(fmt.Sprint(i)), "Authorization", key, "Content-Type", "application/json").WithContext(ctx)
			resp, err := (&http.Client{Transport: transport}).Do(r)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
	}
	require.Equal(t, 15, kept)
}

func TestHTTP2WithoutTLS(t *testing.T) {
	w := start(t, nil)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(w.request("POST", "/v1/track", track("h2"), "Authorization", basicKey1))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 2, resp.ProtoMajor)
	require.Equal(t, 200, resp.StatusCode)
	line, err := bufio.NewReader(resp.Body).ReadString(0)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, `{"success":true}`, line)
}
