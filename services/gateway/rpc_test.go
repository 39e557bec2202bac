package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// h2c is a client of HTTP/2 without TLS.
func h2c(t *testing.T) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// withKey is the options of a client that sends source1's key.
func withKey(more ...connect.ClientOption) []connect.ClientOption {
	return append(more, connect.WithInterceptors(keyed{}))
}

type keyed struct{}

func (keyed) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		r.Header().Set("Authorization", basicKey1)
		return next(ctx, r)
	}
}

func (keyed) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, s connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, s)
		conn.RequestHeader().Set("Authorization", basicKey1)
		return conn
	}
}

func (keyed) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func messageOf(events ...string) *ingestv1.IngestRequest {
	m := &ingestv1.IngestRequest{}
	for _, e := range events {
		m.Events = append(m.Events, []byte(e))
	}
	return m
}

// stored says which message ids are in the events topic.
func (w *world) storedIDs() map[string]int {
	ids := map[string]int{}
	for _, r := range w.records(w.cfg.Topic) {
		ids[fields(w.t, r.Value)["messageId"].(string)]++
	}
	return ids
}

func TestEveryProtocol(t *testing.T) {
	w := start(t, nil)
	for name, c := range map[string]struct {
		http    *http.Client
		options []connect.ClientOption
	}{
		"connect":             {client, nil},
		"connect json":        {client, []connect.ClientOption{connect.WithProtoJSON()}},
		"connect gzip":        {client, []connect.ClientOption{connect.WithSendGzip()}},
		"connect h2c":         {h2c(t), nil},
		"grpc":                {h2c(t), []connect.ClientOption{connect.WithGRPC()}},
		"grpc gzip":           {h2c(t), []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
		"grpc json":           {h2c(t), []connect.ClientOption{connect.WithGRPC(), connect.WithProtoJSON()}},
		"grpc-web":            {client, []connect.ClientOption{connect.WithGRPCWeb()}},
		"grpc-web h2c":        {h2c(t), []connect.ClientOption{connect.WithGRPCWeb(), connect.WithSendGzip()}},
		"connect json, gzip ": {h2c(t), []connect.ClientOption{connect.WithProtoJSON(), connect.WithSendGzip()}},
	} {
		t.Run(name, func(t *testing.T) {
			service := ingestv1connect.NewIngestServiceClient(c.http, "http://"+w.addr, withKey(c.options...)...)
			a, b := track(name+" a"), track(name+" b")
			resp, err := service.Ingest(t.Context(), connect.NewRequest(messageOf(a, `{"type":"track","messageId":"bad","userId":"u"}`, "{oops", b)))
			require.NoError(t, err)
			require.NotEmpty(t, resp.Header().Get("X-Request-Id"))
			require.Len(t, resp.Msg.Rejected, 2)
			require.Equal(t, "event_not_defined", resp.Msg.Rejected[0].Code)
			require.Equal(t, "bad", resp.Msg.Rejected[0].MessageId)
			require.EqualValues(t, 1, resp.Msg.Rejected[0].Index)
			require.Equal(t, "malformed_json", resp.Msg.Rejected[1].Code)
			require.EqualValues(t, 2, resp.Msg.Rejected[1].Index)
			ids := w.storedIDs()
			require.Equal(t, 1, ids[name+" a"])
			require.Equal(t, 1, ids[name+" b"])

			if strings.Contains(name, "h2c") || strings.HasPrefix(name, "grpc ") {
				w.streamOnce(t, service, name)
			}
			requireCode(t, w, c.http, c.options)
		})
	}
	w.requireNothingHeld()
	require.Zero(t, w.metric("weir_gateway_active_calls"))
}

// streamOnce sends a few messages on a stream, and has each answered in order.
func (w *world) streamOnce(t *testing.T, service ingestv1connect.IngestServiceClient, name string) {
	stream := service.IngestStream(t.Context())
	for i := range 5 {
		require.NoError(t, stream.Send(&ingestv1.IngestStreamRequest{Number: uint64(10 * (i + 1)), Request: messageOf(track(fmt.Sprint(name, i)), "[]")}))
	}
	require.NoError(t, stream.CloseRequest())
	for i := range 5 {
		answer, err := stream.Receive()
		require.NoError(t, err)
		require.EqualValues(t, 10*(i+1), answer.Number)
		require.Equal(t, "not_object", answer.Response.Rejected[0].Code)
	}
	_, err := stream.Receive()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, stream.CloseResponse())
	ids := w.storedIDs()
	for i := range 5 {
		require.Equal(t, 1, ids[fmt.Sprint(name, i)])
	}
}

