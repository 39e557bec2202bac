package codec_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
)

func TestGate(t *testing.T) {
	want := &flush.Gate{Marks: map[int32]flush.Mark{
		0:  {Group: "weir-sink", Seq: 3, Manifest: "_weir/c", Low: 1 << 60, Recent: []uint64{1<<64 - 1, 2}},
		11: {Alarm: "flush 2 follows another manifest"},
	}}
	body, err := codec.EncodeGate(want)
	require.NoError(t, err)
	got, err := codec.DecodeGate(golden(t, "gate.json", body))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestRefusedGates(t *testing.T) {
	for name, body := range map[string]string{
		"a newer format": `{"format":2,"marks":{}}`,
		"no format":      `{"marks":{}}`,
		"nothing":        ``,
		"no hash":        `{"format":1,"marks":{"0":{"seq":"1","low":"1","recent":["x"]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := codec.DecodeGate([]byte(body))
			require.ErrorContains(t, err, "decode the gate's memory")
		})
	}
}

// A gate that was written and read judges as the one that was not.
func TestGateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gate := &flush.Gate{}
		before := map[int32]string{}
		seqs := map[int32]uint64{}
		for range rapid.IntRange(0, 60).Draw(t, "flushes") {
			p := rapid.Int32Range(0, 2).Draw(t, "partition")
			seqs[p]++
			n := flush.Notification{
				Group: "g", Partition: p, Seq: seqs[p], Predecessor: before[p],
				Manifest: rapid.StringMatching(`[a-z]{8}`).Draw(t, "key"), NextLow: rapid.Int64Range(0, 1<<50).Draw(t, "low"),
			}
			verdict, reason := gate.Judge(n)
			require.Equal(t, flush.Accept, verdict, reason)
			gate.Accept(n)
			before[p] = n.Manifest
			body, err := codec.EncodeGate(gate)
			require.NoError(t, err)
			read, err := codec.DecodeGate(body)
			require.NoError(t, err)
			require.Equal(t, gate, read)
			gate = read
		}
	})
}
