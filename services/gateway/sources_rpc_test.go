package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/settings"
	"weir/services/gateway/internal/source"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// call calls Ingest with a key in the header, or after "body:" in the message.
func call(ctx context.Context, service ingestv1connect.IngestServiceClient, key string, events ...string) (*ingestv1.IngestResponse, error) {
	r := connect.NewRequest(messageOf(events...))
	if inBody, ok := strings.CutPrefix(key, "body:"); ok {
		r.Msg.WriteKey = inBody
	} else {
		r.Header().Set("Authorization", "Bearer "+key)
	}
	resp, err := service.Ingest(ctx, r)
	if err != nil {
		return nil, err
	}
	return resp.Msg, nil
}

// bare is a gRPC client in the bubble that sends no key by itself.
func (b *bubble) bare() (ingestv1connect.IngestServiceClient, func()) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{DialContext: b.net.DialContext, Protocols: protocols}
	return ingestv1connect.NewIngestServiceClient(&http.Client{Transport: transport}, "http://"+virtualAddr, connect.WithGRPC()), transport.CloseIdleConnections
}

// streamOf opens a stream with a key in its header; "" sends none.
func streamOf(ctx context.Context, service ingestv1connect.IngestServiceClient, key string) clientStream {
	s := service.IngestStream(ctx)
	if key != "" {
		s.RequestHeader().Set("Authorization", "Bearer "+key)
	}
	return s
}

// withSources puts more sources into the bubble's file.
func withSources(t *testing.T, more string) func(*Config) {
	return func(c *Config) { require.NoError(t, os.WriteFile(c.Sources, []byte(sourcesYAML+more), 0o600)) }
}

// What a rule drops or hashes stands nowhere in Kafka, of a call and of a stream's message: in no event, and in nothing
// that is rejected, that which is no JSON included.
func TestRulesOfMessagesBeforeKafka(t *testing.T) {
	t.Setenv("WEIR_TEST_HMAC", "a key that is long enough")
	w := startWith(t, `
  - id: ruled
    write_keys: [wk-ruled]
    drop: [properties.email, context.secret]
    hmac: {paths: [userId], key_env: WEIR_TEST_HMAC}
    ip: mask
    blocked_events: [Noise]
    suppressed_users: [gone-for-ever]
`)
	events := func(n int) []string {
		return []string{
			fmt.Sprintf(`{"type":"track","event":"e","userId":"PII-1","messageId":"a%d","context":{"direct":true,"secret":"PII-2"},"properties":{"\u0065mail":"PII-3","price":9.90}}`, n),
			`{"type":"track","userId":"PII-4","properties":{"email":["PII-5"]}}`,
			`{"type":"track","event":"Noise","userId":"PII-6","properties":{"email":"PII-7"}}`,
			`{"type":"track","event":"e","userId":"gone-for-ever"}`,
			`{"type":"track","event":"e","userId":"gone-for-ever","properties":{"email":"PII-8"`,
			fmt.Sprintf(`{"type":"track","event":"e","userId":"PII-9","messageId":"b%d"}`, n),
		}
	}
	codes := []string{"event_not_defined", "event_blocked", "user_suppressed", "malformed_json"}
	requireRejected := func(m *ingestv1.IngestResponse) {
		t.Helper()
		require.Len(t, m.Rejected, len(codes))
		for i, code := range codes {
			require.EqualValues(t, i+1, m.Rejected[i].Index)
			require.Equal(t, code, m.Rejected[i].Code)
		}
	}
	service := ingestv1connect.NewIngestServiceClient(h2c(t), "http://"+w.addr, connect.WithGRPC())
	for i, key := range []string{"wk-ruled", "body:wk-ruled"} {
		m, err := call(t.Context(), service, key, events(i)...)
		require.NoError(t, err)
		requireRejected(m)
	}
	s := streamOf(t.Context(), service, "wk-ruled")
	sendOn(t, s, 1, events(2)...)
	m, err := s.Receive()
	require.NoError(t, err)
	requireRejected(m.Response)
	require.NoError(t, s.CloseRequest())
	_, err = s.Receive()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, s.CloseResponse())

	stored, rejected := w.records(w.cfg.Topic), w.records(w.cfg.RejectedTopic)
	require.Len(t, stored, 6)
	require.Len(t, rejected, 6, "what is of suppressed users, and what nobody can read, is kept nowhere")
	for _, r := range append(stored, rejected...) {
		require.NotContains(t, string(r.Value), "PII")
		require.NotContains(t, string(r.Value), "gone-for-ever")
	}
	require.Contains(t, string(stored[0].Value), `"properties":{"price":9.90}`, "the rest is as it was")
	require.Equal(t, "127.0.0.0", fields(t, stored[0].Value)["context"].(map[string]any)["ip"])
	require.NotContains(t, w.logs.text(), "PII")
	w.requireNothingHeld()
}

