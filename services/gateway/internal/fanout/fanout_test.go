package fanout

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/event"
)

var began = time.Unix(1_800_000_000, 0)

func at(d time.Duration) time.Time { return began.Add(d) }

// What one gateway on a topic of 12 partitions makes of rates over time, with lanes of 100 bytes/s. It reads what it
// writes, unless deaf.
func TestJudge(t *testing.T) {
	type step struct {
		at     time.Duration
		rate   float64
		writes string // fan-out/epoch
	}
	const s, m, h = time.Second, time.Minute, time.Hour
	for name, c := range map[string]struct {
		deaf  bool
		steps []step
	}{
		"usual sources are left alone": {steps: []step{{0, 0, ""}, {10 * s, 100, ""}, {20 * s, 99, ""}}},
		"a rate raises it to what the partitions allow": {steps: []step{
			{0, 5000, "2/1"}, {10 * s, 5000, "4/2"}, {20 * s, 5000, "8/3"}, {30 * s, 5000, ""}, {40 * s, 1e12, ""},
		}},
		"it is enough": {steps: []step{{0, 101, "2/1"}, {10 * s, 200, ""}, {20 * s, 201, "4/2"}, {30 * s, 400, ""}}},
		"what is not read is written again, the same": {deaf: true, steps: []step{{0, 101, "2/1"}, {10 * s, 201, "2/1"}, {20 * s, 5000, "2/1"}}},
		"what is needed is renewed, though the rate is somewhat lower": {steps: []step{
			{0, 101, "2/1"}, {10*m - s, 51, ""}, {10 * m, 51, "2/1"}, {20*m - s, 51, ""}, {20 * m, 51, "2/1"}, {3 * h, 51, "2/1"}, {4 * h, 50, "1/2"},
		}},
		"a quiet source is halved once an hour": {steps: []step{
			{0, 5000, "2/1"}, {10 * s, 5000, "4/2"}, {h, 0, ""}, {h + 10*s, 0, "2/3"}, {h + 20*s, 0, ""}, {2*h + 10*s, 0, "1/4"}, {9 * h, 0, ""},
		}},
		"and raised again in a later epoch": {steps: []step{{0, 101, "2/1"}, {h, 0, "1/2"}, {2 * h, 101, "2/3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := New(100)
			for i, st := range c.steps {
				writes := f.Judge(map[string]float64{"a": st.rate, "b": 100}, 12, at(st.at))
				got := ""
				for _, w := range writes {
					require.Equal(t, "a", w.Source)
					require.Equal(t, int64(st.rate), w.Record.Rate)
					got += fmt.Sprintf("%d/%d", w.Record.Fanout, w.Record.Epoch)
					if !c.deaf {
						require.NoError(t, f.Read(w.Source, w.Record.Value(), at(st.at), at(st.at)))
					}
				}
				require.Equal(t, st.writes, got, "step %d", i)
			}
			require.Equal(t, Record{Fanout: 1}, f.Of("b"))
		})
	}
}

func TestPartitionsBoundTheFanout(t *testing.T) {
	for partitions, most := range map[int]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 12: 8, 255: 128, 256: 256, 100_000: event.MaxFanout} {
		f := New(1)
		for range 20 {
			for _, w := range f.Judge(map[string]float64{"a": 1e15}, partitions, began) {
				require.NoError(t, f.Read(w.Source, w.Record.Value(), began, began))
			}
		}
		require.Equal(t, most, f.Of("a").Fanout, "%d partitions", partitions)
	}
}

// A gateway without a rate goes by the records, and writes none.
func TestAGatewayThatOnlyFollows(t *testing.T) {
	f := New(0)
	require.NoError(t, f.Read("a", Record{Fanout: 4, Epoch: 7}.Value(), at(0), at(0)))
	require.NoError(t, f.Read("a", Record{Fanout: 2, Epoch: 6}.Value(), at(0), at(0)))
	require.Equal(t, Record{Fanout: 4, Epoch: 7}, f.Of("a"))
	require.Empty(t, f.Judge(map[string]float64{"a": 1e12, "b": 1e12}, 12, at(9*time.Hour)))
}

