package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
	"weir/pkg/telemetry"
	"weir/services/catalog/internal/follow"
)

// parts are the embedded servers, one of each for all tests: every test has its own
// database and flush topic.
var parts struct {
	kafka *embedded.Kafka
	s3    *embedded.S3
	glue  *embedded.Glue
}

func TestMain(m *testing.M) { os.Exit(runMain(m)) }

func runMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-catalog-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := embedded.StartS3(embedded.S3Options{Dir: dir, Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	parts.s3 = store
	if parts.kafka, err = embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"}); err != nil {
		panic(err)
	}
	defer parts.kafka.Close()
	if parts.glue, err = embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"}); err != nil {
		panic(err)
	}
	defer parts.glue.Close()
	for name, value := range map[string]string{
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"AWS_ENDPOINT_URL_S3": "http://" + store.Addr(), "AWS_ENDPOINT_URL_GLUE": "http://" + parts.glue.Addr(),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		_ = os.Setenv(name, value)
	}
	return m.Run()
}

// rig is one test's catalog and what it works on.
type rig struct {
	t     *testing.T
	cfg   Config
	kafka *kgo.Client
	glue  *glue.Catalog
	store *s3.Store

	tel     *telemetry.Telemetry
	columns promote.Registry // as it was registered
	lines   logLines
	stop    func()
}

func newRig(t *testing.T) *rig {
	name := strings.NewReplacer("/", "_", "'", "").Replace(strings.ToLower(t.Name())) + strconv.FormatInt(time.Now().UnixNano(), 36) // another one with -count
	r := &rig{t: t, cfg: DefaultConfig(), stop: func() {}}
	r.cfg.Database, r.cfg.FlushTopic, r.cfg.TopicReplication = name, name+".flushes", 1
	r.cfg.Lake = "s3://weir/" + name
	r.cfg.Kafka.Brokers = []string{parts.kafka.Addr()}
	var err error
	r.kafka, err = kgo.NewClient(kgo.SeedBrokers(parts.kafka.Addr()))
	require.NoError(t, err)
	t.Cleanup(r.kafka.Close)
	r.glue, err = glue.Open(t.Context(), glue.Config{}, nil)
	require.NoError(t, err)
	loc, err := lake.ParseLocation(r.cfg.Lake)
	require.NoError(t, err)
	r.store, err = s3.Open(t.Context(), s3.Config{Lake: loc}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { r.stop() })
	return r
}

// logLines is one run's log, a line each. The next run has its own: a Kafka client's last goroutine may still write
// when the run has ended.
type logLines chan map[string]any

func (l logLines) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err == nil {
			l <- m
		}
	}
	return len(p), nil
}

func (r *rig) start() {
	r.lines = make(logLines, 10_000)
	tel, err := telemetry.Start(r.t.Context(), telemetry.Options{Service: "catalog", LogLevel: "debug", Output: r.lines})
	require.NoError(r.t, err)
	r.tel = tel
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, r.cfg, tel) }()
	r.stop = func() {
		cancel()
		require.NoError(r.t, <-done)
		require.NoError(r.t, tel.Shutdown(context.Background()))
		r.stop = func() {}
	}
}

// await reads the log until a line says so.
func (r *rig) await(msg string, attrs ...any) map[string]any {
	r.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	var seen []string
next:
	for {
		select {
		case line := <-r.lines:
			seen = append(seen, fmt.Sprint(line["msg"], line["err"]))
			if line["msg"] != msg {
				continue
			}
			for i := 0; i < len(attrs); i += 2 {
				if fmt.Sprint(line[attrs[i].(string)]) != fmt.Sprint(attrs[i+1]) {
					continue next
				}
			}
			return line
		case <-late.C:
			r.t.Fatalf("no line %q %v; seen: %s", msg, attrs, strings.Join(seen[max(0, len(seen)-20):], "\n"))
		}
	}
}

func (r *rig) publish(notes ...flush.Notification) {
	for _, n := range notes {
		body, err := codec.EncodeCommitted(n)
		require.NoError(r.t, err)
		r.record(body)
	}
}

func (r *rig) record(body []byte) {
	require.NoError(r.t, r.kafka.ProduceSync(r.t.Context(), &kgo.Record{Topic: r.cfg.FlushTopic, Value: body}).FirstErr())
}

var topicID = lake.TopicID{1, 2, 3}

