package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/settings"
)

// far is a connection whose answers take a while.
type far struct {
	net.Conn
	answers chan arrival
	rest    []byte
	closed  chan struct{}
	close   func()
}

type arrival struct {
	at    time.Time
	bytes []byte
	err   error
}

// farAway makes connections over which every answer arrives after delay.
func farAway(dial func(context.Context, string, string) (net.Conn, error), delay time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		f := &far{Conn: conn, answers: make(chan arrival, 1024), closed: make(chan struct{})}
		f.close = sync.OnceFunc(func() { close(f.closed) })
		go func() {
			for {
				b := make([]byte, 64<<10)
				n, err := conn.Read(b)
				f.answers <- arrival{time.Now().Add(delay), b[:n], err}
				if err != nil {
					close(f.answers)
					return
				}
			}
		}()
		return f, nil
	}
}

func (f *far) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		a, ok := <-f.answers
		if !ok {
			return 0, io.EOF
		}
		select {
		case <-f.closed:
		case <-time.After(time.Until(a.at)):
		}
		if f.rest = a.bytes; len(f.rest) == 0 {
			return 0, a.err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *far) Close() error {
	f.close()
	return f.Conn.Close()
}

// postAs posts one event of size bytes with a source's key, in the header, or after "body:"
// in the body.
func (b *bubble) postAs(ctx context.Context, key string, size int) (status int, took time.Duration) {
	key, isInBody := strings.CutPrefix(key, "body:")
	body := fmt.Sprintf(`{"type":"track","event":"e","userId":"u","properties":{"x":%q}}`, strings.Repeat("x", size))
	if isInBody {
		body = fmt.Sprintf(`{"writeKey":%q,%s`, key, body[1:])
	}
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+virtualAddr+"/v1/track", strings.NewReader(body))
	require.NoError(b.t, err)
	if !isInBody {
		r.Header.Set("Authorization", basic(key))
	}
	start := time.Now()
	resp, err := b.http.Do(r)
	if err != nil {
		return 0, 0 // it hung up
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, time.Since(start)
}

// calm posts for a source that sends one event after the other, all of which must be
// stored, and gives the 99th percentile of what it waits.
func (b *bubble) calm(key string, n int) time.Duration {
	waits := make([]time.Duration, n)
	for i := range waits {
		status, took := b.postAs(b.t.Context(), key, 100)
		require.Equal(b.t, 200, status, "request %d of a source that does not storm", i)
		waits[i] = took
		time.Sleep(7 * time.Millisecond)
	}
	slices.Sort(waits)
	return waits[n*99/100]
}

// One source storms, from far more clients than the budget holds requests of. It is served,
// or its own partition takes nothing, or its clients hang up: another source gets every
// request in, and waits at most twice as long as when it is alone.
func TestAStormHurtsNobodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		clients int
		large   int  // of ten requests
		broken  bool // its partition takes nothing
		hangUp  time.Duration
		where   string // "body:" = the keys are in the bodies
	}{
		"it is served":                  {clients: 40, large: 10},
		"its partition takes nothing":   {clients: 250, large: 1, broken: true},
		"nobody says a key in a header": {clients: 250, large: 1, broken: true, where: "body:"},
		"its clients hang up":           {clients: 250, large: 1, broken: true, hangUp: 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, func(c *Config) {
				c.MaxBody, c.MaxEvent, c.MaxEvents = 16*settings.KiB, 8*settings.KiB, 10
				c.InFlight = settings.Memory{Bytes: 256 * settings.KiB}
			}, 20*time.Millisecond, func(t *testing.T, b *bubble) {
				broker := b.broker()
				require.NotZero(t, b.calm(c.where+"key1", 1)) // connections are there
				require.NotZero(t, b.calm(c.where+"key2", 1))
				alone := b.calm(c.where+"key2", 25)

				stormy := partitionOf(t, broker, b, c.where+"key1")
				if c.broken {
					broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.cfg.Topic, Partitions: []int32{stormy}, Err: kerr.NotEnoughReplicas, Count: -1})
				}
				ctx, stop := context.WithCancel(t.Context())
				var posts sync.WaitGroup
				var refused, sent atomic.Int64
				defer func() { // also when a request of the other source failed
					stop()
					posts.Wait()
				}()
				for i := range c.clients {
					size := 100 // these fill what the large ones leave
					if i%10 < c.large {
						size = 7 << 10
					}
					posts.Go(func() {
						for ctx.Err() == nil {
							one, cancel := ctx, context.CancelFunc(func() {})
							if c.hangUp > 0 {
								one, cancel = context.WithTimeout(ctx, c.hangUp)
							}
							status, _ := b.postAs(one, c.where+"key1", size)
							cancel()
							sent.Add(1)
							if status == 503 {
								refused.Add(1)
							}
							if status != 200 {
								time.Sleep(200 * time.Millisecond)
							}
						}
					})
				}
				time.Sleep(300 * time.Millisecond)
				during := b.calm(c.where+"key2", 25)
				require.Positive(t, refused.Load(), "the storm fills its share")
				require.LessOrEqual(t, during, 2*alone)
				t.Logf("alone %s, in the storm %s; of the storm's %d requests %d were refused", alone, during, sent.Load(), refused.Load())
			})
		})
	}
}

// partitionOf is where a source's events go.
func partitionOf(t *testing.T, c *kfake.Cluster, b *bubble, key string) int32 {
	before := c.PartitionInfos(b.cfg.Topic)
	status, _ := b.postAs(t.Context(), key, 1)
	require.Equal(t, 200, status)
	for i, p := range c.PartitionInfos(b.cfg.Topic) {
		if p.HighWatermark > before[i].HighWatermark {
			return p.Partition
		}
	}
	require.Fail(t, "nothing was stored")
	return 0
}

// inBubbleOf is inBubble with a Kafka that is delay away.
func inBubbleOf(t *testing.T, change func(*Config), delay time.Duration, f func(t *testing.T, b *bubble)) {
	inBubbleBy(t, change, func(n *kfake.VirtualNetwork) []kgo.Opt {
		return []kgo.Opt{kgo.Dialer(farAway(n.DialContext, delay))}
	}, func(t *testing.T, b *bubble) {
		synctest.Wait()
		f(t, b)
	})
}
