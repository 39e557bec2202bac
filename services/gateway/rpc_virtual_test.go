package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/settings"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// rpc is a gRPC client of the gateway in the bubble; it must be closed before the bubble ends.
func (b *bubble) rpc(options ...connect.ClientOption) (ingestv1connect.IngestServiceClient, func()) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{DialContext: b.net.DialContext, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
	if len(options) == 0 {
		options = []connect.ClientOption{connect.WithGRPC()}
	}
	return ingestv1connect.NewIngestServiceClient(&http.Client{Transport: transport}, "http://"+virtualAddr, withKey(options...)...), transport.CloseIdleConnections
}

type clientStream = *connect.BidiStreamForClient[ingestv1.IngestStreamRequest, ingestv1.IngestStreamResponse]

func sendOn(t *testing.T, s clientStream, number uint64, events ...string) {
	t.Helper()
	require.NoError(t, s.Send(&ingestv1.IngestStreamRequest{Number: number, Request: messageOf(events...)}))
}

// answersOn receives until the stream ends, on its own goroutine.
type answersOn struct {
	numbers chan uint64
	end     chan error
}

func listen(s clientStream) answersOn {
	a := answersOn{numbers: make(chan uint64, 10_000), end: make(chan error, 1)}
	go func() {
		for {
			m, err := s.Receive()
			if err != nil {
				_ = s.CloseResponse()
				a.end <- err
				return
			}
			a.numbers <- m.Number
		}
	}()
	return a
}

func requireRetry(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	require.Equal(t, code, connect.CodeOf(err), "%v", err)
	info, retry := details(t, err)
	require.Equal(t, reason, info.Reason)
	require.NotNil(t, retry)
	require.GreaterOrEqual(t, retry.RetryDelay.AsDuration(), time.Second)
}

func TestCallsBeforeKafkaIsThere(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		for _, option := range []connect.ClientOption{connect.WithGRPC(), connect.WithGRPCWeb(), connect.WithProtoJSON()} {
			service, closeIdle := b.rpc(option)
			_, err := service.Ingest(t.Context(), connect.NewRequest(messageOf(track("early"))))
			requireRetry(t, err, connect.CodeUnavailable, "UNAVAILABLE")
			s := service.IngestStream(t.Context())
			_ = s.Send(nil)
			_, err = s.Receive()
			requireRetry(t, err, connect.CodeUnavailable, "UNAVAILABLE")
			require.NoError(t, s.CloseResponse())
			closeIdle()
		}
	})
}

// While Kafka takes nothing, nothing is answered; what is answered in the end is what Kafka has.
func TestNoAnswerWithoutDurability(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		service, closeIdle := b.rpc()
		defer closeIdle()
		s := service.IngestStream(t.Context())
		answers := listen(s)
		sendOn(t, s, 1, track("before"))
		require.EqualValues(t, 1, <-answers.numbers)

		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		for n := uint64(2); n <= 20; n++ {
			sendOn(t, s, n, track(fmt.Sprint("m", n)))
		}
		time.Sleep(b.cfg.AckDeadline / 2)
		require.Empty(t, answers.numbers)
		require.EqualValues(t, 1, stored(c, b.cfg.Topic))
		fault.Remove()
		for n := uint64(2); n <= 20; n++ {
			require.Equal(t, n, <-answers.numbers)
			require.GreaterOrEqual(t, stored(c, b.cfg.Topic), int64(n))
		}
		require.NoError(t, s.CloseRequest())
		require.ErrorIs(t, <-answers.end, io.EOF)
	})
}

// Kafka does not come back: the stream ends within the deadline, says when to come again, and has answered nothing.
func TestAStreamWhileKafkaRefuses(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		service, closeIdle := b.rpc()
		defer closeIdle()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		s := service.IngestStream(t.Context())
		answers := listen(s)
		start := time.Now()
		for n := uint64(1); n <= 10; n++ {
			sendOn(t, s, n, track(fmt.Sprint("m", n)))
		}
		requireRetry(t, <-answers.end, connect.CodeUnavailable, "UNAVAILABLE")
		require.LessOrEqual(t, time.Since(start), b.cfg.AckDeadline)
		require.Empty(t, answers.numbers)
		_, err := service.Ingest(t.Context(), connect.NewRequest(messageOf(track("unary"))))
		requireRetry(t, err, connect.CodeUnavailable, "UNAVAILABLE")
		fault.Remove()
		time.Sleep(15 * time.Second)

		again := service.IngestStream(t.Context())
		answers = listen(again)
		sendOn(t, again, 1, track("after"))
		require.EqualValues(t, 1, <-answers.numbers)
		require.NoError(t, again.CloseRequest())
		require.ErrorIs(t, <-answers.end, io.EOF)
	})
}

