package codec

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"weir/pkg/shape"
	flushv1 "weir/proto/weir/flush/v1"
)

// mostShapes bounds what the shapes of a manifest may unpack to, in bytes: some ten times what a sink's limits allow.
const mostShapes = 16 << 20

// PackShapes makes what a manifest keeps of what its events have: nothing where nothing is known. Names repeat from event to
// event: compressed they take a fifth. Most readers of manifests do not look inside.
func PackShapes(s *shape.Summary) ([]byte, error) {
	if s.Empty() {
		return nil, nil
	}
	p := &flushv1.Shapes{UnnotedEvents: s.Unnoted.Events, UnnotedValues: s.Unnoted.Values}
	for _, e := range s.Order() {
		seen := s.Events[e]
		one := &flushv1.EventShape{Type: e.Type, Name: e.Name, Events: seen.Events}
		for _, key := range seen.Order() {
			n := seen.Properties[key]
			one.Properties = append(one.Properties, &flushv1.PropertyShape{
				Key: key, Texts: n[shape.Text], Instants: n[shape.Instant], Integers: n[shape.Integer], Numbers: n[shape.Number],
				Booleans: n[shape.Boolean], Nested: n[shape.Nested],
			})
		}
		p.Events = append(p.Events, one)
	}
	plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("pack the shapes of events: %w", err)
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<18), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("pack the shapes of events: %w", err)
	}
	return packer.EncodeAll(plain, nil), nil
}

// UnpackShapes is the inverse of PackShapes; nil where nothing is known.
func UnpackShapes(packed []byte) (*shape.Summary, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostShapes))
	if err != nil {
		return nil, fmt.Errorf("unpack the shapes of events: %w", err)
	}
	defer unpacker.Close()
	plain, err := unpacker.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack the shapes of events: %w", err)
	}
	var p flushv1.Shapes
	if err := proto.Unmarshal(plain, &p); err != nil {
		return nil, fmt.Errorf("unpack the shapes of events: %w", err)
	}
	s := &shape.Summary{Unnoted: shape.Unnoted{Events: p.UnnotedEvents, Values: p.UnnotedValues}}
	for _, e := range p.Events {
		if s.Events == nil {
			s.Events = make(map[shape.Event]*shape.Seen, len(p.Events))
		}
		seen := &shape.Seen{Events: e.Events}
		for _, one := range e.Properties {
			if seen.Properties == nil {
				seen.Properties = make(map[string]*shape.Counts, len(e.Properties))
			}
			seen.Properties[one.Key] = &shape.Counts{
				shape.Text: one.Texts, shape.Instant: one.Instants, shape.Integer: one.Integers, shape.Number: one.Numbers,
				shape.Boolean: one.Booleans, shape.Nested: one.Nested,
			}
		}
		s.Events[shape.Event{Type: e.Type, Name: e.Name}] = seen
	}
	return s, nil
}
