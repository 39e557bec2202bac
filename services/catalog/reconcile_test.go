package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/services/catalog/internal/reconcile"
)

// sunk is a lake as a sink leaves it: a topic with committed offsets, manifests, objects.
type sunk struct {
	*rig
	topic   kafka.Topic
	cluster string
}

const sinkGroup = "weir-sink"

func newSunk(t *testing.T) *sunk {
	s := &sunk{rig: newRig(t)}
	name := s.cfg.Database + ".events"
	require.NoError(t, kafka.EnsureTopics(t.Context(), s.kafka, []kafka.TopicSpec{{Name: name, Partitions: 3, Replication: 1}}))
	var err error
	s.topic, s.cluster, err = kafka.Describe(t.Context(), s.kafka, name)
	require.NoError(t, err)
	owners := fmt.Sprintf(`{"format":1,"group":%q,"topic":%q,"lake":%q,"partitions":3}`, sinkGroup, name, s.cfg.Lake+"/")
	require.NoError(t, s.store.Put(t.Context(), lake.OwnersKey(s.topic.ID), []byte(owners)))
	return s
}

func (s *sunk) owner(partition int32) lake.Owner {
	return lake.Owner{Group: sinkGroup, Topic: s.topic.Name, TopicID: s.topic.ID, Partition: partition}
}

// flush writes a manifest and its objects, one of each table and source.
func (s *sunk) flush(partition int32, seq uint64, sources ...string) flush.Notification {
	m := s.manifest(partition, seq, sources...)
	body, err := codec.EncodeManifest(m)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.Put(s.t.Context(), m.Key, body))
	for _, f := range m.Files {
		require.NoError(s.t, s.store.Put(s.t.Context(), f.Key, make([]byte, f.Bytes)))
	}
	return m.Notification(time.Now())
}

func (s *sunk) manifest(partition int32, seq uint64, sources ...string) *flush.Manifest {
	o := s.owner(partition)
	m := &flush.Manifest{
		Key: o.ManifestKey(seq, "id"), Format: flush.Format, Group: o.Group, Topic: o.Topic, TopicID: o.TopicID, Partition: partition,
		Seq: seq, FlushID: "id", Low: int64(seq-1) * 10, NextLow: int64(seq) * 10, LeaderEpoch: -1, CreatedAt: time.Now(),
	}
	if seq > 1 {
		m.Predecessor = o.ManifestKey(seq-1, "id")
	}
	for i, source := range sources {
		for n, table := range tables() {
			p := lake.Partition{Table: table.Name, SourceID: source, Day: lake.DayOf(time.Now())}
			offsets := new(flush.Offsets)
			offsets.AddRange(m.Low, m.Low+1)
			m.Files = append(m.Files, flush.File{
				Table: table.Name, Partition: p, Key: lake.ObjectKey(table, p, fmt.Sprintf("f%d-%d", partition, seq), 2*i+n),
				UploadID: "u", Rows: 1, Bytes: 3, Offsets: offsets,
			})
		}
	}
	return m
}

// commit commits a flush as a sink does.
func (s *sunk) commit(partition int32, seq uint64, phase flush.Phase) {
	loc := s.store.Location()
	state := flush.State{
		Low: int64(seq) * 10, LeaderEpoch: -1, Seq: seq, Phase: phase, Manifest: s.owner(partition).ManifestKey(seq, "id"),
		Home: flush.Home(s.cluster, s.topic.ID, loc.Bucket, loc.Prefix),
	}
	if phase == flush.Intent {
		state.Low -= 10
	}
	s.commitOffset(partition, state.Low, state.Metadata())
}

func (s *sunk) commitOffset(partition int32, at int64, metadata string) {
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: s.topic.Name, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	answer, err := kadm.NewClient(s.kafka).CommitOffsets(s.t.Context(), sinkGroup, o)
	require.NoError(s.t, err)
	require.NoError(s.t, answer.Error())
}

