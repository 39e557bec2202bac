package sink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/settings"
)

func TestEventsBecomeRowsOnce(t *testing.T) {
	w := newWorld(t, 2)
	w.produceEvents(0, []string{"a"}, 100)
	p := w.start()
	w.produceEvents(1, []string{"a", "b", "c"}, 99)
	w.awaitFlushed()
	w.produceEvents(0, []string{"a", "b"}, 50)
	w.awaitFlushed()
	w.requireMetrics(p)
	require.NoError(t, p.end())
	w.requireOnce()
	require.Equal(t, "draining", p.tel.Health.Report().State)
	_, owned := p.metric("weir_sink_lag_records")
	require.False(t, owned, "partitions that are given up leave no gauge behind")
}

// requireMetrics: what dashboards are made of is there and counts what happened.
func (w *world) requireMetrics(p *sinkProcess) {
	for _, c := range []struct {
		words []string
		want  float64
	}{
		{[]string{"weir_sink_partitions_owned{"}, 2},
		{[]string{"weir_sink_partitions_stopped{"}, 0},
		{[]string{"weir_sink_files_open{"}, 0},
		{[]string{"weir_sink_lag_records{", `id="0"`, `stage="fetch"`}, 0},
		{[]string{"weir_sink_lag_records{", `id="1"`, `stage="commit"`}, 0},
		{[]string{"weir_sink_lag_duration_seconds{", `id="1"`}, 0},
		{[]string{"weir_sink_buffer_usage_bytes{", `kind="builder"`}, 0},
		{[]string{"weir_sink_buffer_limit_bytes"}, float64(256 << 20)},
		{[]string{"weir_sink_commits_total{", `outcome="ok"`}, 8}, // two starts, three flushes
		{[]string{"weir_sink_flushes_total{", `trigger="age"`, `outcome="published"`}, 3},
		{[]string{"weir_sink_flush_duration_seconds_count{", `phase="total"`}, 3},
		{[]string{"weir_sink_flush_duration_seconds_count{", `phase="publish"`}, 3},
		{[]string{"weir_sink_file_size_bytes_count{", `weir_table="eventlogs"`}, 6},
		{[]string{"weir_sink_files_total{", `outcome="committed"`}, 12},
		{[]string{"weir_sink_rebalances_total{", `kind="assigned"`}, 1},
	} {
		v, ok := p.metric(c.words...)
		require.True(w.t, ok, "%v", c.words)
		require.InDelta(w.t, c.want, v, 0, "%v", c.words)
	}
}

// What is young when the sink is stopped is dropped, and read again by the next.
func TestRestarts(t *testing.T) {
	w := newWorld(t, 2)
	for round := range 4 {
		p := w.start(func(c *Config) {
			if round%2 == 1 {
				c.FileAge = time.Hour // nothing is old enough, so draining drops it
			}
		})
		w.produceEvents(int32(round%2), []string{"a", "b"}, 40)
		if round%2 == 0 {
			w.awaitFlushed()
		} else {
			w.await("partitions started", func() bool { return strings.Count(p.log.String(), "partition started") == 2 })
		}
		require.NoError(t, p.end())
	}
	w.start()
	w.awaitFlushed()
	w.requireOnce()
}

// A drain flushes what is worth it and is quick about it.
func TestDrainFlushes(t *testing.T) {
	w := newWorld(t, 1)
	p := w.start(func(c *Config) { c.FileAge, c.FileSize = time.Hour, 4*settings.MiB })
	big := &kgo.Record{Key: []byte("a"), Value: append(append([]byte(`{"type":"track","userId":"u","properties":{"x":"`), random(300<<10)...), `"}}`...)}
	for range 8 { // over a quarter of file-size, below the whole
		w.produce(0, &kgo.Record{Key: big.Key, Value: slices.Clone(big.Value)})
	}
	w.await("the records are read", func() bool { return w.position(p, 0) == 8 })
	began := time.Now()
	require.NoError(t, p.end())
	require.Less(t, time.Since(began), 10*time.Second)
	s, ok := w.state(0)
	require.True(t, ok)
	require.Equal(t, int64(8), s.Low)
	require.Contains(t, p.log.String(), "trigger=drain")
	w.requireOnce()
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t, 1)
	long := make([]byte, 4<<20) // zeros: compressed it is small, so that Kafka lets it through
	bad := []*kgo.Record{
		{Key: []byte("a"), Value: []byte("no json")},
		{Key: []byte("a"), Value: []byte("")},
		{Key: []byte("a"), Value: nil},
		{Key: nil, Value: []byte(`{"type":"track"}`)},
		{Key: []byte("bad source/"), Value: []byte(`{"type":"track"}`), Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("kept")}}},
		{Key: []byte("a"), Value: []byte("\x00\xff\xfe")},
		{Key: []byte("a"), Value: []byte(strings.Repeat("[", 100_000))},
		{Key: []byte("a"), Value: long},
		{Key: []byte("a"), Value: []byte(`{"userId":"neither type nor event"}`)},
	}
	w.produceEvents(0, []string{"a"}, 3)
	w.produce(0, bad...)
	w.produceEvents(0, []string{"a"}, 3)
	w.start()
	w.awaitFlushed()

	var but []row
	for i := range bad {
		but = append(but, row{0, int64(3 + i)})
	}
	w.requireOnce(but...)
	letters := w.read(w.cfg.DeadLetterTopic)
	require.Len(t, letters, len(bad))
	for i, l := range letters {
		require.Equal(t, bad[i].Key, l.Key)
		require.Equal(t, bad[i].Value == nil, l.Value == nil)
		require.True(t, string(bad[i].Value) == string(l.Value), "letter %d is byte-identical", i)
		if own := bad[i].Headers; len(own) > 0 {
			require.Equal(t, own, l.Headers[:len(own)])
		}
		h := headers(l)
		require.Equal(t, w.cfg.Topic, h[event.HeaderDeadLetterTopic])
		require.Equal(t, "0", h[event.HeaderDeadLetterPartition])
		require.Equal(t, itoa(int64(3+i)), h[event.HeaderDeadLetterOffset])
		require.NotEmpty(t, h[event.HeaderDeadLetterReason])
	}
}

