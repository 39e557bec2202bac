package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/columnar"
	"weir/pkg/embedded"
	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// parts are the embedded servers, one of each for all tests: every test has its own
// topic and lake.
var parts struct {
	kafka *embedded.Kafka
	s3    *embedded.S3
}

func TestMain(m *testing.M) { os.Exit(runMain(m)) }

func runMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-verify-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	parts.s3, err = embedded.StartS3(embedded.S3Options{Dir: dir, Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	if err != nil {
		panic(err)
	}
	defer parts.s3.Close()
	if parts.kafka, err = embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"}); err != nil {
		panic(err)
	}
	defer parts.kafka.Close()
	for name, value := range map[string]string{
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"AWS_ENDPOINT_URL_S3": "http://" + parts.s3.Addr(), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		_ = os.Setenv(name, value)
	}
	return m.Run()
}

// rig is a topic with one partition, and a lake that a sink might have written:
//
//	offsets 0–9    events of source a and b, 5 is no event
//	offset  10     the marker of a transaction; 11–12 its records, aborted; 13 its marker
//	offsets 14–19  events; 20–24 are not flushed
//
// in two flushes: 0–7 without b's, and the rest up to 20. Tests bend it.
type rig struct {
	t       *testing.T
	cfg     Config
	client  *kgo.Client
	store   *s3.Store
	topic   kafka.Topic
	cluster string
	home    string
	owner   lake.Owner
	records map[int64]*kgo.Record
	made    []*flush.Manifest
}

func newRig(t *testing.T) *rig {
	r := newEmptyRig(t)
	r.fill()
	return r
}

// newEmptyRig has no record yet.
func newEmptyRig(t *testing.T) *rig {
	r := &rig{t: t, cfg: DefaultConfig(), records: make(map[int64]*kgo.Record)}
	name := strings.ToLower(strings.NewReplacer("/", "-").Replace(t.Name())) + strconv.FormatInt(time.Now().UnixNano(), 36)
	r.cfg.Topic, r.cfg.Lake = name, "s3://weir/"+name
	r.cfg.Kafka.Brokers = []string{parts.kafka.Addr()}
	var err error
	r.client, err = kgo.NewClient(kgo.SeedBrokers(parts.kafka.Addr()), kgo.TransactionalID(name), kgo.DefaultProduceTopic(name))
	require.NoError(t, err)
	t.Cleanup(r.client.Close)
	loc, err := lake.ParseLocation(r.cfg.Lake)
	require.NoError(t, err)
	r.store, err = s3.Open(t.Context(), s3.Config{Lake: loc}, nil)
	require.NoError(t, err)
	spec := kafka.Layout{Partitions: 1, Replication: 1, Retention: kafka.Forever}.Events(name)
	require.NoError(t, kafka.EnsureTopics(t.Context(), r.client, []kafka.TopicSpec{spec}))
	r.topic, r.cluster, err = kafka.Describe(t.Context(), r.client, name)
	require.NoError(t, err)
	r.home = flush.Home(r.cluster, r.topic.ID, loc.Bucket, loc.Prefix)
	r.owner = lake.Owner{Group: r.cfg.Group, Topic: name, TopicID: r.topic.ID}
	return r
}

// own makes the topic the group's in this lake, as a sink does before all else.
func (r *rig) own() {
	body := fmt.Sprintf(`{"format":1,"group":%q,"topic":%q,"lake":%q,"partitions":1}`, r.owner.Group, r.owner.Topic, r.cfg.Lake)
	r.put(lake.OwnersKey(r.owner.TopicID), []byte(body))
}

func (r *rig) fill() {
	r.produce(kgo.TryCommit, 0, 10)
	r.produce(kgo.TryAbort, 11, 13)
	r.produce(kgo.TryCommit, 14, 25)
}