func note(partition int32, seq uint64, sources ...string) flush.Notification {
	o := lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: topicID, Partition: partition}
	n := flush.Notification{
		Group: o.Group, Topic: o.Topic, TopicID: topicID, Partition: partition, Seq: seq, Manifest: o.ManifestKey(seq, "id"),
		Low: int64(seq-1) * 10, NextLow: int64(seq) * 10, CommittedAt: time.Now(),
	}
	if seq > 1 {
		n.Predecessor = o.ManifestKey(seq-1, "id")
	}
	for _, s := range sources {
		for i, t := range tables() {
			p := lake.Partition{Table: t.Name, SourceID: s, Day: lake.DayOf(time.Now())}
			n.Files = append(n.Files, flush.NotifiedFile{
				Table: t.Name, Partition: p, Key: lake.ObjectKey(t, p, fmt.Sprintf("%d-%d", partition, seq), i),
				Rows: 10, Bytes: 100, MinTime: time.Now(), MaxTime: time.Now(),
			})
		}
	}
	return n
}

func (r *rig) partitions(table string) []string {
	list, err := Partitions(r.t.Context(), r.cfg, table)
	require.NoError(r.t, err)
	var sources []string
	for _, p := range list {
		sources = append(sources, p.SourceID)
	}
	return sources
}

func TestEndToEnd(t *testing.T) {
	r := newRig(t)
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	r.publish(note(0, 1, "a:b", "s2"), note(1, 1, "s2"))
	r.record([]byte("no notification"))
	r.publish(note(0, 2, "s3"), note(0, 2, "s3"))
	r.await("a record of the flush topic is no notification; passed over", "offset", 2)
	r.await("offset committed", "next", 5)

	list, err := Tables(t.Context(), r.cfg)
	require.NoError(t, err)
	list = slices.DeleteFunc(list, func(i TableInfo) bool { return i.Name == lake.FilesName }) // it may be there already
	require.Len(t, list, 2)
	require.Equal(t, "eventlogs", list[0].Name)
	require.Equal(t, r.cfg.Lake+"/eventlogs/", list[0].Location)
	require.Equal(t, "1", list[0].SchemaVersion)
	require.Equal(t, ColumnInfo{Name: "dt", Type: "string", Partition: true}, list[0].Columns[len(list[0].Columns)-1])
	require.Equal(t, ColumnInfo{Name: "anonymousid", Type: "string"}, list[0].Columns[0])
	held, err := r.glue.GetTable(t.Context(), r.cfg.Database, "eventlogs_raw")
	require.NoError(t, err)
	require.Equal(t, "org.openx.data.jsonserde.JsonSerDe", held.Format.Serde)
	require.Equal(t, "EXTERNAL_TABLE", held.Type)
	indexes, err := r.glue.PartitionIndexes(t.Context(), r.cfg.Database, "eventlogs")
	require.NoError(t, err)
	require.Equal(t, []glue.PartitionIndex{{Name: "weir", Keys: []string{"sourceid", "dt"}}}, indexes)

	for _, table := range []string{"eventlogs", "eventlogs_raw"} {
		require.ElementsMatch(t, []string{"a:b", "s2", "s3"}, r.partitions(table))
	}
	some, err := Partitions(t.Context(), r.cfg, "eventlogs")
	require.NoError(t, err)
	require.Contains(t, some[0].Location, r.cfg.Lake+"/eventlogs/sourceid=a%3Ab/dt="+lake.DayOf(time.Now()).String()+"/")
	_, err = Partitions(t.Context(), r.cfg, "nothing")
	require.EqualError(t, err, "there is no table "+r.cfg.Database+".nothing")

	body, _, err := r.store.Get(t.Context(), lake.GateKey(r.cfg.Database, topicID))
	require.NoError(t, err)
	gate, err := codec.DecodeGate(body)
	require.NoError(t, err)
	require.Equal(t, uint64(2), gate.Marks[0].Seq)
	require.Equal(t, uint64(1), gate.Marks[1].Seq)

	answer := httptest.NewRecorder()
	r.tel.MetricsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`weir_catalog_delay_seconds_count{weir_table="eventlogs"} 4`,
		`weir_catalog_operations_total{`, `weir_catalog_operation_duration_seconds_bucket{`, `weir_catalog_pending_files{`,
		`weir_catalog_pending_age_seconds{`, `weir_catalog_alarms_total{`, `kind="unreadable"`, `weir_s3_attempt_duration_seconds_bucket{`,
	} {
		require.True(t, strings.Contains(answer.Body.String(), want), "%s in %s", want, grep(answer.Body.String(), "weir_"))
	}
	r.stop()

	// Another one goes on where this one was; and a third that has lost the offset
	// and the cache.
	for _, lose := range []func(){
		func() {},
		func() {
			_, err := kadm.NewClient(r.kafka).DeleteGroups(t.Context(), r.cfg.Group())
			require.NoError(t, err)
		},
	} {
		lose()
		r.start()
		at := r.end()
		r.publish(note(0, gate.Marks[0].Seq+1, "s3", fmt.Sprint("n", at)))
		r.await("offset committed", "next", at+1)
		require.Contains(t, r.partitions("eventlogs"), fmt.Sprint("n", at))
		r.stop()
		mark := gate.Marks[0]
		mark.Seq++
		gate.Marks[0] = mark
	}
}