// A flush of nothing but dead letters is a flush.
func TestOnlyDeadLetters(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, &kgo.Record{Key: []byte("a"), Value: []byte("nonsense")})
	w.start()
	w.awaitFlushed()
	w.requireOnce(row{0, 0})
	require.Len(t, w.read(w.cfg.DeadLetterTopic), 1)
}

// The memory budget cuts the largest files and reading goes on, far beyond the budget.
func TestMemoryCutsAndGoesOn(t *testing.T) {
	w := newWorld(t, 2)
	p := w.start(func(c *Config) {
		c.FileAge, c.FileSize = time.Hour, settings.GiB
		c.Memory = settings.Memory{Bytes: minMemory}
	})
	text := random(1 << 20)
	for range 26 {
		for part := range int32(2) {
			records := make([]*kgo.Record, 90)
			for i := range records {
				at := rand.IntN(len(text) - 8<<10)
				records[i] = &kgo.Record{Key: []byte{'a' + byte(i%3)}, Value: fmt.Appendf(nil, `{"type":"track","userId":"u","properties":{"x":"%s"}}`, text[at:at+8<<10])}
			}
			w.produce(part, records...)
		}
	}
	w.await("everything is read", func() bool { return w.position(p, 0) == w.sent[0] && w.position(p, 1) == w.sent[1] })
	require.NoError(t, p.end())
	require.Contains(t, p.log.String(), "trigger=memory")
	w.start()
	w.awaitFlushed()
	w.requireOnce()
}

func TestSizeCuts(t *testing.T) {
	w := newWorld(t, 1)
	p := w.start(func(c *Config) { c.FileAge = time.Hour })
	for range 26 {
		w.produce(0, &kgo.Record{Key: []byte("a"), Value: []byte(`{"type":"track","userId":"u","properties":{"x":"` + string(random(100<<10)) + `"}}`)})
	}
	w.await("a cut by size", func() bool { return strings.Contains(p.log.String(), "trigger=size") })
	require.NoError(t, p.end())
	w.start()
	w.awaitFlushed()
	w.requireOnce()
}

func TestTwoMembersShareTheTopic(t *testing.T) {
	w := newWorld(t, 4)
	all := func() {
		for p := range int32(4) {
			w.produceEvents(p, []string{"a", "b"}, 30)
		}
	}
	first := w.start()
	all()
	w.awaitFlushed()
	second := w.start()
	all()
	w.await("the second has partitions", func() bool { return strings.Contains(second.log.String(), "partition started") })
	all()
	w.awaitFlushed()
	require.NoError(t, first.end())
	all()
	w.awaitFlushed()
	require.NoError(t, second.end())
	require.Contains(t, first.log.String(), "partitions revoked")
	w.requireOnce()
}

// A static member comes back under its name and moves nothing.
func TestStaticMember(t *testing.T) {
	w := newWorld(t, 2)
	w.cfg.SessionTimeout = time.Minute // a slow machine must not make it a new member
	static := func(c *Config) { c.PodName = "sink-0" }
	w.produceEvents(0, []string{"a"}, 10)
	p := w.start(static)
	w.awaitFlushed()
	before := w.generation()
	require.NoError(t, p.end())
	w.produceEvents(1, []string{"a"}, 10)
	w.start(static)
	w.awaitFlushed()
	require.Equal(t, before, w.generation())
	w.requireOnce()
}

// An hour of backlog is flushed while it is read; the age limit holds for the newest
// event too.
func TestAgeIsThatOfTheWallClock(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 1)
	w.start()
	w.awaitFlushed()
	w.produceEvents(0, []string{"a"}, 1)
	began := time.Now()
	w.awaitFlushed()
	require.GreaterOrEqual(t, time.Since(began), w.cfg.FileAge)
	w.requireOnce()
}

func (w *world) generation() int32 {
	groups, err := w.admin().DescribeGroups(w.t.Context(), w.cfg.Group)
	require.NoError(w.t, err)
	require.Equal(w.t, "Stable", groups[w.cfg.Group].State)
	return int32(len(groups[w.cfg.Group].Members))*1000 + w.commitGeneration()
}

// commitGeneration is that of the newest manifest.
func (w *world) commitGeneration() int32 {
	var generation int32
	for _, m := range w.manifests() {
		generation = max(generation, m.Generation)
	}
	return generation
}
