//go:build e2e

package sdk

import (
	"bufio"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// outage is how long the gateway's place is taken at most: the ten attempts of Go's library take 15 s.
const outage = 4 * time.Second

// breakOff takes the gateway's place and breaks off every request, until each library has sent one or the outage is over:
// one that found nobody there just before comes later.
func (w *world) breakOff() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	require.NoError(w.t, err)
	defer l.Close()
	require.NoError(w.t, l.(*net.TCPListener).SetDeadline(time.Now().Add(outage)))
	cut := map[string]bool{}
	for len(cut) < len(w.senders) {
		conn, err := l.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		require.NoError(w.t, err)
		w.cut(conn, cut)
	}
	require.NotEmpty(w.t, cut)
	w.t.Logf("broken off: %v", slices.Sorted(maps.Keys(cut)))
}

// cut reads one request, notes whose it is, and does not answer.
func (w *world) cut(conn net.Conn, cut map[string]bool) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(outage / 4)) // one that was opened in advance sends nothing
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	for _, s := range w.senders {
		if strings.HasPrefix(r.UserAgent(), s.agent) {
			cut[s.name] = true
		}
	}
}

// lossy is a proxy that breaks the connection off where the gateway has answered a library for the first time.
func (w *world) lossy(libraries []library) string {
	var mu sync.Mutex
	lost := map[string]bool{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.addr})
	proxy.ModifyResponse = func(resp *http.Response) error {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range libraries {
			if resp.Request.Method == http.MethodPost && strings.HasPrefix(resp.Request.UserAgent(), l.agent) && !lost[l.name] {
				lost[l.name] = true
				panic(http.ErrAbortHandler)
			}
		}
		return nil
	}
	server := httptest.NewServer(proxy)
	w.t.Cleanup(server.Close)
	return server.URL
}