// The later epoch holds, and of one epoch the larger fan-out. Who knows better than the topic's last record says writes it
// again, once.
func TestARecordThatComesTooLate(t *testing.T) {
	f := New(100)
	read := func(r Record) { require.NoError(t, f.Read("a", r.Value(), at(0), at(0))) }
	judge := func() []Write { return f.Judge(nil, 12, at(time.Second)) }
	read(Record{Fanout: 4, Epoch: 3, Rate: 1})
	require.Empty(t, judge())
	for _, late := range []Record{{Fanout: 1, Epoch: 3}, {Fanout: 8, Epoch: 2}} {
		read(late)
		require.Equal(t, 4, f.Of("a").Fanout)
		require.Equal(t, []Write{{"a", Record{Fanout: 4, Epoch: 3}}}, judge())
		read(Record{Fanout: 4, Epoch: 3, Rate: 2}) // by whoever was first
		require.Empty(t, judge())
	}
	read(Record{Fanout: 8, Epoch: 3})
	require.Equal(t, 8, f.Of("a").Fanout)
	f.Reread()
	require.Len(t, judge(), 1, "the topic was made anew")
	read(Record{Fanout: 8, Epoch: 3})
	require.Empty(t, judge())
	require.NoError(t, f.Read("a", nil, at(0), at(0)))
	require.Equal(t, Record{Fanout: 1}, f.Of("a"))
}

// A clock that is ahead does not keep a fan-out alive.
func TestARecordOfTheFuture(t *testing.T) {
	f := New(100)
	require.NoError(t, f.Read("a", Record{Fanout: 2, Epoch: 1}.Value(), at(1000*time.Hour), at(0)))
	require.Equal(t, []Write{{"a", Record{Fanout: 1, Epoch: 2}}}, f.Judge(nil, 12, at(quiet)))
}

func TestJunk(t *testing.T) {
	f := New(100)
	good := Record{Fanout: 2, Epoch: 1}.Value()
	for name, r := range map[string]struct{ key, value string }{
		"no key":                   {"", string(good)},
		"no source":                {"a b", string(good)},
		"no JSON":                  {"a", "{"},
		"no object":                {"a", "7"},
		"no number":                {"a", `{"fanout":"2","epoch":1}`},
		"empty":                    {"a", ""},
		"no fan-out":               {"a", `{"epoch":1}`},
		"no power of two":          {"a", `{"fanout":3,"epoch":1}`},
		"a negative fan-out":       {"a", `{"fanout":-2,"epoch":1}`},
		"a fan-out beyond all":     {"a", `{"fanout":512,"epoch":1}`},
		"no epoch":                 {"a", `{"fanout":2}`},
		"a negative epoch":         {"a", `{"fanout":2,"epoch":-1}`},
		"an epoch beyond all":      {"a", `{"fanout":2,"epoch":9007199254740992}`},
		"an epoch with a fraction": {"a", `{"fanout":2,"epoch":1.5}`},
		"too long":                 {"a", string(good) + strings.Repeat(" ", maxRecord)},
	} {
		require.Error(t, f.Read(r.key, []byte(r.value), began, began), name)
	}
	require.Empty(t, f.sources)
	require.NoError(t, f.Read("a", []byte(`{"fanout":2,"epoch":9007199254740991,"later":"field"}`), began, began))
}

func TestTooManySources(t *testing.T) {
	f := New(100)
	rates := map[string]float64{}
	for i := range MaxSources + 10 {
		rates[fmt.Sprint(i)] = 1e6
	}
	writes := f.Judge(rates, 12, began)
	require.Len(t, writes, MaxSources)
	for _, w := range writes {
		require.NoError(t, f.Read(w.Source, w.Record.Value(), began, began))
	}
	require.ErrorIs(t, f.Read("one-more", writes[0].Record.Value(), began, began), errTooMany)
	require.NoError(t, f.Read("0", Record{Fanout: 4, Epoch: 2}.Value(), began, began), "it is known")
	for _, w := range f.Judge(rates, 12, began) {
		require.Greater(t, w.Record.Epoch, int64(1), "no source is new")
	}
}

