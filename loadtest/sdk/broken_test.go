//go:build e2e

package sdk

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// breakOff takes the gateway's place and breaks off every request, until each library has sent one.
func (w *world) breakOff() {
	w.t.Helper()
	l, err := net.Listen("tcp", w.addr)
	require.NoError(w.t, err)
	defer l.Close()
	require.NoError(w.t, l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	missing := map[string]string{}
	for _, s := range w.senders {
		missing[s.name] = s.agent
	}
	for len(missing) > 0 {
		conn, err := l.Accept()
		require.NoError(w.t, err, "none of %v came", missing)
		r, err := http.ReadRequest(bufio.NewReader(conn))
		_ = conn.Close()
		if err != nil {
			continue // a connection that was opened in advance
		}
		for name, agent := range missing {
			if strings.HasPrefix(r.UserAgent(), agent) {
				delete(missing, name)
			}
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
