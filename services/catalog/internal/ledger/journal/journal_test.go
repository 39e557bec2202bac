package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/shape"
)

func owner(partition int32) lake.Owner {
	return lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: partition}
}

func key(seq uint64, id string) string { return owner(0).ManifestKey(seq, id) }

func link(seq uint64) flush.Link { return flush.Link{Seq: seq, Manifest: key(seq, "a")} }

func TestJournalComesBack(t *testing.T) {
	b := new(Batch)
	first := &flush.Manifest{
		Key: key(1, "a"), Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Seq: 1,
		Files: []flush.File{
			{Key: "x", Partition: lake.Partition{Table: "eventlogs", Day: 20_001}, Rows: 1, Offsets: flush.NewOffsets(4)},
			{Key: "y", Partition: lake.Partition{Table: "eventlogs", Day: 20_000}, Rows: 1, Offsets: flush.NewOffsets(4)},
			{Key: "z", Partition: lake.Partition{Table: "eventlogs", Day: 19_000}, Rows: 1, Offsets: flush.NewOffsets(4)},
		},
	}
	at := time.Date(2026, 11, 29, 1, 2, 3, 4000, time.UTC)
	b.Add(first, Flush{Manifest: first.Key, VisibleAt: at, Dropped: []string{"z"}})
	b.Skip(owner(1), flush.Link{Seq: 9, Manifest: owner(1).ManifestKey(9, "a")})
	require.True(t, b.Moved())
	j := Journal{}.Next(b)
	require.Equal(t, []lake.Day{20_000, 20_001}, j.Days, "a file that was never there makes no row")
	body, err := j.Encode()
	require.NoError(t, err)
	got, err := Decode(body)
	require.NoError(t, err)
	require.Equal(t, j, got)
	require.JSONEq(t, `{"format":1,"number":"1","positions":["`+key(1, "a")+`","`+owner(1).ManifestKey(9, "a")+`"],"days":["2024-10-04","2024-10-05"],
		"flushes":[{"manifest":"`+key(1, "a")+`","visible_at":"2026-11-29T01:02:03.000004Z","dropped":["z"]}]}`, string(body))

	more := got.Next(&Batch{positions: map[lake.Owner]flush.Link{owner(1): {Seq: 10, Manifest: owner(1).ManifestKey(10, "a")}}})
	require.Equal(t, int64(2), more.Number)
	require.Equal(t, map[lake.Owner]flush.Link{owner(0): link(1), owner(1): {Seq: 10, Manifest: owner(1).ManifestKey(10, "a")}}, more.Positions)
	require.Empty(t, more.Flushes)
	require.Equal(t, uint64(9), got.Positions[owner(1)].Seq, "the journal before it stays as it is")

	require.False(t, more.Shapes)
	told := more.Next(&Batch{Shapes: shape.Summary{Unnoted: shape.Unnoted{Events: 1}}})
	require.True(t, told.Shapes, "whoever finds the batch unfinished has to count its events")
	body, err = told.Encode()
	require.NoError(t, err)
	got, err = Decode(body)
	require.NoError(t, err)
	require.Equal(t, told, got)
	require.False(t, told.Merging(20_000).Shapes)

	merging := more.Merging(20_000)
	body, err = merging.Encode()
	require.NoError(t, err)
	got, err = Decode(body)
	require.NoError(t, err)
	require.Equal(t, merging, got)
	require.Equal(t, lake.Day(20_000), *got.Merge)
	require.Equal(t, map[lake.Day]int64{20_000: 3}, got.Next(new(Batch)).Places)
	require.Empty(t, more.Places)
	now := lake.Day(20_004).Time().Add(12 * time.Hour)
	require.Equal(t, []lake.Day{20_001, 20_002}, got.Due([]lake.Day{20_000, 20_001, 20_002, 20_003, 20_004}, now))
}

