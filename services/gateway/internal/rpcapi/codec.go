package rpcapi

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// decoder is a message of ours, which is read without an allocation per event; all other messages are protobuf's.
type decoder interface {
	reset(most int, body []byte)
	decode([]byte) error
	decodeJSON([]byte) error
}

// decoding is what both codecs need.
type decoding struct {
	most    int // events of a request that matter
	buffers *buffers
}

// binary is the codec of protobuf's wire form.
type binary struct{ decoding }

func (binary) Name() string { return "proto" }

func (c binary) Unmarshal(data []byte, message any) error {
	d, ok := message.(decoder)
	if !ok {
		return fmt.Errorf("decode into a %T", message)
	}
	d.reset(c.most, c.buffers.get(len(data))) // events are no longer than what they are decoded from
	return d.decode(data)
}

func (binary) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode a %T", message)
	}
	return proto.Marshal(m)
}

// text is the codec of protobuf's JSON, under one of the names that it has.
type text struct {
	name string
	decoding
}

func (c text) Name() string { return c.name }

func (c text) Unmarshal(data []byte, message any) error {
	d, ok := message.(decoder)
	if !ok {
		return fmt.Errorf("decode into a %T", message)
	}
	d.reset(c.most, c.buffers.get(len(data))) // events are no longer than what they are decoded from
	return d.decodeJSON(data)
}

func (text) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode a %T", message)
	}
	return protojson.Marshal(m)
}