// Pages that a source does not know may read that they are refused, by Connect and by gRPC-Web, wherever the key stands.
func TestOriginsOfCalls(t *testing.T) {
	w := startWith(t, `
  - {id: shop, write_keys: [wk-shop], allowed_origins: ["https://shop.example"]}
`)
	keyed := `{"writeKey":"wk-shop","type":"page","userId":"u"}`
	for _, option := range []connect.ClientOption{connect.WithProtoJSON(), connect.WithGRPCWeb(), connect.WithGRPC()} {
		service := ingestv1connect.NewIngestServiceClient(h2c(t), "http://"+w.addr, option)
		for origin, code := range map[string]connect.Code{"": 0, "https://shop.example": 0, "https://evil.example": connect.CodePermissionDenied} {
			for _, where := range []string{"header", "message", "event"} {
				r := connect.NewRequest(messageOf(keyed))
				switch where {
				case "header":
					r.Header().Set("Authorization", "Bearer wk-shop")
				case "message":
					r.Msg.WriteKey = "wk-shop"
				}
				if origin != "" {
					r.Header().Set("Origin", origin)
				}
				resp, err := service.Ingest(t.Context(), r)
				if code == 0 {
					require.NoError(t, err)
					require.Equal(t, origin, resp.Header().Get("Access-Control-Allow-Origin"))
					continue
				}
				require.Equal(t, code, connect.CodeOf(err), "%s %s: %v", origin, where, err)
				info, retry := details(t, err)
				require.Equal(t, "ORIGIN_NOT_ALLOWED", info.Reason)
				require.Nil(t, retry)
			}
		}
	}
	require.Len(t, w.records(w.cfg.Topic), 18)
}

// A source over its limits is told when to come back, and what was told holds; a stream ends at the message that is over
// them, and what came before is answered.
func TestLimitsOfCallsAndStreams(t *testing.T) {
	inBubble(t, withSources(t, `
  - {id: slow, write_keys: [wk-slow], limits: {events_per_second: 1, burst: 10s}}
`), func(t *testing.T, b *bubble) {
		b.broker()
		service, closeIdle := b.bare()
		defer closeIdle()
		waits := func(err error) time.Duration {
			t.Helper()
			requireRetry(t, err, connect.CodeResourceExhausted, "RATE_LIMITED")
			_, retry := details(t, err)
			return retry.RetryDelay.AsDuration()
		}
		for _, key := range []string{"wk-slow", "body:wk-slow"} {
			_, err := call(t.Context(), service, key, strings.Split(strings.Repeat(track("m")+"\n", 29)+track("m"), "\n")...)
			require.NoError(t, err, "larger than the bucket, which is full")
			_, err = call(t.Context(), service, key, track("m"))
			wait := waits(err)
			require.GreaterOrEqual(t, wait, 21*time.Second, "of the bucket's debt")
			require.LessOrEqual(t, wait, 25*time.Second)
			refused := streamOf(t.Context(), service, "wk-slow")
			_ = refused.Send(nil) // its header
			_, err = refused.Receive()
			require.GreaterOrEqual(t, waits(err), 21*time.Second, "a stream is refused before its first message")
			require.NoError(t, refused.CloseResponse())
			_, err = call(t.Context(), service, "key1", track("m"))
			require.NoError(t, err, "another source")
			time.Sleep(wait)
			_, err = call(t.Context(), service, key, track("m"))
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}

		s := streamOf(t.Context(), service, "wk-slow")
		answers := listen(s)
		for n := uint64(1); n <= 12; n++ {
			_ = s.Send(&ingestv1.IngestStreamRequest{Number: n, Request: messageOf(track(fmt.Sprint(n)))})
		}
		require.GreaterOrEqual(t, waits(<-answers.end), time.Second)
		require.Len(t, answers.numbers, 10)
		require.Zero(t, b.bufferUsage())
	})
}

