package rawcopy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
)

type countWriter struct{ n int64 }

func (w *countWriter) Write(b []byte) (int, error) {
	w.n += int64(len(b))
	return len(b), nil
}

func BenchmarkAppend(b *testing.B) {
	events := corpus.Generate(1, 20_000)
	for _, codec := range codecs {
		b.Run(codec, func(b *testing.B) {
			var out countWriter
			f, err := NewFile(codec, &out)
			require.NoError(b, err)
			b.ReportAllocs()
			for i := range b.N {
				if err := f.Append(&event.Record{Value: events[i%len(events)]}, nil); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, f.Close())
			b.ReportMetric(float64(out.n)/float64(b.N), "B/event")
		})
	}
}