// produce writes the records of the offsets in a transaction, whose marker takes the
// offset after them.
func (r *rig) produce(end kgo.TransactionEndTry, first, last int64) {
	require.NoError(r.t, r.client.BeginTransaction())
	for o := first; o < last; o++ {
		rec := &kgo.Record{Key: []byte(source(o)), Value: []byte(fmt.Sprintf("{\"type\":\"track\",\n \"event\":\"e%d\",\r\n\"messageId\":\"m\xc3\xa9%d\"}", o, o))}
		if o == 5 {
			rec.Value = []byte("{no event")
		}
		got, err := r.client.ProduceSync(r.t.Context(), rec).First()
		require.NoError(r.t, err)
		require.Equal(r.t, o, got.Offset)
		r.records[o] = got
	}
	require.NoError(r.t, r.client.EndTransaction(r.t.Context(), end))
}

func source(offset int64) string { return []string{"a", "b"}[offset%2] }

// ofSource are the offsets of a source, those that hold an event.
func ofSource(s string, first, last int64) *flush.Offsets {
	set := new(flush.Offsets)
	for o := first; o <= last; o++ {
		if source(o) == s && o != 5 && (o < 10 || o > 13) {
			set.Add(o)
		}
	}
	return set
}

// sink writes the lake as a sink would.
func (r *rig) sink() {
	r.own()
	r.flush(0, 1, []file{{"a", ofSource("a", 0, 7)}}, nil)
	r.flush(1, 20, []file{{"a", ofSource("a", 8, 19)}, {"b", ofSource("b", 0, 19)}}, []flush.DeadLetter{{Offset: 5, Reason: "malformed"}})
	r.commit(flush.Done)
}

type file struct {
	source  string
	offsets *flush.Offsets
}

// flush puts the files and the manifest of the next flush.
func (r *rig) flush(low, next int64, files []file, dead []flush.DeadLetter) *flush.Manifest {
	seq := uint64(len(r.made) + 1)
	loc := r.store.Location()
	m := &flush.Manifest{
		Format: flush.Format, ClusterID: r.cluster, Group: r.owner.Group, Topic: r.owner.Topic, TopicID: r.owner.TopicID,
		Seq: seq, FlushID: fmt.Sprintf("f%d", seq), MemberID: "m", Bucket: loc.Bucket, LeaderEpoch: -1, Trigger: "age",
		Low: low, NextLow: next, CreatedAt: time.Now(), DeadLetters: dead,
	}
	m.Key = r.owner.ManifestKey(seq, m.FlushID)
	covered := map[string]*flush.Offsets{lake.EventLogsName: {}, lake.EventLogsRawName: {}}
	if seq > 1 {
		before := r.made[seq-2]
		m.Predecessor = before.Key
		for table, set := range before.Ahead {
			covered[table].Or(set)
		}
	}
	for i, f := range files {
		for _, table := range tables() {
			body := r.parquet(f.offsets)
			if table.Format == lake.JSONLines {
				body = r.raw(f.offsets)
			}
			p := lake.Partition{Table: table.Name, SourceID: f.source, Day: lake.DayOf(time.Now())}
			key := lake.ObjectKey(table, p, m.FlushID, i)
			require.NoError(r.t, r.store.PutIfAbsent(r.t.Context(), key, body))
			m.Files = append(m.Files, flush.File{
				Table: table.Name, Partition: p, Key: key, UploadID: "u", Rows: f.offsets.Len(), Bytes: int64(len(body)),
				Offsets: f.offsets, MinTime: time.Now(), MaxTime: time.Now(),
			})
			covered[table.Name].Or(f.offsets)
		}
	}
	m.Ahead = make(map[string]*flush.Offsets)
	for table, set := range covered {
		for _, d := range dead {
			set.Add(d.Offset)
		}
		if ahead := set.From(next); !ahead.Empty() {
			m.Ahead[table] = ahead
		}
	}
	r.made = append(r.made, m)
	r.manifest(m)
	return m
}

