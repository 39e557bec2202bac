package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
)

// A pixel is an image in a mail or a page whose address is an event. Whoever looks at it sees an image whatever becomes
// of the event: nobody there could send it again.

const (
	gif        = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
	pixelDepth = 8 // names between the dots of a parameter; what is deeper is one name with dots
)

var (
	gifType = []string{"image/gif"}
	noStore = []string{"no-cache, no-store, must-revalidate"}
)

var errPixel = errors.New("data must be base64 of a JSON object")

func (h *Handler) servePixel(x *exchange) {
	x.RequestID, x.Agent = ingest.NewRequestID(x.start), x.r.UserAgent()
	switch h.opts.Gate.State() {
	case gate.Starting:
		x.note(starting)
	case gate.Draining:
		x.note(draining)
	default:
		if err := h.pixel(x); err != nil {
			x.note(faultOf(err))
		}
	}
	x.Status = http.StatusOK
	writePixel(x.w, x.r)
}

func writePixel(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = gifType
	w.Header()["Cache-Control"] = noStore
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(gif))
	}
}

func (h *Handler) pixel(x *exchange) error {
	values, _ := url.ParseQuery(x.r.URL.RawQuery) // what could be read counts
	event, err := pixelEvent(values)
	if err != nil {
		return &ingest.Refusal{Kind: ingest.Unusable, Code: "invalid_request", Message: err.Error()}
	}
	f, ok := h.opts.Hangar.Begin("", len(event))
	if !ok {
		return produce.ErrFull
	}
	defer f.Release()
	f.Body = append(f.Body, event...)
	x.Bytes = len(f.Body)
	return h.store(x, f, values.Get("writeKey"))
}

// pixelEvent is the event of a pixel's parameters: as JSON in base64, or each field by itself, with dots between the
// names of what is nested.
func pixelEvent(values url.Values) ([]byte, error) {
	if data := values.Get("data"); data != "" {
		return pixelData(data)
	}
	event := make(map[string]any)
	for name, list := range values {
		nest(event, strings.SplitN(name, ".", pixelDepth), list[0])
	}
	return json.Marshal(event)
}

// pixelData reads either alphabet of base64, with and without padding, and where a plus has become a space.
func pixelData(data string) ([]byte, error) {
	data = strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(strings.TrimRight(data, "= "))
	event, err := base64.RawStdEncoding.DecodeString(data)
	if err != nil {
		return nil, errPixel
	}
	return event, nil
}

// nest puts a value at a path. Where two parameters want one place for a value and for an object, the object stays.
func nest(in map[string]any, path []string, value string) {
	name := path[0]
	if len(path) == 1 {
		if _, isObject := in[name].(map[string]any); !isObject {
			in[name] = value
		}
		return
	}
	inner, isObject := in[name].(map[string]any)
	if !isObject {
		inner = make(map[string]any)
		in[name] = inner
	}
	nest(inner, path[1:], value)
}
