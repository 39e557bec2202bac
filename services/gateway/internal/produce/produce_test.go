package produce

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"weir/services/gateway/internal/intake"
)

func TestSizes(t *testing.T) {
	for n, want := range map[int]int{
		0: 4096, 1: 4096, 4096: 4096, 4097: 8192, 1 << 21: 1 << 21, 1<<21 + 1: 1<<21 + 4096, 4<<20 + 1: 4<<20 + 4096,
	} {
		require.Equal(t, want, sizeOf(n), n)
		var p buffers
		b := p.get(sizeOf(n))
		require.Equal(t, want, cap(b.bytes))
		p.put(b)
	}
}

// Whatever a flight does, the budget holds what it holds, and nothing afterwards.
func TestBudgetIsGivenBack(t *testing.T) {
	const limit = 1 << 20
	rapid.Check(t, func(t *rapid.T) {
		h := NewHangar(limit)
		var flights []*Flight
		for range rapid.IntRange(1, 20).Draw(t, "flights") {
			f, ok := h.Begin("a", rapid.IntRange(0, limit).Draw(t, "expected"))
			if !ok {
				continue
			}
			flights = append(flights, f)
			n := rapid.IntRange(0, 300_000).Draw(t, "bytes")
			err := f.Fill(strings.NewReader(strings.Repeat("x", n)), 200_000)
			switch {
			case err == nil:
				require.Equal(t, n, len(f.Body))
			case errors.Is(err, ErrTooLarge):
				require.Greater(t, n, 200_000)
			default:
				require.ErrorIs(t, err, ErrFull)
			}
			require.GreaterOrEqual(t, f.charged, int64(cap(f.Body)))
			if rapid.Bool().Draw(t, "parsed") {
				f.DropBody()
				f.Room(rapid.IntRange(0, 2000).Draw(t, "records"))
			}
			require.LessOrEqual(t, h.Budget.Used(), int64(limit))
		}
		for _, f := range flights {
			f.Release()
		}
		require.Zero(t, h.Budget.Used())
	})
}

func TestFillReadsWhateverTheReaderDoes(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	for name, r := range map[string]io.Reader{
		"at once":       strings.NewReader(text),
		"byte by byte":  iotest.OneByteReader(strings.NewReader(text)),
		"data with EOF": iotest.DataErrReader(strings.NewReader(text)),
	} {
		f, ok := NewHangar(1<<20).Begin("a", 0)
		require.True(t, ok)
		require.NoError(t, f.Fill(r, len(text)), name)
		require.Equal(t, text, string(f.Body))
	}
	f, _ := NewHangar(1<<20).Begin("a", 0)
	require.ErrorIs(t, f.Fill(iotest.TimeoutReader(iotest.HalfReader(strings.NewReader(text))), len(text)), iotest.ErrTimeout)
}

// onKafka runs f with a producer on a virtual broker in virtual time.
func onKafka(t *testing.T, budget int64, f func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer)) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen), kfake.SeedTopics(2, "events", "rejected"))
		require.NoError(t, err)
		defer c.Close()
		opts := append(ClientOptions(5*time.Second, budget, new(Limits), false), kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(network.DialContext))
		client, err := kgo.NewClient(opts...)
		require.NoError(t, err)
		defer client.Close()
		f(t, c, NewHangar(budget), New(client, Options{Topics: []string{"events", "rejected"}, Deadline: 5 * time.Second, Observe: func(Delivery) {}}))
	})
}

func load(t *testing.T, h *Hangar, topic string, n int) *Flight {
	t.Helper()
	f, ok := h.Begin("a", 1000)
	require.True(t, ok)
	require.NoError(t, f.Fill(strings.NewReader(strings.Repeat("x", 1000)), 1000))
	require.True(t, f.Room(n))
	for i := range n {
		f.Add(topic, []byte("key"), f.Body[i%1000:], time.Now(), nil)
	}
	return f
}

func TestDeliver(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer) {
		for range 10 { // flights are used again
			f := load(t, h, "events", 20)
			require.NoError(t, p.Deliver(f))
			f.Release()
			synctest.Wait() // the last acknowledgement wakes Deliver before it lets go of its record
			require.Zero(t, h.Budget.Used())
		}
		f, _ := h.Begin("a", 0)
		require.NoError(t, p.Deliver(f), "a flight may carry nothing")
		f.Release()
		var n int64
		for _, i := range c.PartitionInfos("events") {
			n += i.HighWatermark
		}
		require.EqualValues(t, 200, n)
		told, err := p.Recent()
		require.True(t, told)
		require.NoError(t, err)
		require.NoError(t, p.Close(t.Context()))
	})
}

