package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"weir/pkg/telemetry"
)

// benchGateway is a gateway that is open and not served; its broker runs in this process too, and throws the records
// away.
func benchGateway(b *testing.B) *gateway {
	b.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BlackholeProduce())
	require.NoError(b, err)
	b.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Listen, cfg.TopicReplication = cluster.ListenAddrs(), "127.0.0.1:0", 1
	cfg.Sources = filepath.Join(b.TempDir(), "sources.yaml")
	require.NoError(b, os.WriteFile(cfg.Sources, []byte(sourcesYAML), 0o600))
	tel, err := telemetry.Start(b.Context(), telemetry.Options{Service: "gateway", LogLevel: "error"})
	require.NoError(b, err)
	g, err := wire(cfg, tel, edges{listen: net.Listen})
	require.NoError(b, err)
	b.Cleanup(g.close)
	require.NoError(b, g.open(b.Context(), nil))
	return g
}

func benchEvents(n int) []string {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"u1","messageId":"ajs-next-1795414155523-%032d",`+
			`"timestamp":"2026-11-23T06:09:15.523Z","properties":{"text":%q},"context":{"library":{"name":"analytics.js","version":"1"}}}`, i, strings.Repeat("some words ", 60))
	}
	return events
}

// BenchmarkRequest is everything between the HTTP server and the broker, metrics included: of a usual source, and of one
// that is spread over eight partitions.
func BenchmarkRequest(b *testing.B) {
	g := benchGateway(b)
	for _, n := range []int{1, 20, 100} {
		benchRequest(b, fmt.Sprint("events=", n), g, n)
	}
	g.hangar.Budget.Of("source1").Switch(8, 1)
	for _, n := range []int{1, 20, 100} {
		benchRequest(b, fmt.Sprint("hot,events=", n), g, n)
	}
}

func benchRequest(b *testing.B, name string, g *gateway, n int) {
	events := benchEvents(n)
	for i := range events {
		events[i] = strings.Replace(events[i], `"u1"`, fmt.Sprintf(`"user-%08d"`, i), 1)
	}
	body := batchOf(events...)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				r := httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(body))
				r.Header.Set("Authorization", basicKey1)
				w := httptest.NewRecorder()
				if g.handler.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Body.String())
				}
			}
		})
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
	})
}
