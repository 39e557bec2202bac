package ingest

import (
	"strconv"
	"sync/atomic"

	"weir/pkg/event"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

// frame is what a record of ours may have beside its value: key, headers, and the
// batch that holds it alone.
const frame = 2 << 10

// maxima are the longest values that the topics take.
type maxima struct{ event, rejected atomic.Int64 }

// SetMaxima notes max.message.bytes of the events topic and of the rejected topic.
func (g *Ingester) SetMaxima(events, rejected int) {
	g.maxima.event.Store(int64(max(events-frame, 0)))
	g.maxima.rejected.Store(int64(max(rejected-frame, 0)))
}

// setAside moves events that the topic would not take to the rejected ones, because
// Kafka's client would try them in vain, and counts the bytes of all.
func (m *maxima) setAside(in *intake.Intake) (bytes int64) {
	longest := m.event.Load()
	keep := in.Events[:0]
	for _, e := range in.Events {
		if int64(len(e.Value)) <= longest {
			bytes += int64(len(e.Value))
			keep = append(keep, e)
			continue
		}
		in.Rejected = append(in.Rejected, intake.Rejection{
			Index: e.Index, MessageID: e.MessageID, Original: e.Value,
			Code: intake.CodeTooLarge, Message: "the event exceeds what the topic takes",
		})
	}
	in.Events = keep
	for _, r := range in.Rejected {
		bytes += int64(len(r.Original))
	}
	return bytes
}

// load puts every event and every rejection into the flight as a record; there is room for them.
func (g *Ingester) load(f *produce.Flight, r Request, s *source.Source) {
	in := &f.Intake
	shareHeaders(f, r)
	for i := range in.Events {
		f.AddEvent(g.opts.Topic, s.Key, in.Events[i].Value, r.ReceivedAt, in.Events[i].User)
	}
	for i := range in.Rejected {
		if in.Rejected[i].Original != nil {
			g.loadRejected(f, r, s, &in.Rejected[i])
		}
	}
}

// loadRejected keeps the original as long as the topic allows; a header says how long
// it was where that is not all of it.
func (g *Ingester) loadRejected(f *produce.Flight, r Request, s *source.Source, rej *intake.Rejection) {
	headers := append(f.Headers[:len(f.Headers):len(f.Headers)],
		produce.Header{Key: event.HeaderRejectedReason, Value: []byte(rej.Code)},
		produce.Header{Key: event.HeaderRejectedAt, Value: f.Headers[0].Value})
	original := rej.Original
	if longest := g.maxima.rejected.Load(); int64(len(original)) > longest {
		headers = append(headers, produce.Header{Key: event.HeaderRejectedLength, Value: strconv.AppendInt(nil, int64(len(original)), 10)})
		original = original[:longest]
	}
	f.Add(g.opts.Rejected, s.Key, original, r.ReceivedAt, headers)
}

// shareHeaders writes the headers that all records of the request have, the time of
// receipt first.
func shareHeaders(f *produce.Flight, r Request) {
	if need := len("2006-01-02T15:04:05.000Z") + len(r.ID) + len(r.TraceParent); cap(f.Scratch) < need {
		f.Scratch = make([]byte, 0, need)
	}
	put := func(key string, from int) {
		f.Headers = append(f.Headers, produce.Header{Key: key, Value: f.Scratch[from:len(f.Scratch):len(f.Scratch)]})
	}
	f.Scratch = event.AppendTime(f.Scratch[:0], event.InstantOf(r.ReceivedAt))
	put(event.HeaderReceivedAt, 0)
	n := len(f.Scratch)
	f.Scratch = append(f.Scratch, r.ID...)
	put(event.HeaderRequestID, n)
	if r.TraceParent != "" {
		n = len(f.Scratch)
		f.Scratch = append(f.Scratch, r.TraceParent...)
		put("traceparent", n)
	}
}
