package httpapi

import "net/http"

// The browser library sends Authorization, on a retry X-Retry-Count too, and whatever
// its user configured, so every request of it is preflighted. Which headers it may
// send is echoed: "*" does not cover Authorization, and a list would go stale.

const (
	allowedMethods = "GET, POST, OPTIONS"
	allowedHeaders = "authorization, content-type, content-encoding, x-retry-count, traceparent, tracestate, baggage"
	maxHeaderList  = 4 << 10
)

var (
	varyOrigin    = []string{"Origin"}
	varyPreflight = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	yes           = []string{"true"}
	exposed       = []string{"Retry-After"}
	methods       = []string{allowedMethods}
	headers       = []string{allowedHeaders}
	maxAge        = []string{"86400"}
)

// allowOrigin lets the page that asks read the answer, whatever its status.
func allowOrigin(h http.Header, origin []string) {
	h["Vary"] = varyOrigin
	if len(origin) == 0 {
		return
	}
	h["Access-Control-Allow-Origin"] = origin[:1]
	h["Access-Control-Allow-Credentials"] = yes
	h["Access-Control-Expose-Headers"] = exposed
}

// origin is the page's that a browser sends from; "" where no browser says one. It is
// judged once the source is known, and not here: a preflight names no key. A page that is
// refused may read why, or its library would take the answer for a cut connection and
// send again.
func origin(r *http.Request) string {
	if list := r.Header["Origin"]; len(list) > 0 {
		return list[0]
	}
	return ""
}

// preflight answers OPTIONS.
func preflight(w http.ResponseWriter, r *http.Request) {
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
