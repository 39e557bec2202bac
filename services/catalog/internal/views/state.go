package views

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"weir/pkg/lake"
	"weir/pkg/shape"
)

// format of a state that this code writes. It reads this one only.
const format = 1

type stateForm struct {
	Format  int         `json:"format"`
	Applied int64       `json:"applied,string"`
	Events  []eventForm `json:"events"`
	Unnoted [2]int64    `json:"unnoted"` // events, values
	Views   []viewForm  `json:"views"`
}

type eventForm struct {
	Type       string                   `json:"type"`
	Name       string                   `json:"name,omitempty"`
	Events     int64                    `json:"events"`
	Properties map[string]*shape.Counts `json:"properties,omitempty"`
}

type viewForm struct {
	Name    string       `json:"name"`
	Type    string       `json:"type"`
	Event   string       `json:"event,omitempty"`
	Columns []columnForm `json:"columns,omitempty"`
}

type columnForm struct {
	Name     string `json:"name"`
	Property string `json:"property"`
	Type     string `json:"type"` // as Glue spells it
}

// most bounds what a state may unpack to, in bytes.
const most = 256 << 20

// Encode writes the state. The same state is the same bytes.
func (s *State) Encode() ([]byte, error) {
	form := stateForm{Format: format, Applied: s.Applied, Unnoted: [2]int64{s.Seen.Unnoted.Events, s.Seen.Unnoted.Values}}
	for _, e := range s.Seen.Order() {
		seen := s.Seen.Events[e]
		form.Events = append(form.Events, eventForm{e.Type, e.Name, seen.Events, seen.Properties})
	}
	for _, v := range s.Views {
		one := viewForm{Name: v.Name, Type: v.Event.Type, Event: v.Event.Name}
		for _, c := range v.Columns {
			one.Columns = append(one.Columns, columnForm{c.Name, c.Property, c.Type.Glue()})
		}
		form.Views = append(form.Views, one)
	}
	text, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encode the views: %w", err)
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("encode the views: %w", err)
	}
	return packer.EncodeAll(text, nil), nil
}

// Decode reads what Encode wrote.
func Decode(body []byte) (*State, error) {
	form, err := unpack(body)
	if err != nil {
		return nil, fmt.Errorf("decode the views: %w", err)
	}
	s := &State{Applied: form.Applied, Seen: shape.Summary{Unnoted: shape.Unnoted{Events: form.Unnoted[0], Values: form.Unnoted[1]}}}
	for _, e := range form.Events {
		if s.Seen.Events == nil {
			s.Seen.Events = make(map[shape.Event]*shape.Seen, len(form.Events))
		}
		s.Seen.Events[shape.Event{Type: e.Type, Name: e.Name}] = &shape.Seen{Events: e.Events, Properties: e.Properties}
	}
	for _, one := range form.Views {
		v := View{Name: one.Name, Event: shape.Event{Type: one.Type, Name: one.Event}}
		if !learned(one.Type) {
			return nil, fmt.Errorf("decode the views: view %s is of the unknown type %q: run the version of weir that wrote it, or a newer one", one.Name, one.Type)
		}
		for _, c := range one.Columns {
			t, ok := columnType(c.Type)
			if !ok {
				return nil, fmt.Errorf("decode the views: column %s of view %s has the unknown type %q: run the version of weir that wrote it, or a newer one", c.Name, one.Name, c.Type)
			}
			v.Columns = append(v.Columns, Column{c.Name, c.Property, t})
		}
		s.Views = append(s.Views, v)
	}
	return s, nil
}

func unpack(body []byte) (form stateForm, err error) {
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(most))
	if err != nil {
		return form, err
	}
	defer unpacker.Close()
	text, err := unpacker.DecodeAll(body, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errors.New("they are too large")
	}
	if err != nil {
		return form, err
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return form, err
	}
	if form.Format != format {
		return form, fmt.Errorf("format %d, this version of weir reads %d: run the version that wrote it, or a newer one", form.Format, format)
	}
	return form, nil
}

func columnType(glue string) (lake.Type, bool) {
	for _, t := range []lake.Type{lake.String, lake.BigInt, lake.Double, lake.Boolean, lake.Timestamp} {
		if t.Glue() == glue {
			return t, true
		}
	}
	return 0, false
}