// requireCode sees that errors keep their code and their details in a protocol.
func requireCode(t *testing.T, w *world, c *http.Client, options []connect.ClientOption) {
	service := ingestv1connect.NewIngestServiceClient(c, "http://"+w.addr, options...)
	for _, key := range []string{"", "Basic d3Jvbmc6", "Bearer wrong"} {
		r := connect.NewRequest(messageOf(track("m")))
		if key != "" {
			r.Header().Set("Authorization", key)
		}
		_, err := service.Ingest(t.Context(), r)
		require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err), "%v", err)
		info, retry := details(t, err)
		require.Equal(t, "INVALID_WRITE_KEY", info.Reason)
		require.Nil(t, retry)
	}
}

func details(t *testing.T, err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	t.Helper()
	var ce *connect.Error
	require.ErrorAs(t, err, &ce)
	for _, d := range ce.Details() {
		m, err := d.Value()
		require.NoError(t, err)
		switch m := m.(type) {
		case *errdetails.ErrorInfo:
			info = m
		case *errdetails.RetryInfo:
			retry = m
		}
	}
	require.NotNil(t, info, "%v", err)
	return info, retry
}

// dial is a client of grpc-go.
func dial(t *testing.T, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	if len(options) == 0 {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	conn, err := grpc.NewClient(addr, options...)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func bearer(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer key1")
}

const (
	unaryMethod  = "/weir.ingest.v1.IngestService/Ingest"
	streamMethod = "/weir.ingest.v1.IngestService/IngestStream"
)

func openStream(ctx context.Context, t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{StreamName: "IngestStream", ClientStreams: true, ServerStreams: true}, streamMethod)
	require.NoError(t, err)
	return s
}

// grpc-go is the client that is not connect-go's own.
func TestGRPCGo(t *testing.T) {
	w := start(t, nil)
	conn := dial(t, w.addr)
	var answer ingestv1.IngestResponse
	for name, option := range map[string][]grpc.CallOption{"plain": nil, "gzip": {grpc.UseCompressor("gzip")}} {
		require.NoError(t, conn.Invoke(bearer(t.Context()), unaryMethod, messageOf(track(name)), &answer, option...))
		require.Equal(t, 1, w.storedIDs()[name])
	}
	keyed := messageOf(track("in the message"))
	keyed.WriteKey = "key1"
	require.NoError(t, conn.Invoke(t.Context(), unaryMethod, keyed, &answer))
	require.NoError(t, conn.Invoke(t.Context(), unaryMethod, messageOf(`{"writeKey":"key1","type":"page","userId":"u","messageId":"in the event"}`), &answer))
	require.Equal(t, 1, w.storedIDs()["in the event"])

	for name, c := range map[string]struct {
		request *ingestv1.IngestRequest
		ctx     context.Context
		code    codes.Code
		reason  string
	}{
		"no events":       {messageOf(), bearer(t.Context()), codes.InvalidArgument, "EMPTY_BATCH"},
		"no key":          {messageOf(track("m")), t.Context(), codes.Unauthenticated, "INVALID_WRITE_KEY"},
		"disabled":        {&ingestv1.IngestRequest{WriteKey: "key-off", Events: [][]byte{[]byte(track("m"))}}, t.Context(), codes.PermissionDenied, "SOURCE_DISABLED"},
		"mixed keys":      {messageOf(`{"writeKey":"key1","type":"page","userId":"u"}`, `{"writeKey":"key2","type":"page","userId":"u"}`), t.Context(), codes.Unauthenticated, "MIXED_WRITE_KEYS"},
		"too many events": {messageOf(strings.Split(strings.Repeat("{} ", 10_001), " ")...), bearer(t.Context()), codes.InvalidArgument, "PAYLOAD_TOO_LARGE"},
		"too large":       {messageOf(strings.Repeat("x", 4<<20)), bearer(t.Context()), codes.InvalidArgument, "PAYLOAD_TOO_LARGE"},
	} {
		err := conn.Invoke(c.ctx, unaryMethod, c.request, &answer)
		requireStatus(t, err, c.code, c.reason, false)
		_ = name
	}
	err := conn.Invoke(t.Context(), "/weir.ingest.v1.IngestService/Nothing", messageOf(), &answer)
	require.Equal(t, codes.Unimplemented, status.Code(err))

	s := openStream(bearer(t.Context()), t, conn)
	require.NoError(t, s.SendMsg(&ingestv1.IngestStreamRequest{Number: 7, Request: messageOf(track("streamed"))}))
	var got ingestv1.IngestStreamResponse
	require.NoError(t, s.RecvMsg(&got))
	require.EqualValues(t, 7, got.Number)
	require.Equal(t, 1, w.storedIDs()["streamed"])
	for _, r := range w.records(w.cfg.Topic) {
		if fields(t, r.Value)["messageId"] == "streamed" {
			require.True(t, strings.HasSuffix(headerOf(r, "weir-request-id"), "/7"))
			require.Equal(t, "source1", string(r.Key))
		}
	}
	require.NoError(t, s.SendMsg(&ingestv1.IngestStreamRequest{Number: 7, Request: messageOf(track("again"))}))
	requireStatus(t, s.RecvMsg(&got), codes.InvalidArgument, "INVALID_REQUEST", false)
	require.Zero(t, w.storedIDs()["again"])
}

func requireStatus(t *testing.T, err error, code codes.Code, reason string, again bool) {
	t.Helper()
	st, ok := status.FromError(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, st.Code(), "%v", err)
	var got string
	retry := false
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			got = d.Reason
			require.Equal(t, "weir", d.Domain)
		case *errdetails.RetryInfo:
			retry = d.RetryDelay.AsDuration() >= time.Second
		}
	}
	require.Equal(t, reason, got, "%v", err)
	require.Equal(t, again, retry, "%v", err)
}