// Flights may be on their way at once; what became of one counts however late somebody asks.
func TestWaitLongAfterTheOutcome(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, _ *kfake.Cluster, h *Hangar, p *Producer) {
		var took []time.Duration
		p.opts.Observe = func(d Delivery) { took = append(took, d.Took) }
		var flights []*Flight
		for range 20 {
			f := load(t, h, "events", 2)
			p.Send(f)
			flights = append(flights, f)
		}
		time.Sleep(time.Minute)
		for _, f := range flights {
			require.NoError(t, p.Wait(f))
			f.Release()
		}
		for _, d := range took {
			require.Less(t, d, time.Second)
		}
		require.Zero(t, h.Budget.Used())
		require.NoError(t, p.Close(t.Context()))
	})
}

// A flight whose request has gone keeps its bytes until Kafka's client lets go: a
// buffer that is used again too early would put one client's bytes into another's
// events.
func TestAFlightOutlivesItsRequest(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer) {
		f := load(t, h, "events", 1)
		require.NoError(t, p.Deliver(f))
		f.Release()

		answer := make(chan struct{})
		c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			c.SleepControl(func() { <-answer })
			return nil, nil, false
		})
		late := load(t, h, "events", 3)
		start := time.Now()
		require.ErrorIs(t, p.Deliver(late), ErrLate)
		require.Equal(t, 5*time.Second, time.Since(start))
		late.Release()
		require.Positive(t, h.Budget.Used(), "the records are still in the client")
		require.EqualValues(t, 3, late.refs.Load())
		_, err := p.Recent()
		require.ErrorIs(t, err, ErrLate)

		close(answer)
		synctest.Wait()
		require.Zero(t, h.Budget.Used())
		next := load(t, h, "events", 2)
		require.NoError(t, p.Deliver(next), "a token that nobody took does not end another flight's wait")
		next.Release()
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestFailures(t *testing.T) {
	onKafka(t, 1<<20, func(t *testing.T, c *kfake.Cluster, h *Hangar, p *Producer) {
		f := load(t, h, "events", 2)
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.InvalidRecord})
		err := p.Deliver(f)
		f.Release()
		require.ErrorIs(t, err, kerr.InvalidRecord)
		require.False(t, errors.Is(err, ErrLate) || errors.Is(err, ErrFull))

		f = load(t, h, "unknown", 2)
		require.ErrorIs(t, p.Deliver(f), kerr.UnknownTopicOrPartition)
		f.Release()
		_, err = p.Recent()
		require.ErrorIs(t, err, kerr.UnknownTopicOrPartition)
		require.ErrorContains(t, err, "topic unknown")
		time.Sleep(recent)
		told, _ := p.Recent()
		require.False(t, told, "what failed long ago says nothing")
		require.Zero(t, h.Budget.Used())
	})
}

// The client's own bound is the second wall: the rest of a request is not tried.
func TestTheClientIsFull(t *testing.T) {
	onKafka(t, 20_000, func(t *testing.T, _ *kfake.Cluster, _ *Hangar, p *Producer) {
		h := NewHangar(1 << 20)
		f := load(t, h, "events", 100)
		require.ErrorIs(t, p.Deliver(f), ErrFull)
		f.Release()
		synctest.Wait()
		time.Sleep(time.Second)
		require.Zero(t, h.Budget.Used())
		require.Zero(t, p.Buffered())
		f = load(t, h, "events", 5)
		require.NoError(t, p.Deliver(f))
		f.Release()
	})
}

func TestLimits(t *testing.T) {
	var l Limits
	require.EqualValues(t, defaultBatch, l.batch("events"))
	l.Set(map[string]int{"events": 2 << 20, "tiny": 1, "huge": 1 << 40})
	for topic, want := range map[string]int{"events": 2 << 20, "tiny": 512, "huge": 1 << 30, "other": defaultBatch} {
		require.EqualValues(t, want, l.batch(topic), topic)
	}
}

func BenchmarkFlight(b *testing.B) {
	h := NewHangar(1 << 30)
	for _, n := range []int{1, 100} {
		body := strings.Repeat("x", 1000*n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, _ := h.Begin("a", len(body))
				_ = f.Fill(strings.NewReader(body), 1<<20)
				f.Room(n)
				f.Release()
			}
		})
	}
}

// A small body of which much was made leaves no large buffers with an idle flight.
func TestAnIdleFlightIsSmall(t *testing.T) {
	h := NewHangar(64 << 20)
	for name, c := range map[string]struct {
		context int
		isKept  bool
	}{"usual": {10, true}, "inherits much": {30 << 10, false}} {
		f, ok := h.Begin("a", 0)
		require.True(t, ok)
		body := `{"context":{"x":"` + strings.Repeat("x", c.context) + `"},"batch":[` + strings.TrimSuffix(strings.Repeat(`{"type":"page","userId":"u"},`, 200), ",") + `]}`
		require.NoError(t, f.Fill(strings.NewReader(body), 1<<20))
		require.NoError(t, f.Intake.Parse(intake.Request{Body: f.Body, NewID: func(dst []byte) []byte { return append(dst, 'x') }}))
		f.Release()
		require.Equal(t, c.isKept, f.Intake.Size() > 0, name)
	}
}
