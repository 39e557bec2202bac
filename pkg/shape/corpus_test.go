package shape_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/shape"
)

func corpusRecords(tb testing.TB, n int) []event.Record {
	tb.Helper()
	var records []event.Record
	for _, body := range corpus.Generate(7, n) {
		records = append(records, event.Record{
			Key: []byte("s"), Value: body, Headers: []event.Header{{Key: event.HeaderReceivedAt, Value: []byte("2026-11-22T10:00:00Z")}},
		})
	}
	return records
}

// The corpus is events as clients send them, of 1.1 KB: what noting the shape of one costs.
func BenchmarkCorpus(b *testing.B) {
	records := corpusRecords(b, 1000)
	views := make([]event.View, len(records))
	var l shape.Learner
	var tally shape.Tally
	for i := range records {
		require.Empty(b, views[i].Decode(&records[i]))
		l.Note(&views[i], &tally)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.Note(&views[i%len(views)], &tally)
		i++
	}
}

// No event of the corpus is left out, and once their shapes are known noting them allocates nothing.
func TestCorpus(t *testing.T) {
	records := corpusRecords(t, 20_000)
	var v event.View
	var l shape.Learner
	var tally shape.Tally
	for i := range records {
		require.Empty(t, v.Decode(&records[i]))
		l.Note(&v, &tally)
	}
	s := shape.Of(shape.Limits{Events: 1000, Properties: 1000, Total: 10_000}, &tally)
	require.Equal(t, shape.Unnoted{}, s.Unnoted)
	var events int64
	for _, seen := range s.Events {
		events += seen.Events
	}
	require.EqualValues(t, len(records), events)
	i := 0
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		v.Decode(&records[i%len(records)])
		l.Note(&v, &tally)
		i++
	}))
}
