package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"weir/services/weir/internal/sse"
)

func TestTailsUsage(t *testing.T) {
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/tail", r.URL.Path)
		switch r.URL.Query().Get("filter") {
		case "email=x":
			http.Error(w, "such a value is masked", http.StatusBadRequest)
		case "a=1,2":
			http.Error(w, "8 watch it already", http.StatusServiceUnavailable)
		default:
			http.NotFound(w, r)
		}
	}))
	defer wrong.Close()
	addr := strings.TrimPrefix(wrong.URL, "http://")
	for _, c := range []struct {
		args []string
		code int
		errs string
	}{
		{[]string{"--admin", "x"}, exitUsage, `admin: "x" is not host:port`},
		{[]string{"--output", "csv"}, exitUsage, `output: "csv" does not exist`},
		{[]string{"--raw"}, exitUsage, "unknown flag --raw"},
		{[]string{"--dir", "nowhere"}, exitFailed, "no directory of weir dev"},
		{[]string{"--admin", addr}, exitFailed, "is not the admin address of a gateway that runs"},
		{[]string{"--admin", addr, "--filter", "email=x"}, exitUsage, "such a value is masked"},
		{[]string{"--admin", addr, "--filter", "a=1,2"}, exitFailed, "8 watch it already"},
		{[]string{"--admin", "127.0.0.1:1"}, exitFailed, "watch a gateway at its admin address"},
	} {
		clean(t)
		code, out, errs := invokeWeir(t, "", append([]string{"tail"}, c.args...)...)
		require.Equal(t, c.code, code, errs)
		require.Empty(t, out)
		require.Contains(t, errs, c.errs)
	}
}

func TestTailsLines(t *testing.T) {
	for _, c := range []struct{ data, line string }{
		{
			`{"at":"2026-11-29T10:00:00.123Z","source":"shop","outcome":"accepted","messageId":"m","partition":0,"offset":17,"event":{"a":1}}`,
			`10:00:00.123  shop  accepted  0/17  {"a":1}`,
		},
		{`{"at":"2026-11-29T10:00:00Z","source":"shop","outcome":"accepted","event":{},"cut":true}`, `10:00:00.000  shop  accepted  {}  …`},
		{`{"at":"2026-11-29T10:00:00Z","source":"shop","outcome":"rejected","reason":"no_type","messageId":"m"}`, `10:00:00.000  shop  rejected  no_type  m`},
		{`{"at":"2026-11-29T10:00:00Z","source":"shop","outcome":"rejected","reason":"no_type"}`, `10:00:00.000  shop  rejected  no_type`},
		{`{"at":"2026-11-29T10:00:00Z","outcome":"refused","reason":"overloaded","events":3}`, `10:00:00.000  -  refused  overloaded  3 events`},
	} {
		for output, want := range map[string]string{"pretty": c.line, "json": c.data} {
			var out bytes.Buffer
			require.NoError(t, (&tailCommand{Output: output}).print(arrival{event: sse.Event{Data: c.data}}, stdio{out: &out}))
			require.Equal(t, want+"\n", out.String())
		}
	}
	var out, errs bytes.Buffer
	std := stdio{out: &out, err: &errs}
	tail := &tailCommand{Output: "pretty"}
	require.NoError(t, tail.print(arrival{from: "a", event: sse.Event{Name: "status", Data: `{"missed":2,"passedOver":7}`}}, std))
	require.NoError(t, tail.print(arrival{from: "a", event: sse.Event{Name: "end", Data: `{}`}}, std))
	require.NoError(t, tail.print(arrival{from: "a", note: "gone"}, std))
	require.Equal(t, "a: 7 events passed over, because there were too many; 2 missed, because this end was slow\na: gone\n", errs.String())
	require.Empty(t, out.String())
	require.Error(t, tail.print(arrival{event: sse.Event{Data: "x"}}, std))
}

// What ends, hangs or refuses for a while is tried again, from where it stopped, and Ctrl-C ends it all.
func TestTailComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		l, err := network.Listen("tcp", "127.0.0.1:9090")
		require.NoError(t, err)
		n, asked := 0, []string{}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			asked = append(asked, r.Header.Get("Last-Event-ID"))
			switch n {
			case 2, 3:
				http.NotFound(w, r) // it starts anew
				return
			case 4: // silent
				w.WriteHeader(http.StatusOK)
				require.NoError(t, http.NewResponseController(w).Flush())
				<-r.Context().Done()
				return
			}
			fmt.Fprintf(w, "id: run-%d\ndata: {}\n\n", n)
			require.NoError(t, http.NewResponseController(w).Flush())
			if n > 4 {
				<-r.Context().Done()
			}
		})}
		go func() { _ = server.Serve(l) }()
		transport := &http.Transport{DialContext: network.DialContext}
		arrivals := make(chan arrival)
		w := watching{addr: "127.0.0.1:9090", arrivals: arrivals, client: &http.Client{Transport: transport}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.follow(ctx) }()
		var ids []string
		started := time.Now()
		for len(ids) < 2 {
			if a := <-arrivals; a.note == "" {
				ids = append(ids, a.event.ID)
			} else {
				require.Contains(t, a.note, "; trying again")
			}
		}
		require.Equal(t, []string{"run-1", "run-5"}, ids)
		require.Equal(t, []string{"", "run-1", "run-1", "run-1", "run-1"}, asked)
		require.Greater(t, time.Since(started), quiet)
		require.Less(t, time.Since(started), quiet+10*time.Second)
		cancel()
		require.NoError(t, <-done)
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
	})
}
