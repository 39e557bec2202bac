package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

const markers = "no-records 10-13" // the transactions' markers, and what was aborted

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name  string
		bend  func(*rig)
		found []string
		noted []string
	}{
		{name: "as it should be", bend: (*rig).sink, noted: []string{markers}},
		{name: "nothing yet", bend: (*rig).own, noted: []string{"not-started"}},
		{
			name: "a record in no file, and its table's other half proves it",
			bend: func(r *rig) {
				r.sink()
				m := r.made[1]
				lacking := new(flush.Offsets)
				for o := range m.Files[0].Offsets.All() {
					if o != 16 {
						lacking.Add(o)
					}
				}
				m.Files[0].Offsets, m.Files[0].Rows = lacking, lacking.Len()
				r.manifest(m)
			},
			found: []string{"lost eventlogs 16"},
			noted: []string{markers},
		},
		{
			name: "records in no file at all, which Kafka holds",
			bend: func(r *rig) {
				r.own()
				r.flush(0, 20, []file{{"a", ofSource("a", 0, 19)}}, []flush.DeadLetter{{Offset: 5}})
				r.commit(flush.Done)
			},
			found: []string{"lost eventlogs 1,3,7,9,15,17,19", "lost eventlogs_raw 1,3,7,9,15,17,19"},
			noted: []string{markers},
		},
		{
			name: "and which Kafka's retention has removed",
			bend: func(r *rig) {
				r.own()
				r.flush(0, 20, []file{{"a", ofSource("a", 0, 19)}}, []flush.DeadLetter{{Offset: 5}})
				r.commit(flush.Done)
				r.retain(16)
			},
			found: []string{"lost eventlogs 17,19", "lost eventlogs_raw 17,19"},
			noted: []string{"beyond-proof 1,3,7,9-13,15"},
		},
		{
			name: "records twice",
			bend: func(r *rig) {
				r.sink()
				r.flush(20, 21, []file{{"a", ofSource("a", 18, 20)}}, nil)
				r.commit(flush.Done)
			},
			found: []string{"doubled eventlogs 18", "doubled eventlogs_raw 18"},
			noted: []string{markers},
		},
		{
			name:  "a missing object",
			bend:  func(r *rig) { r.sink(); r.remove(r.key(0, 0)) },
			found: []string{"no-object eventlogs 0,2,4,6"},
			noted: []string{markers},
		},
		{
			name:  "an object of another size",
			bend:  func(r *rig) { r.sink(); r.put(r.key(0, 1), []byte("x")) },
			found: []string{"wrong-size eventlogs_raw 0,2,4,6"},
			noted: []string{markers},
		},
		{
			name: "an object that no flush has, and one that engines do not see",
			bend: func(r *rig) {
				r.sink()
				r.put("eventlogs/sourceid=a/dt=2026-11-23/x-0.parquet", []byte("x"))
				r.put("eventlogs/sourceid=a/dt=2026-11-23/_SUCCESS", nil)
			},
			found: []string{"orphan"},
			noted: []string{markers},
		},
		{
			name: "what a job made of a time before the sink, and the marks of folders",
			bend: func(r *rig) {
				r.sink()
				r.put("eventlogs/sourceid=a/dt=2020-11-23/history-0123456789abcdef-1of1.parquet", []byte("x"))
				r.put("eventlogs/sourceid=a/dt=2020-11-23_$folder$", nil)
			},
			noted: []string{markers},
		},
		{
			name: "an attempt that was given up, and one that a zombie made visible",
			bend: func(r *rig) {
				r.sink()
				made := r.made
				r.made = r.made[:1]
				r.owner.Partition = 0
				zombie := *made[1]
				zombie.FlushID, zombie.Files = "zombie", nil
				zombie.Key = r.owner.ManifestKey(2, "zombie")
				zombie.DeadLetters, zombie.Ahead = nil, nil
				table := lake.EventLogs()
				f := made[1].Files[0]
				f.Key = lake.ObjectKey(table, f.Partition, "zombie", 0)
				zombie.Files = []flush.File{f}
				r.manifest(&zombie)
				r.put(f.Key, r.parquet(f.Offsets))
				r.made = made
			},
			found: []string{"orphan"},
			noted: []string{markers, "undecided"},
		},
		{
			name: "a flush that is being published",
			bend: func(r *rig) {
				r.sink()
				r.flush(20, 24, []file{{"a", ofSource("a", 20, 23)}, {"b", ofSource("b", 20, 23)}}, nil)
				r.remove(r.key(2, 3))
				r.commit(flush.Intent)
			},
			noted: []string{markers, "in-progress", "in-progress"},
		},
		{
			name: "the next attempt lies there already",
			bend: func(r *rig) {
				r.sink()
				r.flush(20, 24, nil, nil)
				r.made = r.made[:2]
			},
			noted: []string{markers, "undecided"},
		},
		{
			name:  "a manifest that is gone",
			bend:  func(r *rig) { r.sink(); r.remove(r.made[0].Key) },
			found: []string{"chain", "orphan", "orphan"},
			noted: []string{"beyond-proof 2,4,6,10-13"},
		},
		{
			name:  "a manifest of a newer version",
			bend:  func(r *rig) { r.sink(); r.put(r.made[0].Key, []byte(`{"format":9}`)) },
			found: []string{"chain", "orphan", "orphan"},
			noted: []string{"beyond-proof 2,4,6,10-13"},
		},
		{
			name:  "an offset that another tool has reset",
			bend:  func(r *rig) { r.sink(); r.commitOffset(3, "") },
			found: []string{"state"},
		},
		{
			name: "offsets that Kafka has expired",
			bend: func(r *rig) {
				r.sink()
				_, err := kadm.NewClient(r.client).DeleteOffsets(r.t.Context(), r.cfg.Group, kadm.TopicsSet{r.cfg.Topic: {0: {}}})
				require.NoError(r.t, err)
			},
			found: []string{"state"},
		},
		{
			name: "an operator had records read again",
			bend: func(r *rig) {
				r.sink()
				r.readAgain(20, 16)
				r.flush(16, 22, []file{{"a", ofSource("a", 16, 21)}, {"b", ofSource("b", 16, 21)}}, nil)
				r.commit(flush.Done)
			},
			found: []string{"doubled eventlogs 16,18", "doubled eventlogs 17,19", "doubled eventlogs_raw 16,18", "doubled eventlogs_raw 17,19"},
			noted: []string{markers, "read-again 16-19"},
		},
		{
			name: "files of a topic of the same name that is gone",
			bend: func(r *rig) {
				r.owner.TopicID = lake.TopicID{7}
				r.sink()
				r.made, r.owner.TopicID = nil, r.topic.ID
				r.own()
				r.commitOffset(0, flush.State{LeaderEpoch: -1, Home: r.home}.Metadata())
			},
			noted: []string{"same-name"},
		},
	} {
		t.Run(strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(c.name), func(t *testing.T) {
			r := newRig(t)
			r.cfg.Group += r.cfg.Topic // a group of its own
			r.owner.Group = r.cfg.Group
			c.bend(r)
			report := r.run()
			require.ElementsMatch(t, c.found, kinds(report.Findings), "%+v", report.Findings)
			require.ElementsMatch(t, c.noted, kinds(report.Notes), "%+v", report.Notes)
			require.Equal(t, len(c.found) == 0, report.OK())
		})
	}
}

