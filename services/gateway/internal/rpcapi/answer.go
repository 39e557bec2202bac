package rpcapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"weir/services/gateway/internal/body"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"

	ingestv1 "weir/proto/weir/ingest/v1"
)

// fault is an answer that is not success.
type fault struct {
	code    connect.Code
	name    string // as the HTTP API names it
	message string
	reason  string        // for metrics: a closed set; "" = name
	again   bool          // the client should send it again, and when is said
	wait    time.Duration // of again: not before; 0 = soon
	source  string        // whose fault it is, where a message named it
}

var (
	tooLarge    = fault{code: connect.CodeInvalidArgument, name: intake.CodePayloadTooLarge, message: "Exceed payload limit"}
	internal    = fault{code: connect.CodeInternal, name: "internal_error", message: "the gateway has a defect; send again", again: true}
	overloaded  = fault{code: connect.CodeResourceExhausted, name: "overloaded", message: "too many events are in flight; send again", reason: "buffer_full", again: true}
	starting    = fault{code: connect.CodeUnavailable, name: "unavailable", message: "the gateway is starting; send again", reason: "starting", again: true}
	draining    = fault{code: connect.CodeUnavailable, name: "unavailable", message: "the gateway is stopping; connect again, and send what was not answered", reason: "draining", again: true}
	silent      = fault{code: connect.CodeUnavailable, name: "timeout", message: "no message came for long; connect again, and send what was not answered", reason: "silent", again: true}
	givenUp     = fault{code: connect.CodeCanceled, name: "incomplete", message: "the client has ended the stream", reason: "given_up"}
	cutShort    = fault{code: connect.CodeUnavailable, name: "incomplete", message: "the stream did not arrive in full", again: true}
	undecodable = fault{code: connect.CodeInvalidArgument, name: intake.CodeInvalidRequest, message: "the message cannot be decoded", reason: "malformed"}
	order       = fault{code: connect.CodeInvalidArgument, name: intake.CodeInvalidRequest, message: "the number of a message must be larger than that of the message before", reason: "order"}
)

// faultOf maps what went wrong to an answer.
func faultOf(err error) fault {
	var refusal *ingest.Refusal
	var told fault
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &refusal):
		return ofRefusal(refusal)
	case errors.Is(err, produce.ErrTooLarge):
		return tooLarge
	case errors.Is(err, produce.ErrFull):
		return overloaded
	case errors.Is(err, body.ErrEncoding):
		return fault{code: connect.CodeUnimplemented, name: "unsupported_encoding", message: err.Error()}
	case errors.Is(err, body.ErrCorrupt):
		return fault{code: connect.CodeInvalidArgument, name: intake.CodeInvalidRequest, message: err.Error(), reason: "corrupt"}
	case errors.Is(err, body.ErrSlow):
		return fault{code: connect.CodeUnavailable, name: "timeout", message: err.Error(), again: true}
	}
	return fault{code: connect.CodeUnavailable, name: "incomplete", message: body.ErrCut.Error(), again: true}
}

func ofRefusal(r *ingest.Refusal) fault {
	f := fault{code: connect.CodeInvalidArgument, name: r.Code, message: r.Message}
	switch r.Kind {
	case ingest.Unusable:
		f.reason = "malformed"
	case ingest.TooLarge:
	case ingest.Unauthorized:
		f.code = connect.CodeUnauthenticated
	case ingest.Disabled, ingest.Foreign:
		f.code = connect.CodePermissionDenied
	case ingest.Limited:
		f.code, f.again, f.wait, f.source = connect.CodeResourceExhausted, true, r.Wait, r.Source
	case ingest.Overloaded:
		f.code, f.reason, f.again = connect.CodeResourceExhausted, "buffer_full", true
	case ingest.Late:
		f.code, f.reason, f.again = connect.CodeUnavailable, "late", true
	default:
		f.code, f.reason, f.again = connect.CodeUnavailable, "kafka_down", true
	}
	return f
}

// Error is what the client reads.
func (f fault) Error() string { return f.message }

func (f fault) label() string {
	if f.reason != "" {
		return f.reason
	}
	return f.name
}

// err is the fault in the words of Connect and gRPC. When to come again is said three times: in the detail, in the
// header of Connect's HTTP answer, and in the trailer by which gRPC's own retries abide.
func (f fault) err() *connect.Error {
	e := connect.NewError(f.code, f)
	detail(e, &errdetails.ErrorInfo{Reason: strings.ToUpper(f.name), Domain: "weir"})
	if f.again {
		seconds := ingest.Again(f.wait)
		detail(e, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
		e.Meta().Set("Retry-After", strconv.Itoa(seconds))
		e.Meta().Set("Grpc-Retry-Pushback-Ms", strconv.Itoa(seconds*1000))
	}
	return e
}

func detail(e *connect.Error, m proto.Message) {
	d, err := connect.NewErrorDetail(m)
	if err != nil {
		panic(fmt.Sprintf("%T is no message: %v", m, err)) // those above are
	}
	e.AddDetail(d)
}

// responseOf says which events were set aside.
func responseOf(list []intake.Rejection) *ingestv1.IngestResponse {
	r := &ingestv1.IngestResponse{}
	if len(list) > 0 {
		r.Rejected = make([]*ingestv1.Rejection, len(list))
	}
	for i := range list {
		r.Rejected[i] = &ingestv1.Rejection{
			Index: uint32(list[i].Index), MessageId: strings.ToValidUTF8(string(list[i].MessageID), "\uFFFD"),
			Code: list[i].Code, Message: list[i].Message,
		}
	}
	return r
}