// Where a stream's message is refused, what came before it is answered, and it is the first that is not.
func TestAStreamEndsAtWhatIsRefused(t *testing.T) {
	w := start(t, nil)
	conn := dial(t, w.addr)
	for name, c := range map[string]struct {
		bad    *ingestv1.IngestStreamRequest
		code   codes.Code
		reason string
	}{
		"empty":        {&ingestv1.IngestStreamRequest{}, codes.InvalidArgument, "INVALID_REQUEST"},
		"no number":    {&ingestv1.IngestStreamRequest{Request: messageOf(track("x"))}, codes.InvalidArgument, "INVALID_REQUEST"},
		"no events":    {&ingestv1.IngestStreamRequest{Number: 3}, codes.InvalidArgument, "EMPTY_BATCH"},
		"unknown key":  {&ingestv1.IngestStreamRequest{Number: 3, Request: &ingestv1.IngestRequest{WriteKey: "nobody", Events: [][]byte{[]byte("{}")}}}, codes.Unauthenticated, "INVALID_WRITE_KEY"},
		"too large":    {&ingestv1.IngestStreamRequest{Number: 3, Request: messageOf(strings.Repeat("x", 4<<20))}, codes.InvalidArgument, "PAYLOAD_TOO_LARGE"},
		"far too many": {&ingestv1.IngestStreamRequest{Number: 3, Request: messageOf(make([]string, 200_000)...)}, codes.InvalidArgument, "PAYLOAD_TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStream(t.Context(), t, conn)
			for n := uint64(1); n <= 2; n++ {
				good := messageOf(track(fmt.Sprint(name, n)))
				good.WriteKey = "key1"
				require.NoError(t, s.SendMsg(&ingestv1.IngestStreamRequest{Number: n, Request: good}))
			}
			_ = s.SendMsg(c.bad) // it may be refused while it is sent
			var got ingestv1.IngestStreamResponse
			for n := uint64(1); n <= 2; n++ {
				require.NoError(t, s.RecvMsg(&got))
				require.Equal(t, n, got.Number)
			}
			requireStatus(t, s.RecvMsg(&got), c.code, c.reason, false)
		})
	}
	w.requireNothingHeld()
}

