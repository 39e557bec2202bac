package flush_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

func anyState() *rapid.Generator[flush.State] {
	return rapid.Custom(func(t *rapid.T) flush.State {
		s := flush.State{
			Low: rapid.Int64Range(0, 1<<62).Draw(t, "low"), LeaderEpoch: rapid.Int32Min(-1).Draw(t, "epoch"),
			Seq:  rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64()).Draw(t, "seq"),
			Home: rapid.StringMatching(`[0-9a-f]{16}`).Draw(t, "home"),
		}
		if s.Seq > 0 {
			s.Manifest = rapid.StringMatching(`_weir/[!-~]{1,200}`).Draw(t, "manifest")
			s.Phase = rapid.SampledFrom([]flush.Phase{flush.Done, flush.Intent}).Draw(t, "phase")
			s.Ahead = rapid.Bool().Draw(t, "ahead")
		}
		return s
	})
}

func TestMetadataRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyState().Draw(t, "state")
		md := s.Metadata()
		require.LessOrEqual(t, len(md), 4096)
		require.NotContains(t, strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '!'
			}
			return 'x'
		}, md), "!", "the broker keeps only ASCII")
		got, err := flush.ParseMetadata(s.Low, s.LeaderEpoch, md)
		require.NoError(t, err)
		require.Equal(t, s, got)

		_, err = flush.ParseMetadata(s.Low+1, s.LeaderEpoch, md)
		require.Error(t, err, "another tool moved the offset and kept the metadata")
		at := rapid.IntRange(0, len(md)-1).Draw(t, "at")
		broken := md[:at] + string(md[at]^1) + md[at+1:]
		_, err = flush.ParseMetadata(s.Low, s.LeaderEpoch, broken)
		require.Error(t, err, broken)
	})
}

// The text is a contract with what is stored in Kafka already.
func TestMetadataText(t *testing.T) {
	owner := lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: lake.TopicID{15: 9}, Partition: 2}
	home := flush.Home("5L6g3nShT-eMCtK--X86sw", owner.TopicID, "weir", "lake")
	s := flush.State{Low: 4711, Seq: 12, Phase: flush.Intent, Manifest: owner.ManifestKey(12, "0193577a-6c2e-7c3e-9f6b-1f2d3c4b5a69"), Ahead: true, Home: home}
	// Both texts were computed by other code from the description of Metadata and Home.
	require.Equal(t, "weir1 12 intent _weir/weir-sink/weir.events-00000000-0000-0000-0000-000000000009/2/00000000000000000012-0193577a-6c2e-7c3e-9f6b-1f2d3c4b5a69.json ahead 1024046909fe0bd2 c1432e8e", s.Metadata())
	require.Equal(t, "weir1 0 done - clean 1024046909fe0bd2 c2426945", flush.State{Low: 5, Home: home}.Metadata())
}

func TestForeignMetadata(t *testing.T) {
	for _, md := range []string{
		"", " ", "-", "weir1", "weir1 0 done - clean  00000000", "weir2 0 done - clean e3c89ed16be4c5a1 3a4cf2fb", "NULL", "\x00",
		// Right checksums, states that cannot be.
		flush.State{Seq: 1, Phase: flush.Done}.Metadata(), flush.State{Manifest: "m"}.Metadata(), flush.State{Phase: flush.Intent}.Metadata(),
		flush.State{Ahead: true}.Metadata(), strings.Repeat("x", 5000),
	} {
		_, err := flush.ParseMetadata(0, -1, md)
		require.Error(t, err, md)
	}
	_, err := flush.ParseMetadata(-1, -1, flush.State{Low: -1}.Metadata())
	require.Error(t, err)
}

func TestHomeTellsPlacesApart(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range []string{
		flush.Home("c", lake.TopicID{}, "bucket", "prefix"), flush.Home("c", lake.TopicID{}, "bucketp", "refix"),
		flush.Home("cb", lake.TopicID{}, "ucket", "prefix"), flush.Home("c", lake.TopicID{1}, "bucket", "prefix"), flush.Home("c", lake.TopicID{}, "bucket", ""),
	} {
		require.False(t, seen[h])
		seen[h] = true
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(int64(5), flush.State{Low: 5, Home: "e3c89ed16be4c5a1"}.Metadata())
	f.Add(int64(7), flush.State{Low: 7, Seq: 3, Phase: flush.Intent, Manifest: "_weir/g/t/0/3", Ahead: true, Home: "0"}.Metadata())
	f.Add(int64(0), "weir1 0 done - clean x y z")
	f.Fuzz(func(t *testing.T, offset int64, md string) {
		s, err := flush.ParseMetadata(offset, 4, md)
		if err != nil {
			return
		}
		require.Equal(t, md, s.Metadata(), "what is read is what was written, byte for byte")
		require.Equal(t, offset, s.Low)
	})
}