// A stream holds a bounded number of messages and of bytes, however fast its client sends.
func TestFlowControl(t *testing.T) {
	for name, c := range map[string]struct{ size, messages int }{"messages": {10, 1000}, "bytes": {30 << 10, 200}} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) { c.MaxBody, c.MaxEvent, c.AckDeadline = 64*settings.KiB, 40*settings.KiB, time.Minute }
			inBubble(t, change, func(t *testing.T, b *bubble) {
				kafka := b.broker()
				service, closeIdle := b.rpc()
				defer closeIdle()
				fault := kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
				s := service.IngestStream(t.Context())
				answers := listen(s)
				sent := make(chan error, 1)
				go func() {
					for n := range c.messages {
						event := fmt.Sprintf(`{"type":"page","userId":"u","messageId":"m%d","name":"%s"}`, n, strings.Repeat("x", c.size))
						if err := s.Send(&ingestv1.IngestStreamRequest{Number: uint64(n + 1), Request: messageOf(event)}); err != nil {
							sent <- err
							return
						}
					}
					sent <- s.CloseRequest()
				}()
				time.Sleep(10 * time.Second)
				used := b.bufferUsage()
				require.Positive(t, used)
				if name == "bytes" {
					require.Less(t, used, int64(180_000), "twice the largest size, and the message in the reader's hand")
				} else {
					require.Less(t, used, int64(400_000), "as many as the window")
				}
				require.Empty(t, answers.numbers)
				fault.Remove()
				require.ErrorIs(t, <-answers.end, io.EOF)
				require.NoError(t, <-sent)
				require.Len(t, answers.numbers, c.messages)
				require.EqualValues(t, c.messages, stored(kafka, b.cfg.Topic))
				require.Zero(t, b.bufferUsage())
			})
		})
	}
}

// bufferUsage is what the byte budget is charged once everything rests: an answer goes out before its buffers are given back.
func (b *bubble) bufferUsage() int64 {
	synctest.Wait()
	b.t.Helper()
	return b.gateway.hangar.Budget.Used()
}

// The budget is one for all: a stream that it has no room for ends, and says when to come again.
func TestAStreamBeyondTheBudget(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		budget := b.gateway.hangar.Budget
		rest := budget.Limit() - 10_000
		others := budget.Of("others")
		require.True(t, others.Take(rest, 0))
		for _, option := range []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()} {
			service, closeIdle := b.rpc(option)
			s := service.IngestStream(t.Context())
			answers := listen(s)
			_ = s.Send(&ingestv1.IngestStreamRequest{Number: 1, Request: messageOf(track(strings.Repeat("x", 20_000)))})
			requireRetry(t, <-answers.end, connect.CodeResourceExhausted, "OVERLOADED")
			_, err := service.Ingest(t.Context(), connect.NewRequest(messageOf(track(strings.Repeat("x", 20_000)))))
			requireRetry(t, err, connect.CodeResourceExhausted, "OVERLOADED")
			require.Equal(t, rest, budget.Used())
			closeIdle()
		}
		others.Give(rest)
	})
}