// What Kafka did not take of a stream uses no limit up: neither the message that it failed with nor those behind it.
func TestLimitsCountWhatIsStoredOfAStream(t *testing.T) {
	inBubble(t, func(c *Config) {
		withSources(t, `
  - {id: slow, write_keys: [wk-slow], limits: {events_per_second: 1, burst: 20s}}
`)(c)
		c.AckDeadline = 2 * time.Second
	}, func(t *testing.T, b *bubble) {
		c := b.broker()
		service, closeIdle := b.bare()
		defer closeIdle()
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		s := streamOf(t.Context(), service, "wk-slow")
		answers := listen(s)
		for n := uint64(1); n <= 20; n++ {
			sendOn(t, s, n, track(fmt.Sprint("m", n)))
		}
		requireRetry(t, <-answers.end, connect.CodeUnavailable, "UNAVAILABLE")
		fault.Remove()
		again := streamOf(t.Context(), service, "wk-slow")
		answers = listen(again)
		for n := uint64(1); n <= 20; n++ {
			sendOn(t, again, n, track(fmt.Sprint("m", n)))
		}
		require.NoError(t, again.CloseRequest())
		require.ErrorIs(t, <-answers.end, io.EOF)
		require.Len(t, answers.numbers, 20)

		// Who hangs up has sent what it has sent.
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		fault = c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
		gone := streamOf(ctx, service, "wk-slow")
		answers = listen(gone)
		for n := uint64(1); n <= 20; n++ {
			sendOn(t, gone, n, track(fmt.Sprint("n", n)))
		}
		time.Sleep(time.Millisecond)
		cancel()
		<-answers.end
		fault.Remove()
		time.Sleep(500 * time.Millisecond)
		_, err := call(t.Context(), service, "wk-slow", track("more"))
		requireRetry(t, err, connect.CodeResourceExhausted, "RATE_LIMITED")
	})
}

// An open stream ends within five seconds of its key's end, or its source's, also while it is silent; what it had sent
// before is answered. Other streams stay.
func TestRevocationOfAnOpenStream(t *testing.T) {
	const within = 5 * time.Second
	for name, c := range map[string]struct {
		edit   []source.Edit
		code   connect.Code
		reason string
	}{
		"its key is taken away":      {[]source.Edit{source.Rotate("source1", source.Secret{Key: "fresh", Salt: "salt"}), source.Retire("source1")}, connect.CodeUnauthenticated, "INVALID_WRITE_KEY"},
		"its source is switched off": {[]source.Edit{source.Enable("source1", false)}, connect.CodePermissionDenied, "SOURCE_DISABLED"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, b *bubble) {
				kafka := b.broker()
				service, closeIdle := b.bare()
				defer closeIdle()
				silent, busy, other := streamOf(t.Context(), service, "key1"), streamOf(t.Context(), service, ""), streamOf(t.Context(), service, "key2")
				ends := listen(silent)
				sendOn(t, silent, 1, track("silent"))
				require.EqualValues(t, 1, <-ends.numbers)
				others := listen(other)
				sendOn(t, other, 1, track("other"))
				require.EqualValues(t, 1, <-others.numbers)
				busyEnds := listen(busy)
				next := func(n uint64) error {
					m := messageOf(track(fmt.Sprint("busy", n)))
					m.WriteKey = "key1"
					return busy.Send(&ingestv1.IngestStreamRequest{Number: n, Request: m})
				}
				require.NoError(t, next(1))
				require.EqualValues(t, 1, <-busyEnds.numbers)

				for _, e := range c.edit {
					require.NoError(t, source.EditFile(b.cfg.Sources, e))
				}
				edited := time.Now()
				err := <-ends.end
				require.Equal(t, c.code, connect.CodeOf(err), "%v", err)
				require.LessOrEqual(t, time.Since(edited), within)
				info, retry := details(t, err)
				require.Equal(t, c.reason, info.Reason)
				require.Nil(t, retry)

				before := stored(kafka, b.cfg.Topic)
				_ = next(2)
				require.Equal(t, c.code, connect.CodeOf(<-busyEnds.end))
				require.Equal(t, before, stored(kafka, b.cfg.Topic))
				sendOn(t, other, 2, track("other"))
				require.EqualValues(t, 2, <-others.numbers)
				require.NoError(t, other.CloseRequest())
				require.ErrorIs(t, <-others.end, io.EOF)
				require.Zero(t, b.bufferUsage())
			})
		})
	}
}