func (r *rig) remove(key string) {
	loc := r.store.Location()
	require.NoError(r.t, os.Remove(filepath.Join(parts.s3.Root(), loc.Bucket, loc.Key(key))))
}

func (s *sunk) gate() flush.Gate {
	body, _, err := s.store.Get(s.t.Context(), lake.GateKey(s.cfg.Database, s.topic.ID))
	require.NoError(s.t, err)
	gate, err := codec.DecodeGate(body)
	require.NoError(s.t, err)
	return *gate
}

func (s *sunk) repair(change ...func(*RepairConfig)) []Repaired {
	s.t.Helper()
	cfg := RepairConfig{ReconcileConfig: ReconcileConfig{Lake: s.cfg.Lake, Database: s.cfg.Database}, Kafka: s.cfg.Kafka}
	for _, c := range change {
		c(&cfg)
	}
	require.Empty(s.t, cfg.Validate())
	all, err := Repair(s.t.Context(), cfg)
	require.NoError(s.t, err)
	return all
}

func (s *sunk) reconcile() *Report {
	s.t.Helper()
	report, err := Reconcile(s.t.Context(), ReconcileConfig{Lake: s.cfg.Lake, Database: s.cfg.Database})
	require.NoError(s.t, err)
	return report
}

func kinds(r *Report) map[reconcile.Kind]int { return r.Counts }

func results(all []Repaired) []string {
	var list []string
	for _, r := range all {
		list = append(list, r.What+": "+string(r.Result))
	}
	return list
}

// alarmed is a lake whose partition 0 stopped at flush 2, because another group's
// notification came; its sink went on to flush 5.
func alarmed(t *testing.T) *sunk {
	s := newSunk(t)
	first, second := s.flush(0, 1, "s1"), s.flush(0, 2, "s1")
	other := s.flush(1, 1, "s1")
	s.start()
	s.await("created in Glue", "table", "eventlogs_raw")
	bad := second
	bad.Group = "another"
	s.publish(first, other, bad, second, s.flush(0, 3, "s3"))
	s.await("partition stopped at the gate: its flushes are not made visible any more", "partition", 0)
	s.await("offset committed", "next", 5)
	s.stop()
	for seq := range uint64(2) {
		s.publish(s.flush(0, 4+seq, fmt.Sprint("s", 4+seq)))
	}
	s.commit(0, 5, flush.Done)
	s.commit(1, 1, flush.Done)
	return s
}

// A stopped partition whose manifests lead from what is committed back to what was
// accepted passes again: its flushes can be queried and the gate is where the sink is.
func TestRepairClearsAnAlarm(t *testing.T) {
	s := alarmed(t)
	report := s.reconcile()
	require.Equal(t, 1, report.Counts[reconcile.GateStopped])
	part := "partition 0 of " + s.topic.Name

	dry := s.repair(func(c *RepairConfig) { c.DryRun = true })
	require.Equal(t, part+": would be cleared", results(dry)[0])
	require.Contains(t, dry[0].Was, "group another")
	require.Equal(t, "flushes 2 to 5 follow without a hole", dry[0].Why)
	require.NotEmpty(t, s.gate().Marks[0].Alarm, "nothing was done")
	require.Equal(t, []string{"s1"}, s.partitions("eventlogs"))

	require.Empty(t, s.repair(func(c *RepairConfig) { c.Partition = []int32{1} }), "it is not stopped")
	all := s.repair(func(c *RepairConfig) { c.Partition = []int32{0} })
	require.Equal(t, []string{part + ": cleared"}, results(all))
	mark := s.gate().Marks[0]
	require.Empty(t, mark.Alarm)
	require.Equal(t, uint64(5), mark.Seq)
	require.Equal(t, int64(50), mark.Low)
	require.ElementsMatch(t, []string{"s1", "s3", "s4", "s5"}, s.partitions("eventlogs"))
	require.Equal(t, uint64(1), s.gate().Marks[1].Seq)
	require.Empty(t, s.repair())
	require.True(t, s.reconcile().OK(), "%v", s.reconcile().Differences)

	s.publish(s.flush(0, 6, "s6"))
	s.start()
	s.await("offset committed", "next", s.end())
	require.Equal(t, uint64(6), s.gate().Marks[0].Seq)
	require.Empty(t, s.gate().Marks[0].Alarm)
}