// A drain answers what is inside, and asks for the rest again, elsewhere.
func TestDrainOfAStream(t *testing.T) {
	for name, option := range map[string]connect.ClientOption{"grpc": connect.WithGRPC(), "connect": connect.WithProtoJSON()} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(c *Config) { c.DrainDelay = 10 * time.Second }, func(t *testing.T, b *bubble) {
				c := b.broker()
				service, closeIdle := b.rpc(option)
				defer closeIdle()
				s := service.IngestStream(t.Context())
				answers := listen(s)
				sendOn(t, s, 1, track("before"))
				require.EqualValues(t, 1, <-answers.numbers)
				b.stop()
				synctest.Wait()
				sendOn(t, s, 2, track("while balancers look"))
				require.EqualValues(t, 2, <-answers.numbers)
				fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
				time.Sleep(b.cfg.DrainDelay - time.Second)
				sendOn(t, s, 3, track("inside"))
				time.Sleep(2 * time.Second) // the drain has begun
				require.Empty(t, answers.numbers)
				fault.Remove()
				require.EqualValues(t, 3, <-answers.numbers)
				requireRetry(t, <-answers.end, connect.CodeUnavailable, "UNAVAILABLE")
				require.Empty(t, answers.numbers)
				require.EqualValues(t, 3, stored(c, b.cfg.Topic))
				err := <-b.done
				b.done <- err
				require.NoError(t, err)
			})
		})
	}
}

// A client that takes no answers loses its stream, and with it what the stream holds.
func TestAStreamWhoseAnswersNobodyTakes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		service, closeIdle := b.rpc()
		defer closeIdle()
		s := service.IngestStream(t.Context())
		wrong := make([]string, 20) // each is rejected, by a long name, which makes the answer long
		for i := range wrong {
			wrong[i] = `{"messageId":"` + strings.Repeat("\U0001F400", 100) + `"}`
		}
		go func() {
			for n := uint64(1); s.Send(&ingestv1.IngestStreamRequest{Number: n, Request: messageOf(wrong...)}) == nil; n++ {
			}
		}()
		time.Sleep(20 * time.Second)
		require.Positive(t, b.bufferUsage())
		time.Sleep(20 * time.Second)
		require.Zero(t, b.bufferUsage())
		require.NoError(t, s.CloseResponse())
	})
}

// Who is silent for long or sends too slowly is not waited for.
func TestStreamsThatHang(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		service, closeIdle := b.rpc()
		defer closeIdle()
		s := service.IngestStream(t.Context())
		answers := listen(s)
		sendOn(t, s, 1, track("m"))
		<-answers.numbers
		start := time.Now()
		requireRetry(t, <-answers.end, connect.CodeUnavailable, "TIMEOUT")
		require.Equal(t, 5*time.Minute, time.Since(start).Round(time.Second))

		var end struct{ Error struct{ Code string } }
		text := b.hang(streamMethod, "application/connect+json", "\x00\x00\x00\x01\x00{")
		require.NoError(t, json.Unmarshal([]byte(text[5:]), &end), "%s", text)
		require.Equal(t, "unavailable", end.Error.Code)
		text = b.hang(unaryMethod, "application/json", `{"events":[`)
		require.NoError(t, json.Unmarshal([]byte(text), &end.Error), "%s", text)
		require.Equal(t, "unavailable", end.Error.Code)
		require.Zero(t, b.bufferUsage())
	})
}

// hang sends a part of a body and no more; it gives the answer that comes after 30 seconds.
func (b *bubble) hang(path, contentType, part string) string {
	b.t.Helper()
	body, in := io.Pipe()
	r, err := http.NewRequest("POST", "http://"+virtualAddr+path, body)
	require.NoError(b.t, err)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Authorization", basicKey1)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{DialContext: b.net.DialContext, Protocols: protocols}
	defer transport.CloseIdleConnections()
	go func() { _, _ = io.WriteString(in, part) }()
	start := time.Now()
	resp, err := (&http.Client{Transport: transport}).Do(r)
	require.NoError(b.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, 30*time.Second, time.Since(start))
	require.NoError(b.t, resp.Body.Close())
	require.NoError(b.t, in.Close())
	return string(text)
}

// A client that goes away leaves nothing behind, and what it has sent is stored.
func TestAStreamIsGivenUp(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		c := b.broker()
		service, closeIdle := b.rpc()
		defer closeIdle()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		ctx, cancel := context.WithCancel(t.Context())
		s := service.IngestStream(ctx)
		answers := listen(s)
		for n := uint64(1); n <= 5; n++ {
			sendOn(t, s, n, track(fmt.Sprint("m", n)))
		}
		synctest.Wait()
		cancel()
		require.True(t, errors.Is(<-answers.end, context.Canceled))
		time.Sleep(time.Second)
		fault.Remove()
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 5, stored(c, b.cfg.Topic))
		require.Zero(t, b.bufferUsage())
	})
}
