// Package cors lets pages of any origin send events and read the answers. Its invariant: the answer of every request has
// the headers without which a browser would hide it. The browser library sends Authorization, on a retry X-Retry-Count
// too, and whatever its user configured, so every request of it is preflighted. Which headers it may send is echoed: "*"
// does not cover Authorization, and a list would go stale. What is answered otherwise, the transports decide, which own
// it together: a page that its source refuses may read why, or its library would take the answer for a cut connection
// and send again.
package cors

import "net/http"

const (
	allowedMethods = "GET, POST, OPTIONS"
	allowedHeaders = "authorization, content-type, content-encoding, x-retry-count, connect-protocol-version, connect-timeout-ms, x-grpc-web, grpc-timeout, traceparent, tracestate, baggage"
	maxHeaderList  = 4 << 10
)

var (
	varyOrigin    = []string{"Origin"}
	varyPreflight = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	yes           = []string{"true"}
	exposed       = []string{"Retry-After"}
	exposedRPC    = []string{"Retry-After, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin"}
	methods       = []string{allowedMethods}
	headers       = []string{allowedHeaders}
	maxAge        = []string{"86400"}
)

// Allow lets the page that asks read the answer of the HTTP API, whatever its status.
func Allow(h http.Header, origin []string) { allow(h, origin, exposed) }

// AllowRPC is Allow for Connect and gRPC-Web, whose errors stand in headers.
func AllowRPC(h http.Header, origin []string) { allow(h, origin, exposedRPC) }

func allow(h http.Header, origin, exposed []string) {
	h["Vary"] = varyOrigin
	if len(origin) == 0 {
		return
	}
	h["Access-Control-Allow-Origin"] = origin[:1]
	h["Access-Control-Allow-Credentials"] = yes
	h["Access-Control-Expose-Headers"] = exposed
}

// Preflight answers OPTIONS.
func Preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Vary"] = varyPreflight
	h["Access-Control-Allow-Methods"] = methods
	h["Access-Control-Allow-Headers"] = headers
	if asked := r.Header["Access-Control-Request-Headers"]; len(asked) == 1 && asked[0] != "" && len(asked[0]) <= maxHeaderList {
		h["Access-Control-Allow-Headers"] = asked
	}
	h["Access-Control-Max-Age"] = maxAge
	w.WriteHeader(http.StatusNoContent)
}