// The catalog that runs notices the repair, and goes on.
func TestRepairWhileTheCatalogRuns(t *testing.T) {
	s := alarmed(t)
	s.start()
	s.await("offset committed", "next", s.end())
	s.repair(func(c *RepairConfig) { c.Partition = []int32{0} })
	s.await("the gate was repaired; its flushes pass again", "partition", 0)
	s.publish(s.flush(0, 6, "s6"))
	s.await("offset committed", "next", s.end())
	require.Equal(t, uint64(6), s.gate().Marks[0].Seq)
}

// What cannot be proved is left as it is, and it is said exactly what is missing.
func TestRepairRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(s *sunk)
		why  string
	}{
		"a manifest is gone": {
			func(s *sunk) { s.remove(s.owner(0).ManifestKey(3, "id")) },
			"the manifest of flush 3, _weir/weir-sink/",
		},
		"a manifest cannot be read": {func(s *sunk) {
			require.NoError(s.t, s.store.Put(s.t.Context(), s.owner(0).ManifestKey(3, "id"), []byte("{")))
		}, "the manifest of flush 3 cannot be read"},
		"nothing is committed": {func(s *sunk) {
			_, err := kadm.NewClient(s.kafka).DeleteOffsets(s.t.Context(), sinkGroup, kadm.TopicsSet{s.topic.Name: {0: {}}})
			require.NoError(s.t, err)
		}, "has committed nothing for it; see weir sink recover"},
		"another tool committed": {func(s *sunk) { s.commitOffset(0, 7, "") }, "is not of weir's sink"},
		"the offsets were taken back": {func(s *sunk) {
			s.commitOffset(0, 0, flush.State{
				LeaderEpoch: -1, Phase: flush.Done, Home: flush.Home(s.cluster, s.topic.ID, s.store.Location().Bucket, s.store.Location().Prefix),
			}.Metadata())
		}, "ends at flush 0"},
		"the chain leads elsewhere": {func(s *sunk) {
			m := s.manifest(0, 2, "s1")
			m.Predecessor = s.owner(0).ManifestKey(1, "other")
			body, err := codec.EncodeManifest(m)
			require.NoError(s.t, err)
			require.NoError(s.t, s.store.Put(s.t.Context(), m.Key, body))
		}, `flush 2 of partition 0 follows`},
		"another lake": {func(s *sunk) {
			s.commitOffset(0, 50, flush.State{
				Low: 50, LeaderEpoch: -1, Seq: 5, Phase: flush.Done, Manifest: "m", Home: flush.Home("x", s.topic.ID, "b", "p"),
			}.Metadata())
		}, "another lake or cluster"},
		"the topic is gone": {func(s *sunk) {
			_, err := kadm.NewClient(s.kafka).DeleteTopics(s.t.Context(), s.topic.Name)
			require.NoError(s.t, err)
		}, "is not in Kafka"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			s := alarmed(t)
			c.harm(s)
			before := s.gate()
			all := s.repair(func(c *RepairConfig) { c.Partition = []int32{0} })
			require.Len(t, all, 1)
			require.Equal(t, Refused, all[0].Result)
			require.Contains(t, all[0].Why, c.why)
			require.Equal(t, before, s.gate())
		})
	}
}

// An intent is perhaps not published: the gate is led to the flush before it.
func TestRepairStopsBeforeAnIntent(t *testing.T) {
	s := alarmed(t)
	s.commit(0, 5, flush.Intent)
	all := s.repair(func(c *RepairConfig) { c.Partition = []int32{0} })
	require.Equal(t, "flushes 2 to 4 follow without a hole", all[0].Why)
	require.Equal(t, uint64(4), s.gate().Marks[0].Seq)
}