// More messages than the window has room for, of all sizes, on several streams at once: each is answered, each once.
func TestManyMessages(t *testing.T) {
	w := start(t, nil)
	conn := dial(t, w.addr)
	const streams, messages = 4, 400
	done := make(chan error, streams)
	for n := range streams {
		go func() {
			s, err := conn.NewStream(bearer(t.Context()), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, streamMethod)
			if err != nil {
				done <- err
				return
			}
			go func() {
				for i := range messages {
					m := messageOf(track(fmt.Sprintf("s%d-%d", n, i)), `{"type":"page","userId":"u`+strings.Repeat("x", i*97%5_000)+`"}`)
					if s.SendMsg(&ingestv1.IngestStreamRequest{Number: uint64(i + 1), Request: m}) != nil {
						return
					}
				}
				_ = s.CloseSend()
			}()
			for i := range messages {
				var got ingestv1.IngestStreamResponse
				if err := s.RecvMsg(&got); err != nil || got.Number != uint64(i+1) || len(got.Response.GetRejected()) > 0 {
					done <- fmt.Errorf("stream %d, message %d: %w, %v", n, i+1, err, &got)
					return
				}
			}
			err = s.RecvMsg(&ingestv1.IngestStreamResponse{})
			if errors.Is(err, io.EOF) {
				err = nil
			}
			done <- err
		}()
	}
	for range streams {
		require.NoError(t, <-done)
	}
	perStream := map[string]int{} // the newest of each stream: they stand in their order
	for _, r := range w.records(w.cfg.Topic) {
		id, _ := fields(t, r.Value)["messageId"].(string)
		var n, i int
		if _, err := fmt.Sscanf(id, "s%d-%d", &n, &i); err == nil {
			require.Equal(t, perStream[fmt.Sprint(n)], i)
			perStream[fmt.Sprint(n)]++
		}
	}
	for n := range streams {
		require.Equal(t, messages, perStream[fmt.Sprint(n)])
	}
	require.EqualValues(t, streams*messages, w.metric(`weir_gateway_messages_total{rpc_method="weir.ingest.v1.IngestService/IngestStream"}`))
	w.requireNothingHeld()
}

