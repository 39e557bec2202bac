package rpcapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"weir/services/gateway/internal/body"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"

	ingestv1 "weir/proto/weir/ingest/v1"
)

var some = decoding{most: 100, buffers: new(buffers)}

// eventsOf takes a decoded message apart again.
func eventsOf(r *request) (events [][]byte) {
	from := int32(0)
	for _, end := range r.ends {
		events = append(events, r.body[from:end])
		from = end
	}
	return events
}

func requests() []*ingestv1.IngestRequest {
	long := make([][]byte, 99)
	for i := range long {
		long[i] = []byte(fmt.Sprintf(`{"n":%d,"text":"%s"}`, i, strings.Repeat("ü", i)))
	}
	return []*ingestv1.IngestRequest{
		{},
		{WriteKey: "key \"quoted\" ü\n"},
		{Events: [][]byte{[]byte(`{"a":1}`)}},
		{WriteKey: "k", Events: long},
		{Events: [][]byte{{}, {0, 1, 2, 0xfb, 0xff, 0xfe}, {}, []byte("no JSON")}},
	}
}

// Our decoders read what protobuf writes.
func TestMessagesAreProtobufs(t *testing.T) {
	for _, want := range requests() {
		stream := &ingestv1.IngestStreamRequest{Number: 1<<64 - 1, Request: want}
		for name, c := range map[string]struct {
			marshal func(proto.Message) ([]byte, error)
			codec   connect.Codec
		}{
			"proto":                                  {proto.Marshal, binary{some}},
			"json":                                   {protojson.Marshal, text{"json", some}},
			"json of many lines, with proto's names": {protojson.MarshalOptions{Multiline: true, UseProtoNames: true, EmitUnpopulated: true}.Marshal, text{"json", some}},
		} {
			data, err := c.marshal(want)
			require.NoError(t, err)
			var got request
			for range 2 {
				require.NoError(t, c.codec.Unmarshal(data, &got), "%s: %s", name, data)
				require.Equal(t, want.WriteKey, got.key)
				require.Len(t, got.ends, len(want.Events))
				for i, e := range eventsOf(&got) {
					require.True(t, bytes.Equal(want.Events[i], e), "%s: %q, not %q", name, e, want.Events[i])
				}
			}
			data, err = c.marshal(stream)
			require.NoError(t, err)
			var n numbered
			require.NoError(t, c.codec.Unmarshal(data, &n), "%s: %s", name, data)
			require.Equal(t, stream.Number, n.number)
			require.Equal(t, want.WriteKey, n.key)
			require.Len(t, n.ends, len(want.Events))
		}
	}
}

func TestJSONByHand(t *testing.T) {
	codec := text{"json", some}
	event := `{"userId":"u","properties":{"n":1.50}}`
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		var r request
		require.NoError(t, codec.Unmarshal([]byte(`{"unknown":[{}],"events":["`+encoding.EncodeToString([]byte{0xfb, 0xef, 0xff, 1})+`", `+event+`],"writeKey":null}`), &r))
		require.Equal(t, [][]byte{{0xfb, 0xef, 0xff, 1}, []byte(event)}, eventsOf(&r))
	}
	var n numbered
	require.NoError(t, codec.Unmarshal([]byte(`{"request":{"events":[{}]},"number":3}`), &n))
	require.EqualValues(t, 3, n.number)
	require.Len(t, n.ends, 1)
	for text, want := range map[string]error{
		`{"events":{}}`: errEvents, `{"events":[null]}`: errEvents, `{"events":["%"]}`: errEvents, `{"writeKey":{}}`: errKey,
		`7`: errObject, `{`: errJSON, ``: errJSON, `{} {}`: errJSON, `{"events":[{]}`: errJSON,
	} {
		require.ErrorIs(t, codec.Unmarshal([]byte(text), &request{}), want, text)
	}
	for text, want := range map[string]error{
		`{"number":-1}`: errNumber, `{"number":"x"}`: errNumber, `{"number":{}}`: errNumber, `{"request":7}`: errObject, `[]`: errObject, `{"request":`: errJSON,
	} {
		require.ErrorIs(t, codec.Unmarshal([]byte(text), &numbered{}), want, text)
	}
}

// Of far too many events the message holds one more than may be, which is enough to be refused.
func TestFarTooManyEvents(t *testing.T) {
	data, err := proto.Marshal(&ingestv1.IngestRequest{Events: make([][]byte, 100_000)})
	require.NoError(t, err)
	var r request
	require.NoError(t, binary{some}.Unmarshal(data, &r))
	require.Len(t, r.ends, some.most+1)
}