// Rules that come to hold while a stream is open hold for its next messages.
func TestRulesForAnOpenStream(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, b *bubble) {
		b.broker()
		service, closeIdle := b.bare()
		defer closeIdle()
		s := streamOf(t.Context(), service, "key1")
		sendOn(t, s, 1, track("m"))
		m, err := s.Receive()
		require.NoError(t, err)
		require.Empty(t, m.Response.Rejected)
		text := strings.Replace(sourcesYAML, "write_keys: [key1, key1-next]", "write_keys: [key1], suppressed_users: [u]", 1)
		require.NoError(t, os.WriteFile(b.cfg.Sources, []byte(text), 0o600))
		time.Sleep(5 * time.Second)
		sendOn(t, s, 2, `{"type":"page","userId":"u"}`)
		m, err = s.Receive()
		require.NoError(t, err)
		require.Equal(t, "user_suppressed", m.Response.Rejected[0].Code)
		require.NoError(t, s.CloseRequest())
		_, err = s.Receive()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, s.CloseResponse())
	})
}

// Streams of one source fill its share of the budget while its partition takes nothing: another source's calls and
// requests find room, wherever the storm's key stands.
func TestAStormOfStreamsHurtsNobodyElse(t *testing.T) {
	for name, inMessage := range map[string]bool{"the key is in the header": false, "the key is in the message": true} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, func(c *Config) {
				c.MaxBody, c.MaxEvent, c.MaxEvents = 16*settings.KiB, 8*settings.KiB, 10
				c.InFlight = settings.Memory{Bytes: 256 * settings.KiB}
			}, 20*time.Millisecond, func(t *testing.T, b *bubble) {
				broker := b.broker()
				service, closeIdle := b.bare()
				defer closeIdle()
				require.NotZero(t, b.calm("key2", 1))
				alone := b.calm("key2", 25)
				stormy := partitionOf(t, broker, b, "key1")
				fault := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.cfg.Topic, Partitions: []int32{stormy}, Err: kerr.NotEnoughReplicas, Count: -1})
				ctx, stop := context.WithCancel(t.Context())
				var streams sync.WaitGroup
				var refused atomic.Int64
				defer func() {
					stop()
					streams.Wait()
					fault.Remove()
				}()
				for range 40 {
					streams.Go(func() {
						for ctx.Err() == nil {
							if connect.CodeOf(storm(ctx, service, inMessage)) == connect.CodeResourceExhausted {
								refused.Add(1)
							}
							time.Sleep(200 * time.Millisecond)
						}
					})
				}
				time.Sleep(300 * time.Millisecond)
				during := b.calm("key2", 25)
				_, err := call(t.Context(), service, "key2", track("a call"))
				require.NoError(t, err)
				require.Positive(t, refused.Load(), "the storm fills its share")
				require.LessOrEqual(t, during, 2*alone)
				t.Logf("alone %s, in the storm %s; %d streams were refused", alone, during, refused.Load())
			})
		})
	}
}

// storm sends on one stream for as long as it is let.
func storm(ctx context.Context, service ingestv1connect.IngestServiceClient, inMessage bool) error {
	key := "key1"
	if inMessage {
		key = ""
	}
	s := streamOf(ctx, service, key)
	answers := listen(s)
	for n := uint64(1); ctx.Err() == nil; n++ {
		m := messageOf(fmt.Sprintf(`{"type":"page","userId":"u","name":%q}`, strings.Repeat("x", 7000)))
		if inMessage {
			m.WriteKey = "key1"
		}
		if s.Send(&ingestv1.IngestStreamRequest{Number: n, Request: m}) != nil {
			break
		}
	}
	_ = s.CloseRequest()
	return <-answers.end
}
