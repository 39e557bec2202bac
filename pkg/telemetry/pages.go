package telemetry

import (
	"net/http"
	"sync"
)

// pages are what the services of the process add to the admin port, by path. They share it, and may come once it is open.
type pages struct {
	mu     sync.RWMutex
	byPath map[string]*page
}

type page struct{ http.Handler }

// Page serves a path of a service's own on the admin port, until remove is called. Of two services that want the same path
// the later one has it.
func (t *Telemetry) Page(path string, h http.Handler) (remove func()) {
	mine := &page{h}
	t.pages.mu.Lock()
	defer t.pages.mu.Unlock()
	t.pages.byPath[path] = mine
	return func() {
		t.pages.mu.Lock()
		defer t.pages.mu.Unlock()
		if t.pages.byPath[path] == mine {
			delete(t.pages.byPath, path)
		}
	}
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.RLock()
	h := p.byPath[r.URL.Path]
	p.mu.RUnlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}