// retain removes the records below an offset, as retention does.
func (r *rig) retain(offset int64) {
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: r.cfg.Topic, At: offset})
	resp, err := kadm.NewClient(r.client).DeleteRecords(r.t.Context(), o)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Error())
}

func TestReport(t *testing.T) {
	r := newRig(t)
	r.cfg.Group += r.cfg.Topic
	r.owner.Group = r.cfg.Group
	r.sink()
	report := r.run()
	require.Equal(t, r.topic.ID.String(), report.TopicID)
	require.WithinDuration(t, time.Now(), report.At, time.Minute)
	require.Len(t, report.Partitions, 1)
	p := report.Partitions[0]
	require.Equal(t, uint64(2), p.Seq)
	require.Equal(t, int64(20), p.Low)
	require.Equal(t, int64(1), p.DeadLetters)
	require.Equal(t, int64(15), p.Tables[0].Rows)
	require.Equal(t, 3, p.Tables[1].Files)
	require.Len(t, p.LakePartitions, 4)
	var text strings.Builder
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "nothing is missing, nothing is doubled")
	require.Regexp(t, `(?m)^0 +eventlogs +3 +15 +\d+ +0 +20 +1 +2$`, text.String())
}

func TestValidate(t *testing.T) {
	require.Empty(t, DefaultConfig().Validate())
	var faults []string
	for _, err := range (Config{Lake: "x", Topic: "a b", LocalRoot: "/nowhere"}).Validate() {
		faults = append(faults, strings.SplitN(err.Error(), ":", 2)[0])
	}
	require.Equal(t, []string{"lake", "topic", "group", "local-root", "kafka-brokers"}, faults)
}