// By curl: Connect is a POST of JSON.
func TestConnectByHand(t *testing.T) {
	w := start(t, nil)
	path := unaryMethod
	event := base64.StdEncoding.EncodeToString([]byte(track("base64")))
	a := w.post(path, `{"writeKey":"key1","events":["`+event+`",`+track("object")+`]}`, "Content-Type", "application/json")
	require.Equal(t, 200, a.status, a.body)
	require.JSONEq(t, `{}`, a.body)
	require.Equal(t, map[string]int{"base64": 1, "object": 1}, w.storedIDs())

	for _, encoding := range []string{"deflate", "br", "zstd"} {
		a := w.post(path, packBy(t, encoding, `{"writeKey":"key1","events":[`+track(encoding)+`]}`), "Content-Type", "application/json", "Content-Encoding", encoding)
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, 1, w.storedIDs()[encoding])
	}
	require.Equal(t, 501, w.post(path, "{}", "Content-Type", "application/json", "Content-Encoding", "lzma", "Authorization", basicKey1).status)

	for body, want := range map[string]string{
		`{"events":[1]}`: "invalid_argument", `[]`: "invalid_argument", `{`: "invalid_argument", ``: "invalid_argument",
		`{"events":["%"]}`: "invalid_argument", `{"writeKey":7}`: "invalid_argument",
	} {
		a := w.post(path, body, "Content-Type", "application/json", "Authorization", basicKey1, "Origin", "https://shop.example")
		require.Equal(t, 400, a.status, body)
		require.Equal(t, want, fields(t, []byte(a.body))["code"], body)
		require.Equal(t, "https://shop.example", a.header.Get("Access-Control-Allow-Origin"))
		require.Contains(t, a.header.Get("Access-Control-Expose-Headers"), "Grpc-Status")
	}
	require.Equal(t, 415, w.post(path, "x", "Content-Type", "text/plain", "Authorization", basicKey1).status)
	require.Equal(t, 405, do(t, w.request("GET", path, "", "Authorization", basicKey1)).status)
	a = do(t, w.request("OPTIONS", path, "", "Origin", "https://shop.example", "Access-Control-Request-Headers", "x-grpc-web,x-custom"))
	require.Equal(t, 204, a.status)
	require.Equal(t, "x-grpc-web,x-custom", a.header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, 505, w.post(streamMethod, "", "Content-Type", "application/connect+json", "Authorization", basicKey1).status)
}

func TestGRPCHealth(t *testing.T) {
	w := start(t, nil)
	check := healthv1.NewHealthClient(dial(t, w.addr))
	for _, service := range []string{"", "weir.ingest.v1.IngestService"} {
		got, err := check.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, healthv1.HealthCheckResponse_SERVING, got.Status)
	}
	_, err := check.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "other"})
	require.Equal(t, codes.NotFound, status.Code(err))
	w.tel.Health.SetUnable("a test says so")
	got, err := check.Check(t.Context(), &healthv1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, healthv1.HealthCheckResponse_NOT_SERVING, got.Status)
	require.Equal(t, "grpc.health.v1.Health", grpchealth.HealthV1ServiceName)
}

// A bomb inside a message is refused before it is large, in every protocol.
func TestBombsOfMessages(t *testing.T) {
	w := start(t, nil)
	bomb := []byte(strings.Repeat(pack(t, strings.Repeat("\x00", 8<<20)), 128))
	require.Less(t, len(bomb), 2<<20)
	frame := append([]byte{1, byte(len(bomb) >> 24), byte(len(bomb) >> 16), byte(len(bomb) >> 8), byte(len(bomb))}, bomb...)
	for name, c := range map[string]struct {
		path, contentType, header string
		body                      []byte
	}{
		"connect":        {unaryMethod, "application/proto", "Content-Encoding", bomb},
		"grpc":           {unaryMethod, "application/grpc", "Grpc-Encoding", frame},
		"grpc stream":    {streamMethod, "application/grpc", "Grpc-Encoding", frame},
		"connect stream": {streamMethod, "application/connect+proto", "Connect-Content-Encoding", frame},
	} {
		t.Run(name, func(t *testing.T) {
			bytes := allocated(func() {
				r, err := http.NewRequest("POST", "http://"+w.addr+c.path, bytes.NewReader(c.body))
				require.NoError(t, err)
				r.Header.Set("Content-Type", c.contentType)
				r.Header.Set(c.header, "gzip")
				r.Header.Set("Authorization", basicKey1)
				resp, err := h2c(t).Do(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				all := string(body) + fmt.Sprint(resp.Header, resp.Trailer)
				require.Contains(t, all, "Exceed payload limit")
			})
			require.Less(t, bytes, uint64(64<<20))
		})
	}
	w.requireNothingHeld()
}