func TestJournalRefuses(t *testing.T) {
	for text, why := range map[string]string{
		`{`:                         "unexpected end",
		`{"format":2,"number":"1"}`: "run the version that wrote it",
		`{"format":1,"number":"0"}`: "batch 0",
		`{"format":1,"number":"1","positions":["x"]}`: "not a manifest's",
		`{"format":1,"number":"1","days":["x"]}`:      "want YYYY-MM-DD",
		`{"format":1,"number":"1","places":{"x":1}}`:  "want YYYY-MM-DD",
		`{"format":1,"number":"1","merge":"x"}`:       "want YYYY-MM-DD",
	} {
		_, err := Decode([]byte(text))
		require.ErrorContains(t, err, why, text)
	}
}

func TestLead(t *testing.T) {
	steps := func(list ...string) (steps []Step) {
		for _, text := range list {
			s := Step{}
			for name := range strings.SplitSeq(text, " ") {
				s.Seq = uint64(name[0] - '0')
				if len(name) > 1 {
					s.Keys = append(s.Keys, key(s.Seq, name[1:]))
				}
			}
			steps = append(steps, s)
		}
		return steps
	}
	keys := func(list ...string) (keys []string) {
		for _, s := range steps(list...) {
			keys = append(keys, s.Keys...)
		}
		return keys
	}
	for name, c := range map[string]struct {
		from, gate uint64
		listed     []string
		cut        bool
		want       []Step
		ahead      []string
	}{
		"whole":                  {0, 3, keys("1a", "2a", "3a"), false, steps("1a", "2a", "3a"), nil},
		"from the middle":        {2, 3, keys("1a", "2a", "3a"), false, steps("3a"), nil},
		"attempts":               {0, 3, keys("1a 1b", "2a", "3a 3c"), false, steps("1a 1b", "2a", "3a"), nil},
		"a flush on its way":     {0, 2, keys("1a", "2a", "3x 3y"), false, steps("1a", "2a"), keys("3x 3y")},
		"cut":                    {0, 9, keys("1a", "2a", "3a"), true, steps("1a", "2a"), nil},
		"cut behind the gate's":  {0, 2, keys("1a", "2a", "3a"), true, steps("1a"), keys("3a")}, // who gives files up may stand behind
		"a hole":                 {0, 4, keys("1a", "4a"), false, steps("1a", "4a"), nil},
		"the gate's is gone":     {0, 3, keys("1a", "3x"), false, steps("1a", "3"), nil},
		"everything is gone":     {0, 3, nil, false, steps("3"), nil},
		"nothing is new":         {3, 3, nil, false, nil, nil},
		"what else stands there": {0, 1, append(keys("1a"), owner(0).StartedKey()), false, steps("1a"), nil},
	} {
		got, err := Lead(link(c.from), link(c.gate), c.listed, c.cut)
		require.NoError(t, err, name)
		require.Equal(t, Path{Steps: c.want, Ahead: c.ahead}, got, name)
	}
	_, err := Lead(link(3), link(2), nil, false)
	require.ErrorContains(t, err, "the gate's memory was taken back")
	_, err = Lead(link(3), flush.Link{Seq: 3, Manifest: key(3, "b")}, nil, false)
	require.ErrorContains(t, err, "the gate's memory was taken back")
}

func TestWhatCounts(t *testing.T) {
	p, err := Lead(link(0), link(4), []string{key(1, "a"), key(2, "a"), key(2, "b"), key(3, "a"), key(3, "b"), key(4, "a")}, false)
	require.NoError(t, err)
	first, behind := p.Unsure()
	require.Equal(t, []int{1, 3}, []int{first, behind})
	p.Settle(2, flush.Link{Seq: 3, Manifest: key(3, "b")})
	p.Settle(1, flush.Link{Seq: 2, Manifest: key(2, "elsewhere")})
	first, behind = p.Unsure()
	require.Equal(t, []int{4, 4}, []int{first, behind})
	require.Equal(t, []string{key(3, "b")}, p.Steps[2].Keys)
	require.Empty(t, p.Steps[1].Keys, "what is named is not there")
}

func TestABatchIsBounded(t *testing.T) {
	b := new(Batch)
	m := &flush.Manifest{Key: key(1, "a"), Seq: 1}
	for !b.Full() {
		b.Add(m, Flush{Manifest: m.Key})
	}
	require.Len(t, b.Flushes, MaxFlushes)
}
