package chaos

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/loadtest/chaos/record"
)

func TestScenariosAreRight(t *testing.T) {
	files, err := filepath.Glob("../scenarios/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		s, err := ReadScenario(path)
		require.NoError(t, err)
		require.Equal(t, s.Name+".yaml", filepath.Base(path))
		require.NotEmpty(t, s.moments(), path)
		for _, step := range s.moments() {
			require.Less(t, step.At, s.Duration, "%s: a step after the end of the load", path)
		}
	}
}

func TestFaultsOfAScenarioAreListedAtOnce(t *testing.T) {
	_, err := ParseScenario([]byte(`
name: a/b
world: mars
duration: 10s
timeline:
- {at: 20s, do: dance}
- {at: 1s, do: pause, target: sink}
- {at: 1s, do: kill, target: kafka}
- {at: 1s, do: fault, target: s3, for: 1s, fault: {kind: glue-500}}
`))
	for _, part := range []string{"name", "mars", "after the end", "dance", "stands still", "glue-500", "step 4"} {
		require.ErrorContains(t, err, part)
	}
	_, err = ParseScenario([]byte("name: a\nduration: 1s\ntypo: 1\n"))
	require.ErrorContains(t, err, "typo")
}

func TestTheSeedDecidesTheMoments(t *testing.T) {
	s := Scenario{Seed: 1, Duration: time.Minute, Timeline: []Step{
		{At: 30 * time.Second, Until: time.Minute, Do: doRoll, Target: roleSink},
		{At: time.Second, Every: 10 * time.Second, Until: 40 * time.Second, Jitter: 5 * time.Second, Do: doKill, Target: targetAny},
	}}
	first := s.moments()
	require.Len(t, first, 5)
	require.IsNonDecreasing(t, []int64{int64(first[0].At), int64(first[1].At), int64(first[2].At), int64(first[3].At), int64(first[4].At)})
	require.Equal(t, first, s.moments())
	s.Seed = 2
	require.NotEqual(t, first, s.moments())
}

// An event is what the corpus says, with an id and a mark of its own; the mark ties its fields together.
func TestEventsCarryTheirMark(t *testing.T) {
	e, err := newEvents("r1", 3, 100)
	require.NoError(t, err)
	id := record.ID{Producer: "gw-0", Seq: 2*patterns + 5}
	var got struct {
		MessageID, Type, AnonymousID string
		Context                      map[string]any
		Pad                          string
		Chaos                        record.Mark
	}
	sched := time.UnixMilli(1234)
	require.NoError(t, json.Unmarshal(e.append(nil, id, sched, sched.Add(time.Millisecond)), &got))
	parsed, ok := record.ParseID("r1", got.MessageID)
	require.True(t, ok)
	require.Equal(t, id, parsed)
	require.NotEmpty(t, got.Context)
	require.Len(t, got.Pad, 100)
	require.Equal(t, record.Mark{
		Producer: "gw-0", Seq: id.Seq, Sched: 1234, Send: 1235, Sum: record.Sum(got.MessageID, got.Type, got.AnonymousID, 1234),
	}, got.Chaos)
	_, ok = record.ParseID("r2", got.MessageID)
	require.False(t, ok)
}

func TestAnswersBecomeFates(t *testing.T) {
	whole := record.Entry{Seq: 10, N: 4, Outcome: record.Indeterminate}
	fates := func(status int, text string, err error) (all []record.Outcome) {
		var n int64
		for _, e := range judgeAnswer(whole, status, []byte(text), err) {
			require.Equal(t, whole.Seq+n, e.Seq)
			n += e.N
			for range e.N {
				all = append(all, e.Outcome)
			}
		}
		return all
	}
	a, i, r := record.Acked, record.Indeterminate, record.Rejected
	require.Equal(t, []record.Outcome{a, a, a, a}, fates(200, `{"success":true}`, nil))
	require.Equal(t, []record.Outcome{a, r, r, a}, fates(200, `{"success":true,"rejected":[{"index":1},{"index":2}]}`, nil))
	require.Equal(t, []record.Outcome{i, i, i, i}, fates(200, `{"success":true,"rejected":[{"index":9}]}`, nil))
	require.Equal(t, []record.Outcome{i, i, i, i}, fates(200, `{"succ`, errors.New("cut off")))
	require.Equal(t, []record.Outcome{r, r, r, r}, fates(401, `{"success":false}`, nil))
	require.Equal(t, []record.Outcome{i, i, i, i}, fates(429, `{"success":false}`, nil), "its records may be in Kafka")
	require.Equal(t, []record.Outcome{i, i, i, i}, fates(503, `{"success":false}`, nil), "its records may be in Kafka")
	require.Equal(t, record.Rejected, fateOf(record.ID{}, kgo.ErrMaxBuffered).Outcome)
	require.Equal(t, record.Indeterminate, fateOf(record.ID{}, kgo.ErrRecordTimeout).Outcome)
}