// A gate that cannot be read is made anew from the manifests; a partition of which that
// cannot be done is stopped, and the others pass.
func TestRepairOfAGateThatCannotBeRead(t *testing.T) {
	s := alarmed(t)
	require.NoError(t, s.store.Put(t.Context(), lake.GateKey(s.cfg.Database, s.topic.ID), []byte("{")))
	s.remove(s.owner(0).ManifestKey(2, "id"))
	require.Equal(t, 1, s.reconcile().Counts[reconcile.GateUnreadable])
	all := s.repair(func(c *RepairConfig) { c.Partition = []int32{0} })
	require.ElementsMatch(t, []string{
		"partition 0 of " + s.topic.Name + ": refused", "partition 1 of " + s.topic.Name + ": cleared", "partition 2 of " + s.topic.Name + ": refused",
	}, results(all))
	gate := s.gate()
	require.Contains(t, gate.Marks[0].Alarm, "could not be read")
	require.Equal(t, uint64(1), gate.Marks[1].Seq)
	require.Empty(t, gate.Marks[1].Alarm)

	s.flush(0, 2, "s1")
	s.commitOffset(2, 0, flush.State{
		LeaderEpoch: -1, Phase: flush.Done, Home: flush.Home(s.cluster, s.topic.ID, s.store.Location().Bucket, s.store.Location().Prefix),
	}.Metadata())
	s.repair()
	gate = s.gate()
	require.Equal(t, uint64(5), gate.Marks[0].Seq)
	for _, mark := range gate.Marks {
		require.Empty(t, mark.Alarm)
	}
	require.True(t, s.reconcile().OK(), "%v", s.reconcile().Differences)
}