func TestDecodingAllocatesPerMessage(t *testing.T) {
	data, err := proto.Marshal(&ingestv1.IngestStreamRequest{Number: 1, Request: requests()[3]})
	require.NoError(t, err)
	var n numbered
	codec := binary{some}
	require.NoError(t, codec.Unmarshal(data, &n))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = codec.Unmarshal(data, &n); some.buffers.put(&n.request) }), 3.0, "for 99 events")
}

// What protobuf reads, we read the same; what it refuses, we may pass over, and nothing panics.
func FuzzMessages(f *testing.F) {
	for _, r := range requests() {
		data, err := proto.Marshal(r)
		require.NoError(f, err)
		f.Add(data)
		data, err = proto.Marshal(&ingestv1.IngestStreamRequest{Number: 300, Request: r})
		require.NoError(f, err)
		f.Add(data)
		data, err = protojson.Marshal(r)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"events":[{"a":[1,{}]},"e30"],"number":"7","request":{"events":[]}}`))
	many := decoding{most: 1 << 20, buffers: new(buffers)}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want ingestv1.IngestRequest
		var got request
		if err := (binary{many}).Unmarshal(data, &got); proto.Unmarshal(data, &want) == nil {
			require.NoError(t, err)
			require.Equal(t, want.WriteKey, got.key)
			require.Len(t, got.ends, len(want.Events))
			for i, e := range eventsOf(&got) {
				require.True(t, bytes.Equal(want.Events[i], e))
			}
		}
		var stream ingestv1.IngestStreamRequest
		var n numbered
		if err := (binary{many}).Unmarshal(data, &n); proto.Unmarshal(data, &stream) == nil {
			require.NoError(t, err)
			require.Equal(t, stream.Number, n.number)
			require.Len(t, n.ends, len(stream.GetRequest().GetEvents()))
		}
		lenient := protojson.UnmarshalOptions{DiscardUnknown: true}
		if err := (text{"json", many}).Unmarshal(data, &got); lenient.Unmarshal(data, &want) == nil && err == nil {
			require.Equal(t, want.WriteKey, got.key)
			require.Len(t, got.ends, len(want.Events))
			for i, e := range eventsOf(&got) {
				require.True(t, bytes.Equal(want.Events[i], e), "%q, not %q", e, want.Events[i])
			}
		}
		_ = (text{"json", many}).Unmarshal(data, &n)
	})
}

func TestEveryErrorSaysWhetherToComeAgain(t *testing.T) {
	refusal := func(k ingest.Kind) error { return &ingest.Refusal{Kind: k, Code: "a_code", Message: "a message"} }
	for _, c := range []struct {
		err   error
		code  connect.Code
		again bool
	}{
		{refusal(ingest.Unusable), connect.CodeInvalidArgument, false},
		{refusal(ingest.TooLarge), connect.CodeInvalidArgument, false},
		{refusal(ingest.Unauthorized), connect.CodeUnauthenticated, false},
		{refusal(ingest.Disabled), connect.CodePermissionDenied, false},
		{refusal(ingest.Overloaded), connect.CodeResourceExhausted, true},
		{refusal(ingest.Late), connect.CodeUnavailable, true},
		{refusal(ingest.Unavailable), connect.CodeUnavailable, true},
		{produce.ErrTooLarge, connect.CodeInvalidArgument, false},
		{body.ErrEncoding, connect.CodeUnimplemented, false},
		{body.ErrCorrupt, connect.CodeInvalidArgument, false},
		{produce.ErrFull, connect.CodeResourceExhausted, true},
		{body.ErrSlow, connect.CodeUnavailable, true},
		{body.ErrCut, connect.CodeUnavailable, true},
		{errors.New("anything"), connect.CodeUnavailable, true},
		{draining, connect.CodeUnavailable, true},
		{internal, connect.CodeInternal, true},
	} {
		e := faultOf(c.err).err()
		require.Equal(t, c.code, e.Code(), "%v", c.err)
		require.Equal(t, c.again, e.Meta().Get("Retry-After") != "", "%v", c.err)
		require.Equal(t, c.again, e.Meta().Get("Grpc-Retry-Pushback-Ms") != "")
		wantDetails := 1
		if c.again {
			wantDetails = 2
		}
		require.Len(t, e.Details(), wantDetails)
		require.NotEmpty(t, faultOf(c.err).label())
	}
}

// A messageId may be any JSON text; protobuf's must be UTF-8.
func TestARejectionIsUTF8(t *testing.T) {
	_, err := proto.Marshal(responseOf([]intake.Rejection{{MessageID: []byte("\xff\xfe"), Code: "c", Message: "m"}}))
	require.NoError(t, err)
}