func (r *rig) end() int64 {
	spans, err := kafka.Spans(r.t.Context(), r.kafka, r.cfg.FlushTopic)
	require.NoError(r.t, err)
	return spans[0].End
}

func TestFaultsOfGlue(t *testing.T) {
	r := newRig(t)
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	flaky := true
	for _, f := range []embedded.GlueFault{
		{Op: "BatchCreatePartition", Count: 4, Code: "ThrottlingException"},
		{Op: "BatchCreatePartition", Count: 1, Drop: true, Land: true},
		{Op: "BatchCreatePartition", Items: func(values []string) string {
			switch {
			case values[0] == "z-bad":
				return "InvalidInputException"
			case values[0] == "flaky" && flaky:
				flaky = false
				return "InternalServiceException"
			}
			return ""
		}},
	} {
		inject := parts.glue.Inject(f)
		defer inject.Remove()
	}
	var many []string
	for i := range 120 {
		many = append(many, fmt.Sprintf("s%03d", i))
	}
	r.publish(note(0, 1, append(many, "z-bad", "flaky")...), note(0, 2, "after"))
	r.await("trying again", "dependency", "glue")
	require.Contains(t, dependency(r, "glue").Error, "throttled")
	r.await("Glue refuses a partition; its files cannot be queried", "source", "z-bad")
	r.await("offset committed", "next", 2)
	require.ElementsMatch(t, append(many, "flaky", "after"), r.partitions("eventlogs"))
	require.Equal(t, "up", dependency(r, "glue").State)
}

func dependency(r *rig, name string) telemetry.DependencyReport {
	for _, d := range r.tel.Health.Report().Dependencies {
		if d.Name == name {
			return d
		}
	}
	r.t.Fatalf("readyz does not list %s", name)
	return telemetry.DependencyReport{}
}

func TestGlueDownIsWaitedFor(t *testing.T) {
	r := newRig(t)
	down := parts.glue.Inject(embedded.GlueFault{Code: "InternalServiceException"})
	defer down.Remove()
	r.start()
	r.await("trying again", "dependency", "glue")
	report := r.tel.Health.Report()
	require.True(t, report.Ready, "a catalog that waits for Glue is not taken out of service")
	require.Equal(t, "down", dependency(r, "glue").State)
	require.Contains(t, dependency(r, "glue").Error, "InternalServiceException")
	r.publish(note(0, 1, "s1"))
	down.Remove()
	r.await("offset committed", "next", 1)
	require.Equal(t, "up", dependency(r, "glue").State)
	require.Equal(t, []string{"s1"}, r.partitions("eventlogs"))
}

// What people wrote into a table is there after an update whose answer is lost.
func TestOthersWorkIsKept(t *testing.T) {
	r := newRig(t)
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	r.stop()
	held, err := r.glue.GetTable(t.Context(), r.cfg.Database, "eventlogs")
	require.NoError(t, err)
	held.Description, held.Parameters["team"] = "ours", "growth"
	held.Columns[0].Comment = "who it was"
	held.Columns[2] = glue.Column{Name: "theirs", Type: "date", Comment: "by hand"} // in place of type
	require.NoError(t, r.glue.UpdateTable(t.Context(), held))

	lost := parts.glue.Inject(embedded.GlueFault{Op: "UpdateTable", Count: 1, Drop: true, Land: true})
	defer lost.Remove()
	r.start()
	r.publish(note(0, 1, "s1"))
	r.await("offset committed", "next", 1)
	require.Equal(t, 1, lost.Hits())
	got, err := r.glue.GetTable(t.Context(), r.cfg.Database, "eventlogs")
	require.NoError(t, err)
	require.Equal(t, "type", got.Columns[len(got.Columns)-1].Name)
	require.Equal(t, held.Columns, got.Columns[:len(got.Columns)-1])
	require.Equal(t, "ours", got.Description)
	require.Equal(t, "growth", got.Parameters["team"])
	require.Equal(t, "2", got.Parameters["weir.schema_version"])
}

func TestAlarm(t *testing.T) {
	r := newRig(t)
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	other := note(0, 2, "x")
	other.Manifest += "x"
	r.publish(note(0, 1, "s1"), note(0, 2, "s1"), other, note(0, 3, "y"), note(1, 1, "s2"))
	line := r.await("partition stopped at the gate: its flushes are not made visible any more")
	require.EqualValues(t, 0, line["partition"])
	r.await("offset committed", "next", 5)
	require.ElementsMatch(t, []string{"s1", "s2"}, r.partitions("eventlogs"))
	require.Equal(t, "down", dependency(r, "gate weir.events/0").State)
	r.stop()
	r.start()
	r.await("partition stopped at the gate: its flushes are not made visible any more", "topic_id", topicID.String())
}

