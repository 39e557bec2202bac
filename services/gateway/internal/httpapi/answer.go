package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"weir/services/gateway/internal/body"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
)

// Success is exactly this: other 2xx statuses, an empty body or plain text make one
// library or another send its events again.
const success = `{"success":true}`

var jsonType = []string{"application/json"}

// fault is an answer that is not success. Its status is one that makes the libraries
// do the right thing: 400 and 401 make them drop the request for good, 429 and 5xx
// make them send it again; 408 is dropped by some and never used.
type fault struct {
	status  int
	code    string
	message string
	reason  string        // for metrics: a closed set; "" = code
	again   bool          // the client should send it again, and when is said
	wait    time.Duration // of again: not before; 0 = soon
	source  string        // whose fault it is, where a body named it
	hangUp  bool          // the connection is of no more use
}

var (
	noPath     = fault{status: http.StatusNotFound, code: "not_found", message: "there is nothing at this path"}
	noMethod   = fault{status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "this path does not answer to this method"}
	noKey      = fault{status: http.StatusNotFound, code: "invalid_write_key", message: "the write key is unknown"}
	tooLarge   = fault{status: http.StatusBadRequest, code: intake.CodePayloadTooLarge, message: "Exceed payload limit"}
	internal   = fault{status: http.StatusInternalServerError, code: "internal_error", message: "the gateway has a defect; send again", hangUp: true}
	overloaded = fault{status: http.StatusServiceUnavailable, code: "overloaded", message: "too many events are in flight; send again", reason: "buffer_full", again: true}
	starting   = fault{status: http.StatusServiceUnavailable, code: "unavailable", message: "the gateway is starting; send again", reason: "starting", again: true}
	draining   = fault{status: http.StatusServiceUnavailable, code: "unavailable", message: "the gateway is stopping; send again", reason: "draining", again: true, hangUp: true}
)

// faultOf maps what went wrong to an answer.
func faultOf(err error) fault {
	var refusal *ingest.Refusal
	switch {
	case errors.As(err, &refusal):
		return ofRefusal(refusal)
	case errors.Is(err, produce.ErrTooLarge):
		return tooLarge
	case errors.Is(err, produce.ErrFull):
		return overloaded
	case errors.Is(err, body.ErrEncoding):
		return fault{status: http.StatusBadRequest, code: "unsupported_encoding", message: err.Error()}
	case errors.Is(err, body.ErrCorrupt):
		return fault{status: http.StatusBadRequest, code: intake.CodeInvalidRequest, message: err.Error(), reason: "corrupt"}
	case errors.Is(err, body.ErrSlow):
		return fault{status: http.StatusServiceUnavailable, code: "timeout", message: err.Error(), again: true, hangUp: true}
	}
	return fault{status: http.StatusServiceUnavailable, code: "incomplete", message: body.ErrCut.Error(), again: true, hangUp: true}
}

func ofRefusal(r *ingest.Refusal) fault {
	f := fault{code: r.Code, message: r.Message}
	switch r.Kind {
	case ingest.Unusable:
		f.status, f.reason = http.StatusBadRequest, "malformed"
	case ingest.TooLarge:
		f.status = http.StatusBadRequest
	case ingest.Unauthorized:
		f.status = http.StatusUnauthorized
	case ingest.Disabled, ingest.Foreign:
		f.status = http.StatusForbidden
	case ingest.Limited:
		f.status, f.again, f.wait, f.source = http.StatusTooManyRequests, true, r.Wait, r.Source
	case ingest.Overloaded:
		f.status, f.reason, f.again = http.StatusServiceUnavailable, "buffer_full", true
	case ingest.Late:
		f.status, f.reason, f.again = http.StatusServiceUnavailable, "late", true
	default:
		f.status, f.reason, f.again = http.StatusServiceUnavailable, "kafka_down", true
	}
	return f
}

// write sends the fault. Which of 503 and 429 says "again" depends on who asks: the
// node and the browser library read Retry-After on 429 only, and count such retries
// apart; php, ruby and go do not know 429 as well as 503.
func (f fault) write(w http.ResponseWriter, r *http.Request) (status int) {
	status = f.status
	h := w.Header()
	if f.again {
		h["Retry-After"] = []string{strconv.Itoa(ingest.Again(f.wait))}
		if status == http.StatusServiceUnavailable && reads429(r) {
			status = http.StatusTooManyRequests
		}
	}
	if f.hangUp {
		h["Connection"] = []string{"close"}
	}
	h["Content-Type"] = jsonType
	text, _ := json.Marshal(struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
		Code    string `json:"code"`
	}{Message: f.message, Code: f.code})
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
	return status
}

func (f fault) label() string {
	if f.reason != "" {
		return f.reason
	}
	return f.code
}

// reads429 recognises the node libraries by their name, and a browser by what only
// browsers send.
func reads429(r *http.Request) bool {
	agent := r.Header.Get("User-Agent")
	return strings.HasPrefix(agent, "analytics-node") || strings.HasPrefix(agent, "Mozilla/") || len(r.Header["Origin"]) > 0
}

type rejected struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId,omitempty"`
	Code      string `json:"code"`
	Message   string `json:"message"`
}

// writeSuccess says that everything is durable, and which events were set aside.
func writeSuccess(w http.ResponseWriter, list []intake.Rejection) {
	w.Header()["Content-Type"] = jsonType
	if len(list) == 0 {
		_, _ = w.Write([]byte(success))
		return
	}
	answer := struct {
		Success  bool       `json:"success"`
		Rejected []rejected `json:"rejected"`
	}{Success: true, Rejected: make([]rejected, len(list))}
	for i, r := range list {
		answer.Rejected[i] = rejected{Index: r.Index, MessageID: string(r.MessageID), Code: r.Code, Message: r.Message}
	}
	text, _ := json.Marshal(answer)
	_, _ = w.Write(text)
}
