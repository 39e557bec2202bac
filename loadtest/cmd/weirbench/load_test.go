package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A request that finds no free sender waits, and its wait counts from when it was due.
func TestTimeCountsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := 100 * time.Millisecond
		l := load{batch: 1, senders: 1, send: func(ctx context.Context, _ string, _ [][]byte, p *pace) error {
			for {
				number, ok := p.take(ctx)
				if !ok {
					return ctx.Err()
				}
				if number == 2 {
					time.Sleep(stuck)
				}
				p.done(number)
			}
		}}
		p := &pace{requests: 6, interval: 10 * time.Millisecond, warm: 1, start: time.Now()}
		require.NoError(t, l.drive(t.Context(), "", nil, p))
		require.Equal(t, []time.Duration{0, stuck, 90 * time.Millisecond, 80 * time.Millisecond, 70 * time.Millisecond}, p.took)
		require.Equal(t, 50*time.Millisecond, time.Since(p.start)-p.took[4], "the last was due when the schedule says")
	})
}

func TestSummary(t *testing.T) {
	var took []time.Duration
	for i := range 2000 {
		took = append(took, time.Duration(2000-i)*time.Millisecond)
	}
	require.Equal(t, &HalfLoad{PerSecond: 7, Requests: 2000, P50: 1001, P99: 1981, P999: 1999, Max: 2000}, summary(7, took))
	require.Equal(t, &HalfLoad{Requests: 1, P50: 3, P99: 3, P999: 3, Max: 3}, summary(0, []time.Duration{3 * time.Millisecond}))
}

// Each request of a closed loop is sent once, and an answer that is no plain success ends it.
func TestPosts(t *testing.T) {
	var mu sync.Mutex
	bodies, answer := map[string]int{}, success
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if key, _, _ := r.BasicAuth(); err != nil || r.URL.Path != "/v1/batch" || key != writeKey {
			w.WriteHeader(http.StatusBadRequest)
		}
		mu.Lock()
		defer mu.Unlock()
		bodies[string(body)]++
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	var requests [][]byte
	for i := range 7 {
		requests = append(requests, batchBody([][]byte{fmt.Appendf(nil, "%d", i), []byte("{}")}))
	}
	l := posts(2, 3)
	require.NoError(t, l.drive(t.Context(), server.Listener.Addr().String(), requests, &pace{requests: 21}))
	require.Len(t, bodies, 7)
	for body, times := range bodies {
		require.Equal(t, 3, times, body)
	}
	answer = `{"success":true,"rejected":[]}`
	require.ErrorContains(t, l.drive(t.Context(), server.Listener.Addr().String(), requests, &pace{requests: 1}), "rejected")
}

func TestEveryRowStandsBesideOneThatIsThere(t *testing.T) {
	var results []Result
	for _, r := range rows {
		results = append(results, Result{Name: r.name, Micros: 1})
	}
	for _, r := range results {
		require.Equal(t, "1.00×", against(r, results), r.Name)
	}
	require.Equal(t, "4.00×", against(Result{Name: "gateway/connect", Micros: 5}, []Result{{Name: "gateway/naive/batch100", Micros: 20}}))
	require.Empty(t, against(Result{Name: "gateway/connect", Micros: 5}, []Result{{Name: "gateway/naive/batch10", Micros: 20}}))
}