func TestCommitterIsFoundByPhase(t *testing.T) {
	commit := func(metadata string) *kmsg.OffsetCommitRequest {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.InstanceID = group, kmsg.StringPtr("sink-1")
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Metadata = &metadata
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Partitions = append(topic.Partitions, partition)
		req.Topics = append(req.Topics, topic)
		return req
	}
	who, is := committer(commit("weir1 3 intent some/manifest.json ahead home crc"), "intent")
	require.True(t, is)
	require.Equal(t, "sink-1", who)
	_, is = committer(commit("weir1 3 intent some/manifest.json ahead home crc"), "done")
	require.False(t, is)
	_, is = committer(commit("weir1 0 done - clean home crc"), "done")
	require.False(t, is, "a start is no flush")
	other := commit("weir1 3 intent some/manifest.json ahead home crc")
	other.Group = catalogGroup
	_, is = committer(other, "intent")
	require.False(t, is)
}

func TestMovesAndGaps(t *testing.T) {
	o := newOwners()
	at := time.Unix(0, 0)
	o.note(at, map[int32]string{0: "a", 1: "b"})
	o.note(at.Add(1*time.Second), map[int32]string{0: "a"})
	o.note(at.Add(2*time.Second), map[int32]string{0: "a"})
	o.note(at.Add(4*time.Second), map[int32]string{0: "a", 1: "b"})
	moves, longest := o.found()
	require.Empty(t, moves, "who comes back under its name moves nothing")
	require.Equal(t, gap{at: at.Add(time.Second), partition: 1, took: 3 * time.Second}, longest)
	o.note(at.Add(5*time.Second), map[int32]string{0: "c", 1: "b"})
	moves, _ = o.found()
	require.Equal(t, []move{{at: at.Add(5 * time.Second), partition: 0, from: "a", to: "c"}}, moves)
}

func TestShared(t *testing.T) {
	c := Cluster{Sinks: 2, Partitions: 3}
	require.False(t, shared(map[int32]string{0: "a", 1: "a", 2: "a"}, c), "the second has not joined")
	require.False(t, shared(map[int32]string{0: "a", 1: "b"}, c), "one is being handed over")
	require.True(t, shared(map[int32]string{0: "a", 1: "b", 2: "b"}, c))
	require.True(t, shared(map[int32]string{0: "b"}, Cluster{Sinks: 2, Partitions: 1}), "a sink too many has none")
}

func TestPageSaysWhatWasFound(t *testing.T) {
	r := Result{
		Scenario: "everyday", World: "kafka", Started: time.UnixMilli(0), Ended: []string{"sink-0 ended by itself"},
		FaultsMet: map[string]int{"s3-500 PutObject": 3}, NotDrained: "partition 3 at 1 of 2",
		Verdict: record.Verdict{
			Acked: 4711, Missing: 12, FaultList: []record.Finding{{Kind: "missing in the table", Count: 12, First: []string{"r1.gw-0.5"}}},
			Recoveries: []record.Recovery{{Action: record.Action{At: 1500, Do: "kill", Target: "sink-1"}, Seconds: 2.5, Waiting: 7}},
		},
		Checks: []Check{{Name: "exactly once", Limit: "no fault", Found: "12 faults"}},
	}
	for _, part := range []string{
		"everyday on kafka: FAILED", "| acknowledged | 4711 |", "12 × missing in the table: r1.gw-0.5", "| s3-500 PutObject | 3 |",
		"| 1.5 |  | kill sink-1  | 2.5 | 7 |", "**broken**", "sink-0 ended by itself", "partition 3 at 1 of 2",
	} {
		require.Contains(t, r.Page(), part)
	}
	path, err := r.Write(t.TempDir())
	require.NoError(t, err)
	require.FileExists(t, path)
}