// Two lakes share the flush topic, and their catalogs' databases have the same name, so
// that they commit under one group: neither loses a flush to the other's offset.
func TestLakesShareAFlushTopic(t *testing.T) {
	r := newRig(t)
	ours, theirs := r.cfg.Lake, r.cfg.Lake+"-b"
	in := func(lake string, n flush.Notification) flush.Notification {
		n.Lake = lake
		return n
	}
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	r.publish(in(ours, note(0, 1, "s1")), in(theirs, note(0, 1, "t1")), in(theirs, note(0, 2, "t1")))
	r.await("the flush topic also tells of another lake; its flushes are its own catalog's", "lake", theirs)
	r.await("offset committed", "next", 3)
	r.stop()

	r.publish(in(ours, note(0, 2, "s2")))
	r.cfg.Lake = theirs
	r.start()
	r.await("the flush topic also tells of another lake; its flushes are its own catalog's", "lake", ours)
	r.await("offset committed", "next", 4)
	r.stop()

	r.cfg.Lake = ours
	r.start()
	r.await("offset committed", "next", 4)
	require.ElementsMatch(t, []string{"s1", "s2", "t1"}, r.partitions("eventlogs"))
	body, _, err := r.store.Get(t.Context(), lake.GateKey(r.cfg.Database, topicID))
	require.NoError(t, err)
	gate, err := codec.DecodeGate(body)
	require.NoError(t, err)
	require.Equal(t, uint64(2), gate.Marks[0].Seq)
	require.Empty(t, gate.Marks[0].Alarm)
}

// A gate that cannot be read is named in the log, in /readyz and in a metric, with the
// command that repairs it; the other topics go on.
func TestAGateThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	broken := lake.TopicID{9}
	require.NoError(t, r.store.Put(t.Context(), lake.GateKey(r.cfg.Database, broken), []byte("{")))
	r.start()
	line := r.await("a gate cannot be read: no flush of its topic is made visible any more", "topic_id", broken.String())
	command := "weir catalog repair --lake " + r.cfg.Lake + " --database " + r.cfg.Database
	require.Equal(t, command, line["command"])
	require.Contains(t, line["err"], "the gate's memory cannot be read: "+lake.GateKey(r.cfg.Database, broken))
	theirs := note(0, 1, "x")
	theirs.TopicID = broken
	r.publish(theirs, note(0, 1, "s1"))
	r.await("offset committed", "next", 2)
	require.Equal(t, []string{"s1"}, r.partitions("eventlogs"))
	gate := dependency(r, "gate "+broken.String())
	require.Equal(t, "down", gate.State)
	require.Contains(t, gate.Error, command)
	require.True(t, r.tel.Health.Report().Ready)
	answer := httptest.NewRecorder()
	r.tel.MetricsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, answer.Body.String(), `weir_catalog_alarms_total{kind="memory"} 1`)
}

// How far a gap is can be read in /readyz for as long as it is open.
func TestAGapIsSeen(t *testing.T) {
	tel := telemetry.Discard()
	m, err := newMetrics(tel, DefaultConfig())
	require.NoError(t, err)
	defer m.close()
	m.fact(follow.Closing{Topic: "weir.events", TopicID: topicID, Partition: 3, Progress: flush.Progress{From: 5, To: 900, Back: 60, Passed: 4}})
	list := tel.Health.Report().Dependencies
	require.Equal(t, "gate weir.events/3", list[0].Name)
	require.Equal(t, "flushes were not notified and are found by their manifests: from 5 on, visible up to 4 of 900, manifests read back to 60", list[0].Error)
	m.fact(follow.GapClosed{Topic: "weir.events", TopicID: topicID, Partition: 3, From: 5, To: 899})
	require.Empty(t, tel.Health.Report().Dependencies)
}

func TestKafkaDownIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.cfg.Kafka.Brokers = []string{"127.0.0.1:1"}
	r.start()
	r.await("unable to open connection to broker")
	r.stop() // and a drain does not wait for it
	require.Equal(t, "down", dependency(r, "kafka").State)
}

func TestValidate(t *testing.T) {
	require.Empty(t, DefaultConfig().Validate())
	var faults []string
	for _, err := range (Config{Lake: "x", Database: "A-b", FlushTopic: "a b", MaxViews: maxViews + 1}).Validate() {
		faults = append(faults, strings.SplitN(err.Error(), ":", 2)[0])
	}
	require.Equal(t, []string{"lake", "database", "flush-topic", "topic-replication", "ledger-every", "max-views", "max-view-columns", "kafka-brokers"}, faults)
	require.ErrorContains(t, Run(t.Context(), Config{}, telemetry.Discard()), "settings are wrong")
}

func grep(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) && !strings.Contains(line, "_bucket") {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}