// What differs is listed by name, and what Glue lacks of the lake is put back.
func TestReconcile(t *testing.T) {
	s := newSunk(t)
	var notes []flush.Notification
	for seq := range uint64(140) {
		notes = append(notes, s.flush(0, seq+1, []string{"a", "b", "c:d"}[seq%3]))
	}
	s.start()
	s.await("created in Glue", "table", "eventlogs_raw")
	s.publish(notes...)
	s.await("offset committed", "next", s.end())
	s.stop()
	s.flush(0, 301, "ahead") // published, and on its way to the gate
	require.NoError(t, s.store.Put(t.Context(), "eventlogs/_SUCCESS", nil))
	report := s.reconcile()
	require.True(t, report.OK(), "%v", report.Differences)
	require.Equal(t, 140, report.Flushes)
	require.Equal(t, 282, report.Objects)

	today := lake.DayOf(time.Now()).String()
	_, err := s.glue.BatchDeletePartition(t.Context(), s.cfg.Database, "eventlogs", [][]string{{"a", today}, {"c:d", today}})
	require.NoError(t, err)
	moved, err := s.glue.BatchGetPartition(t.Context(), s.cfg.Database, "eventlogs_raw", [][]string{{"b", today}})
	require.NoError(t, err)
	moved[0].Location = "s3://elsewhere/b/"
	_, err = s.glue.BatchUpdatePartition(t.Context(), s.cfg.Database, "eventlogs_raw", moved)
	require.NoError(t, err)
	held, err := s.glue.GetTable(t.Context(), s.cfg.Database, "eventlogs")
	require.NoError(t, err)
	held.Columns = held.Columns[1:]
	held.Columns[0] = glue.Column{Name: held.Columns[0].Name, Type: "date"}
	require.NoError(t, s.glue.UpdateTable(t.Context(), held))
	gone, orphan := notes[7].Files[0].Key, lake.ObjectKey(lake.EventLogs(), notes[0].Files[0].Partition, "stray", 0)
	s.remove(gone)
	require.NoError(t, s.store.Put(t.Context(), orphan, []byte("x")))
	require.NoError(t, s.store.Put(t.Context(), "eventlogs/notes.txt", []byte("x")))

	report = s.reconcile()
	require.Equal(t, map[reconcile.Kind]int{
		reconcile.PartitionMissing: 2, reconcile.PartitionLocation: 1, reconcile.ColumnMissing: 1, reconcile.ColumnType: 1,
		reconcile.ObjectMissing: 1, reconcile.ObjectUnknown: 1, reconcile.ObjectForeign: 1,
	}, kinds(report))
	for _, d := range report.Differences {
		switch d.Kind {
		case reconcile.ObjectMissing:
			require.Equal(t, gone, d.Key)
			require.Contains(t, d.Why, notes[7].Manifest)
		case reconcile.ObjectUnknown:
			require.Equal(t, orphan, d.Key)
		case reconcile.ObjectForeign:
			require.Equal(t, "eventlogs/notes.txt", d.Key)
		case reconcile.PartitionLocation:
			require.Equal(t, "b", d.Lake.SourceID)
		}
	}

	dry := s.repair(func(c *RepairConfig) { c.DryRun = true })
	require.Len(t, dry, 7)
	require.Equal(t, report.Counts, s.reconcile().Counts)
	require.ElementsMatch(t, []string{
		"table eventlogs: created", "table eventlogs: refused",
		"partition eventlogs sourceid=a dt=" + today + ": created", "partition eventlogs sourceid=c:d dt=" + today + ": created",
		"partition eventlogs_raw sourceid=b dt=" + today + ": refused",
		"partition eventlogs sourceid=ahead dt=" + today + ": created", "partition eventlogs_raw sourceid=ahead dt=" + today + ": created",
	}, results(s.repair()))
	require.Equal(t, map[reconcile.Kind]int{
		reconcile.PartitionLocation: 1, reconcile.ColumnType: 1, reconcile.ObjectMissing: 1, reconcile.ObjectUnknown: 1, reconcile.ObjectForeign: 1,
	}, kinds(s.reconcile()), "what Glue says otherwise, and what the lake lacks, stays")

	// A database that is gone comes back with its tables and all partitions.
	s.cfg.Database += "_2"
	require.Equal(t, 2, s.reconcile().Counts[reconcile.TableMissing])
	s.repair()
	require.ElementsMatch(t, []string{"a", "ahead", "b", "c:d"}, s.partitions("eventlogs_raw"))
}

// Old manifests may be removed: of what is older than those that are left nothing is
// said, and one that is missing in between is.
func TestReconcileWithoutOldManifests(t *testing.T) {
	s := newSunk(t)
	var notes []flush.Notification
	for seq := range uint64(6) {
		notes = append(notes, s.flush(0, seq+1, "a"))
	}
	s.start()
	s.await("created in Glue", "table", "eventlogs_raw")
	s.publish(notes...)
	s.await("offset committed", "next", s.end())
	s.stop()
	s.remove(notes[0].Manifest)
	s.remove(notes[1].Manifest)
	report := s.reconcile()
	require.True(t, report.OK(), "%v", report.Differences)
	require.Equal(t, 4, report.Flushes)
	require.Positive(t, report.Unjudged)

	s.remove(notes[4].Manifest)
	report = s.reconcile()
	require.Equal(t, map[reconcile.Kind]int{reconcile.ManifestMissing: 1}, kinds(report))
	require.Equal(t, notes[4].Manifest, report.Differences[0].Key)
}

// Flushes that stand in the lake for long and have passed no gate of the database are
// noticed, wherever its catalog is.
func TestReconcileMissesAGate(t *testing.T) {
	s := newSunk(t)
	m := s.manifest(2, 7, "a")
	m.CreatedAt = time.Now().Add(-time.Hour)
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	require.NoError(t, s.store.Put(t.Context(), m.Key, body))
	require.Equal(t, map[reconcile.Kind]int{reconcile.TableMissing: 2, reconcile.GateMissing: 1}, kinds(s.reconcile()))
}
