package columnar

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/promote"
)

// benchEvents is a row group's: with fewer, columns repeat themselves more than they do.
const benchEvents = 100_000

// records are generated events as the sink fetches them.
func records(n int) []event.Record {
	values := corpus.Generate(1, n)
	out := make([]event.Record, n)
	base := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for i, v := range values {
		out[i] = event.Record{
			Topic: "weir.events", TopicID: lake.TopicID{1, 2, 3}, Partition: 3, Offset: int64(i),
			Timestamp: base.Add(time.Duration(i) * 20 * time.Millisecond), Key: []byte(corpus.SourceOf(i, 1)), Value: v,
		}
	}
	return out
}

// cpu starts a count of the process's CPU time; what it returns reports that per event. Wall time says little on a machine
// that does other things too.
func cpu(b *testing.B) func() {
	used := func() float64 {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	b.ReportAllocs()
	b.ResetTimer()
	return func() { b.ReportMetric((used()-before)/float64(b.N), "cpu-ns/event") }
}

type countWriter struct{ n int64 }

func (w *countWriter) Write(b []byte) (int, error) {
	w.n += int64(len(b))
	return len(b), nil
}

func BenchmarkDecode(b *testing.B) {
	rs := records(benchEvents)
	for name, p := range map[string]*event.Promotion{
		"maps": nil, "promoted": event.NewPromotion(defaults(b)), "typed": event.NewPromotion(defaults(b)).Alone(),
	} {
		b.Run(name, func(b *testing.B) {
			v := event.View{Promotion: p}
			defer cpu(b)()
			for i := range b.N {
				if reason := v.Decode(&rs[i%len(rs)]); reason != "" {
					b.Fatal(reason)
				}
			}
		})
	}
}

// BenchmarkAppend is the sink's work on an event: Decode and Append, row groups of 100,000, the output dropped.
func BenchmarkAppend(b *testing.B) {
	rs := records(benchEvents)
	maps := lake.EventLogs().Schema
	for _, with := range []struct {
		name, codec string
		schema      lake.Schema
		promotion   func() *event.Promotion
	}{
		{"zstd", "zstd", maps, nil},
		{"snappy", "snappy", maps, nil},
		{"none", "none", maps, nil},
		{"promoted", "zstd", maps, func() *event.Promotion { return event.NewPromotion(defaults(b)) }},
		{"typed", "zstd", withoutMaps(maps), func() *event.Promotion { return event.NewPromotion(defaults(b)).Alone() }},
	} {
		b.Run(with.name, func(b *testing.B) {
			var out countWriter
			o := Options{Codec: with.codec}
			var v event.View
			if with.promotion != nil {
				o.Promoted, v.Promotion = defaults(b), with.promotion()
			}
			l, err := NewLayout(with.schema, o)
			require.NoError(b, err)
			f := l.NewFile(&out)
			defer cpu(b)()
			for i := range b.N {
				r := &rs[i%len(rs)]
				if reason := v.Decode(r); reason != "" {
					b.Fatal(reason)
				}
				if err := f.Append(r, &v); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, f.Close())
			b.ReportMetric(float64(out.n)/float64(b.N), "B/event")
		})
	}
}

// defaults are the columns that a sink promotes unless told otherwise.
func defaults(b *testing.B) []lake.Promoted {
	paths := promote.DefaultList().Paths
	registry, _, err := promote.Registry{}.Extend(paths)
	require.NoError(b, err)
	return registry.Promoted(paths)
}

// withoutMaps leaves the map of what has no column.
func withoutMaps(s lake.Schema) lake.Schema {
	return slices.DeleteFunc(slices.Clone(s), func(c lake.Column) bool { return c.Type == lake.MapStringString && c.Name != "rescued" })
}

// naiveRow is what one writes first: encoding/json, Go maps, parquet-go's reflection.
type naiveRow struct {
	AnonymousID       *string           `parquet:"anonymousid,optional"`
	MessageID         *string           `parquet:"messageid,optional"`
	Type              *string           `parquet:"type,optional,dict"`
	UserID            *string           `parquet:"userid,optional"`
	Event             *string           `parquet:"event,optional,dict"`
	Timestamp         *time.Time        `parquet:"timestamp,optional,timestamp(microsecond)"`
	OriginalTimestamp *time.Time        `parquet:"originaltimestamp,optional,timestamp(microsecond)"`
	SentAt            *time.Time        `parquet:"sentat,optional,timestamp(microsecond)"`
	ReceivedAt        *time.Time        `parquet:"receivedat,optional,timestamp(microsecond)"`
	Context           map[string]string `parquet:"context,optional"`
	Traits            map[string]string `parquet:"traits,optional"`
	Properties        map[string]string `parquet:"properties,optional"`
	Integrations      map[string]string `parquet:"integrations,optional"`
	Name              *string           `parquet:"name,optional,dict"`
	Category          *string           `parquet:"category,optional,dict"`
	GroupID           *string           `parquet:"groupid,optional"`
	PreviousID        *string           `parquet:"previousid,optional"`
	KafkaTopic        string            `parquet:"kafkatopic,dict"`
	KafkaPartition    int32             `parquet:"kafkapartition"`
	KafkaOffset       int64             `parquet:"kafkaoffset"`
}

func naive(r *event.Record) (naiveRow, error) {
	var m map[string]any
	if err := json.Unmarshal(r.Value, &m); err != nil {
		return naiveRow{}, err
	}
	text := func(key string) *string {
		switch v := m[key].(type) {
		case nil:
			return nil
		case string:
			return &v
		default:
			s := fmt.Sprint(v)
			return &s
		}
	}
	instant := func(key string) *time.Time {
		s, _ := m[key].(string)
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil
		}
		return &t
	}
	flat := func(key string) map[string]string {
		in, ok := m[key].(map[string]any)
		if !ok {
			return nil
		}
		out := make(map[string]string, len(in))
		for k, v := range in {
			if s, ok := v.(string); ok {
				out[k] = s
			} else {
				text, _ := json.Marshal(v)
				out[k] = string(text)
			}
		}
		return out
	}
	received := r.Timestamp
	return naiveRow{
		AnonymousID: text("anonymousId"), MessageID: text("messageId"), Type: text("type"), UserID: text("userId"), Event: text("event"),
		Timestamp: instant("timestamp"), OriginalTimestamp: instant("timestamp"), SentAt: instant("sentAt"), ReceivedAt: &received,
		Context: flat("context"), Traits: flat("traits"), Properties: flat("properties"), Integrations: flat("integrations"),
		Name: text("name"), Category: text("category"), GroupID: text("groupId"), PreviousID: text("previousId"),
		KafkaTopic: r.Topic, KafkaPartition: r.Partition, KafkaOffset: r.Offset,
	}, nil
}

// BenchmarkNaive is the same work as BenchmarkAppend/zstd done the usual way.
func BenchmarkNaive(b *testing.B) {
	rs := records(benchEvents)
	var out countWriter
	w := parquet.NewGenericWriter[naiveRow](io.Writer(&out), parquet.MaxRowsPerRowGroup(rowGroupRows), parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}))
	rows := make([]naiveRow, 0, 64)
	defer cpu(b)()
	for i := range b.N {
		row, err := naive(&rs[i%len(rs)])
		if err != nil {
			b.Fatal(err)
		}
		if rows = append(rows, row); len(rows) == cap(rows) || i == b.N-1 {
			if _, err := w.Write(rows); err != nil {
				b.Fatal(err)
			}
			rows = rows[:0]
		}
	}
	require.NoError(b, w.Close())
	b.ReportMetric(float64(out.n)/float64(b.N), "B/event")
}