type written struct {
	Write
	at time.Time
}

// world is gateways on one topic: each has read it up to somewhere.
type world struct {
	topic  []written
	fleets []*Fleet
	read   []int
	now    time.Time
}

func (w *world) write(list []Write) {
	for _, l := range list {
		w.topic = append(w.topic, written{l, w.now})
	}
}

// follow lets a gateway read n records more.
func (w *world) follow(t require.TestingT, i, n int) {
	for ; n > 0 && w.read[i] < len(w.topic); n-- {
		r := w.topic[w.read[i]]
		before := w.fleets[i].Of(r.Source)
		require.NoError(t, w.fleets[i].Read(r.Source, r.Record.Value(), r.at, w.now))
		require.False(t, before.counts(w.fleets[i].Of(r.Source)), "it never goes back")
		w.read[i]++
	}
}

// Gateways judge and read at any time, and one starts with what compaction left of the topic: once all have read all and
// nothing is new to write, they agree, and so does who starts then.
func TestGatewaysAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const lane, partitions = 100, 8
		w := &world{now: began}
		for range rapid.IntRange(1, 4).Draw(t, "gateways") {
			w.fleets, w.read = append(w.fleets, New(lane)), append(w.read, 0)
		}
		sources := []string{"a", "b"}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(w.fleets)-1).Draw(t, "gateway")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(t, "seconds")) * time.Second)
			case 1:
				w.follow(t, i, rapid.IntRange(1, 5).Draw(t, "records"))
			default:
				rates := map[string]float64{}
				for _, s := range sources {
					rates[s] = float64(rapid.IntRange(0, 2000).Draw(t, "rate"))
				}
				w.write(w.fleets[i].Judge(rates, partitions, w.now))
			}
		}
		for _, r := range w.topic {
			require.True(t, event.ValidFanout(r.Record.Fanout) && r.Record.Fanout <= partitions)
		}
		for range 3 { // quiet, but for what has to be put right
			for i := range w.fleets {
				w.follow(t, i, len(w.topic))
				w.write(w.fleets[i].Judge(nil, partitions, w.now))
			}
		}
		last := New(lane)
		for _, r := range w.compacted() {
			require.NoError(t, last.Read(r.Source, r.Record.Value(), r.at, w.now))
		}
		for i, f := range w.fleets {
			w.follow(t, i, len(w.topic))
			for _, s := range sources {
				got, want := f.Of(s), w.fleets[0].Of(s)
				require.True(t, got.same(want), "gateway %d of %s: %v and %v", i, s, got, want)
				require.True(t, last.Of(s).same(want), "who starts now, of %s: %v and %v", s, last.Of(s), want)
			}
		}
	})
}

// compacted is what a topic holds of each source in the end.
func (w *world) compacted() (list []written) {
	lasts := map[string]int{}
	for i, r := range w.topic {
		lasts[r.Source] = i
	}
	for i := range maps.Values(lasts) {
		list = append(list, w.topic[i])
	}
	return list
}

// All users of a lane stay together when a source is spread further: a doubling moves a half of them, each to one lane.
func TestADoublingMovesAHalf(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const users = 100_000
	for fanout := 1; fanout < event.MaxFanout; fanout *= 2 {
		moved := 0
		in := make([]int, 2*fanout)
		for range users {
			hash := rng.Uint64()
			before, after := Lane(hash, fanout), Lane(hash, 2*fanout)
			require.True(t, after == before || after == before+fanout)
			if in[after]++; after != before {
				moved++
			}
		}
		require.InDelta(t, users/2, moved, users/50)
		for _, n := range in {
			require.InDelta(t, users/(2*fanout), n, 6*float64(users/(2*fanout))/10+30)
		}
	}
}