// readAgain is the flush of an operator who puts the partition back.
func (r *rig) readAgain(low, from int64) {
	m := r.flush(low, from, nil, nil)
	m.Format, m.Trigger, m.Again, m.Ahead = flush.RecoveryFormat, flush.TriggerRecovery, new(flush.Offsets), nil
	m.Again.AddRange(from, low)
	r.manifest(m)
}

func (r *rig) manifest(m *flush.Manifest) {
	body, err := codec.EncodeManifest(m)
	require.NoError(r.t, err)
	require.NoError(r.t, r.store.Put(r.t.Context(), m.Key, body))
}

// commit says that the last flush is decided, or published.
func (r *rig) commit(phase flush.Phase) {
	last := r.made[len(r.made)-1]
	s := flush.State{Low: last.NextLow, LeaderEpoch: -1, Seq: last.Seq, Phase: phase, Manifest: last.Key, Ahead: len(last.Ahead) > 0, Home: r.home}
	if phase == flush.Intent {
		s.Low = last.Low
	}
	r.commitOffset(s.Low, s.Metadata())
}

func (r *rig) commitOffset(at int64, metadata string) {
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: r.cfg.Topic, At: at, LeaderEpoch: -1, Metadata: metadata})
	resp, err := kadm.NewClient(r.client).CommitOffsets(r.t.Context(), r.cfg.Group, o)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Error())
}

func (r *rig) parquet(offsets *flush.Offsets) []byte {
	var out bytes.Buffer
	layout, err := columnar.NewLayout(lake.EventLogs().Schema, columnar.Options{})
	require.NoError(r.t, err)
	f := layout.NewFile(&out)
	var rec event.Record
	var view event.View
	for o := range offsets.All() {
		kafka.FromKgo(&rec, r.records[o], r.topic.ID)
		require.Empty(r.t, view.Decode(&rec))
		require.NoError(r.t, f.Append(&rec, &view))
	}
	require.NoError(r.t, f.Close())
	return out.Bytes()
}

// raw compresses each line by itself: a reader must go over the end of a frame.
func (r *rig) raw(offsets *flush.Offsets) []byte {
	var out bytes.Buffer
	for o := range offsets.All() {
		z, err := zstd.NewWriter(&out)
		require.NoError(r.t, err)
		_, err = z.Write([]byte(strings.NewReplacer("\n", " ", "\r", " ").Replace(string(r.records[o].Value)) + "\n"))
		require.NoError(r.t, err)
		require.NoError(r.t, z.Close())
	}
	return out.Bytes()
}

// put replaces an object behind the sink's back.
func (r *rig) put(key string, body []byte) {
	require.NoError(r.t, r.store.Put(r.t.Context(), key, body))
}

// remove takes an object away by the file system: weir itself has no way to.
func (r *rig) remove(key string) {
	path := (&rowCheck{location: r.store.Location(), local: parts.s3.Root()}).localPath(key)
	require.NoError(r.t, os.Remove(path))
}

func (r *rig) key(manifest, n int) string { return r.made[manifest].Files[n].Key }

func (r *rig) run() *Report {
	r.t.Helper()
	report, err := Run(r.t.Context(), r.cfg)
	require.NoError(r.t, err)
	var text strings.Builder
	require.NoError(r.t, report.WriteText(&text))
	for _, f := range report.Findings {
		require.Contains(r.t, text.String(), f.Detail)
	}
	_, err = json.Marshal(report)
	require.NoError(r.t, err)
	return report
}

func sorted(lines []string) []string { slices.Sort(lines); return lines }

// kinds are what a report found, a line each.
func kinds(list []Finding) []string {
	var lines []string
	for _, f := range list {
		line := string(f.Kind)
		if f.Table != "" {
			line += " " + f.Table
		}
		if len(f.Offsets) > 0 {
			line += " " + f.Offsets.String()
		}
		lines = append(lines, line)
	}
	return lines
}
