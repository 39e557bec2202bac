package sink

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/corpus"
	"weir/pkg/settings"
)

var cost = flag.String("cost", "", "measure what the flush protocol costs, and write the table into this file")

// sums of a process's series by name and labels.
type series map[string]float64

func (p *sinkProcess) series() series {
	rec := httptest.NewRecorder()
	p.tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	all := series{}
	for line := range strings.Lines(rec.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = v
		}
	}
	return all
}

// sum of the series whose names hold all words.
func (s series) sum(words ...string) (sum float64) {
	for name, v := range s {
		holds := true
		for _, w := range words {
			holds = holds && strings.Contains(name, w)
		}
		if holds {
			sum += v
		}
	}
	return sum
}

// TestCost measures the protocol on one Kafka partition whose events go to 1, 10 and 1,000 lake partitions, for half a
// minute each, against the embedded Kafka and S3.
func TestCost(t *testing.T) {
	if *cost == "" {
		t.Skip("-cost: it takes minutes and proves nothing")
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(table, "| lake partitions \tflushes \tfiles a flush \tcommits a flush \tnotifications a flush \tmanifest and bundle PUTs a flush \tmanifest bytes a flush \tS3 requests a flush \tcommit s \tpublish s \tcommit and publish, of wall time \tCPU µs an event |")
	fmt.Fprintln(table, "|---:\t---:\t---:\t---:\t---:\t---:\t---:\t---:\t---:\t---:\t---:\t---:|")
	for _, sources := range []int{1, 10, 1000} {
		t.Run(strconv.Itoa(sources), func(t *testing.T) { fmt.Fprintln(table, costOf(t, sources)) })
	}
	require.NoError(t, table.Flush())
	require.NoError(t, os.WriteFile(*cost, text.Bytes(), 0o644))
}

func costOf(t *testing.T, sources int) string {
	const rate, seconds = 2000, 30
	w := newSerialWorld(t, 1)
	w.cfg.FileAge, w.cfg.FileSize, w.cfg.Memory = 5*time.Second, 256*settings.MiB, settings.Memory{Bytes: 1 << 30}
	p := w.start()
	values := corpus.Generate(1, rate*seconds)
	var before, after syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for at := 0; at < len(values); <-tick.C {
		var records []*kgo.Record
		for range rate / 10 {
			records = append(records, &kgo.Record{Key: fmt.Appendf(nil, "source%d", at%sources), Value: values[at]})
			at++
		}
		w.produce(0, records...)
	}
	w.awaitFlushed()
	took := time.Since(began).Seconds()
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	s := p.series()
	require.NoError(t, p.end())
	flushes := s.sum("weir_sink_flushes_total", `outcome="published"`)
	require.Positive(t, flushes)
	commit, publish := s.sum("weir_sink_flush_duration_seconds_sum", `phase="commit"`), s.sum("weir_sink_flush_duration_seconds_sum", `phase="publish"`)
	manifests, bytes := w.manifestBytes()
	ends, err := kadm.NewClient(w.client).ListEndOffsets(t.Context(), w.cfg.FlushTopic)
	require.NoError(t, err)
	notified := int64(0)
	ends.Each(func(o kadm.ListedOffset) { notified += o.Offset })
	cpu := float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e3 / float64(len(values))
	return fmt.Sprintf("| %d \t%.0f \t%.1f \t%.1f \t%.1f \t%.1f \t%.0f \t%.1f \t%.3f \t%.3f \t%.1f %% \t%.1f |", sources, flushes,
		s.sum("weir_sink_files_total", `outcome="committed"`)/flushes, s.sum("weir_sink_commits_total", `outcome="ok"`)/flushes,
		float64(notified)/flushes, float64(manifests)/flushes, float64(bytes)/flushes, s.sum("weir_s3_attempts_total")/flushes,
		commit/flushes, publish/flushes, 100*(commit+publish)/took, cpu)
}

// manifestBytes counts what the protocol itself has stored: manifests, and bundles of small files.
func (w *world) manifestBytes() (objects int, bytes int64) {
	for _, prefix := range []string{"_weir/", "_weir-bundles/"} {
		for o, err := range w.store.List(w.t.Context(), prefix, "") {
			require.NoError(w.t, err)
			objects++
			if strings.HasSuffix(o.Key, ".json") {
				bytes += o.Bytes
			}
		}
	}
	return objects, bytes
}
