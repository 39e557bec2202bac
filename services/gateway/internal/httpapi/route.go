package httpapi

import "strings"

// routeKind is what a path means.
type routeKind uint8

const (
	noRoute      routeKind = iota
	batchRoute             // a batch of events
	eventRoute             // one event, whose type the path names
	metricsRoute           // the libraries' own measurements: accepted and dropped
	settingsRoute
	pixelRoute // one event, whose type the path names, in the query
)

// route is a matched path.
type route struct {
	kind     routeKind
	name     string // the path as metrics name it: a closed set
	typ      string // of eventRoute and pixelRoute
	writeKey string // of settingsRoute
}

// method is what the route answers to, besides OPTIONS.
func (r route) method() string {
	if r.kind == settingsRoute || r.kind == pixelRoute {
		return "GET"
	}
	return "POST"
}

// match reads a path by hand: a router that redirects a doubled or a missing slash
// loses events, because libraries follow a redirect with a GET and count the answer
// as delivered. Doubled slashes, a trailing one and a repeated /v1 are passed over.
func match(path string) route {
	name, tail := segment(path)
	if name != "v1" {
		return route{}
	}
	for name == "v1" {
		name, tail = segment(tail)
	}
	switch name {
	case "projects":
		return matchSettings(tail)
	case "pixel":
		return matchPixel(tail)
	}
	if more, _ := segment(tail); more != "" {
		return route{}
	}
	return leaf(name)
}

func leaf(name string) route {
	switch name {
	case "batch", "b", "import":
		return route{kind: batchRoute, name: "/v1/" + name}
	case "t", "track":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "track"}
	case "i", "identify":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "identify"}
	case "p", "page":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "page"}
	case "s", "screen":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "screen"}
	case "g", "group":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "group"}
	case "a", "alias":
		return route{kind: eventRoute, name: "/v1/" + name, typ: "alias"}
	case "m":
		return route{kind: metricsRoute, name: "/v1/m"}
	}
	return route{}
}

// matchSettings reads {writeKey}/settings, and nothing behind it.
func matchSettings(path string) route {
	key, tail := segment(path)
	last, tail := segment(tail)
	if more, _ := segment(tail); key == "" || last != "settings" || more != "" {
		return route{}
	}
	return route{kind: settingsRoute, name: "/v1/projects/{writeKey}/settings", writeKey: key}
}

// matchPixel reads a type, in full, and nothing behind it.
func matchPixel(path string) route {
	name, tail := segment(path)
	if more, _ := segment(tail); more != "" {
		return route{}
	}
	r := leaf(name)
	if r.kind != eventRoute || r.typ != name {
		return route{}
	}
	return route{kind: pixelRoute, name: "/v1/pixel/" + name, typ: name}
}

// segment splits a path into its first part between slashes and what follows; ""
// when there is none.
func segment(path string) (first, tail string) {
	first, tail, _ = strings.Cut(strings.TrimLeft(path, "/"), "/")
	return first, tail
}
