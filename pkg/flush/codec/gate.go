package codec

import (
	"encoding/json"
	"fmt"
	"strconv"

	"weir/pkg/flush"
)

// gateFormat is the format of the gate's memory that this code writes. It reads this one only.
const gateFormat = 1

type gateMemory struct {
	Format int                  `json:"format"`
	Marks  map[int32]markMemory `json:"marks"` // by partition
}

type markMemory struct {
	Group    string   `json:"group"`
	Seq      uint64   `json:"seq,string"`
	Manifest string   `json:"manifest"`
	Low      int64    `json:"low,string"`
	Recent   []string `json:"recent,omitempty"` // hex: JSON's numbers are not 64 bits wide everywhere
	Alarm    string   `json:"alarm,omitempty"`
}

// EncodeGate writes the gate's memory. The same gate is the same bytes.
func EncodeGate(g *flush.Gate) ([]byte, error) {
	memory := gateMemory{Format: gateFormat, Marks: make(map[int32]markMemory, len(g.Marks))}
	for partition, mark := range g.Marks {
		k := markMemory{Group: mark.Group, Seq: mark.Seq, Manifest: mark.Manifest, Low: mark.Low, Alarm: mark.Alarm}
		for _, hash := range mark.Recent {
			k.Recent = append(k.Recent, strconv.FormatUint(hash, 16))
		}
		memory.Marks[partition] = k
	}
	body, err := json.Marshal(memory)
	if err != nil {
		return nil, fmt.Errorf("encode the gate's memory: %w", err)
	}
	return body, nil
}

// DecodeGate reads what EncodeGate wrote.
func DecodeGate(body []byte) (*flush.Gate, error) {
	var memory gateMemory
	if err := json.Unmarshal(body, &memory); err != nil {
		return nil, fmt.Errorf("decode the gate's memory: %w", err)
	}
	if memory.Format != gateFormat {
		return nil, fmt.Errorf("decode the gate's memory: format %d, this version of weir reads %d", memory.Format, gateFormat)
	}
	g := &flush.Gate{Marks: make(map[int32]flush.Mark, len(memory.Marks))}
	for partition, k := range memory.Marks {
		mark := flush.Mark{Group: k.Group, Seq: k.Seq, Manifest: k.Manifest, Low: k.Low, Alarm: k.Alarm}
		for _, text := range k.Recent {
			hash, err := strconv.ParseUint(text, 16, 64)
			if err != nil {
				return nil, fmt.Errorf("decode the gate's memory: partition %d: %w", partition, err)
			}
			mark.Recent = append(mark.Recent, hash)
		}
		g.Marks[partition] = mark
	}
	return g, nil
}
