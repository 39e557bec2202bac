package livetail

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/services/gateway/internal/livetail/shown"
)

const (
	beat     = 10 * time.Second // between signs of life
	slowness = 10 * time.Second // in which a watcher must take what is written
)

// ServeHTTP streams server-sent events: one per entry, whose id names it for Last-Event-ID; "status" where some are left
// out; "end" when the gateway drains.
func (t *Tap) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		rw.Header().Set("Allow", http.MethodGet)
		http.Error(rw, "a live tail is read by GET", http.StatusMethodNotAllowed)
		return
	}
	filter, err := filterOf(r.URL.Query())
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w, ok := t.join(filter, t.resume(r.Header.Get("Last-Event-ID")))
	if !ok {
		rw.Header().Set("Retry-After", "5")
		http.Error(rw, fmt.Sprintf("the gateway drains, or %d watch it already", maxWatchers), http.StatusServiceUnavailable)
		return
	}
	defer t.leave(w)
	s := &stream{rw: rw, control: http.NewResponseController(rw), run: t.run}
	s.open()
	t.follow(r, w, s)
}

// follow writes until the watcher goes, is too slow, or the tap is closed.
func (t *Tap) follow(r *http.Request, w *watcher, s *stream) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-t.closed:
			s.last(t.next(w))
			return
		case <-w.wake:
			if s.write(t.next(w), false) != nil {
				return
			}
		case <-tick.C:
			if s.write(t.next(w), true) != nil {
				return
			}
		}
	}
}

// resume says from where on: after the entry that Last-Event-ID names, if it is one of this run; else from now on.
func (t *Tap) resume(id string) func(last uint64) uint64 {
	run, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	return func(last uint64) uint64 {
		if run != t.run || err != nil {
			return last
		}
		return min(seq, last)
	}
}

// filterOf reads source=, type= and event=, which are terms of their own, and filter=, each as often as one likes.
func filterOf(query url.Values) (shown.Filter, error) {
	terms := query["filter"]
	for key, values := range query {
		switch key {
		case "filter":
		case "source", "type", "event":
			for _, v := range values {
				terms = append(terms, key+"="+v)
			}
		default:
			return shown.Filter{}, fmt.Errorf("%q is none of source, type, event, filter", key)
		}
	}
	f, err := shown.Parse(terms)
	if err != nil {
		return f, fmt.Errorf("filter %w", err)
	}
	return f, nil
}
