package audit

import (
	"crypto/md5" //nolint:gosec // see log.go
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
)

func record(key, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Key: []byte(key), Value: []byte(value), Timestamp: time.Date(2026, 11, 23, 23, 59, 0, 0, time.FixedZone("", -3600))}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func TestExpect(t *testing.T) {
	const event = `{"type":"track","messageId":"m"}`
	for name, c := range map[string]struct {
		record *kgo.Record
		want   Record
	}{
		"an event":           {record("s", event), Record{ID: "m", Source: "s", Day: "2026-11-24", Want: InTable}},
		"the header's word":  {record("s", event, "weir-source", "h", "weir-received-at", "2026-01-02T00:59:59.999+01:00"), Record{ID: "m", Source: "h", Day: "2026-01-01", Want: InTable}},
		"a strange header":   {record("s", event, "weir-received-at", "now"), Record{ID: "m", Source: "s", Want: Either}},
		"no id":              {record("s", `{"type":"track"}`), Record{Source: "s", Day: "2026-11-24", Want: InTable}},
		"an id of no text":   {record("s", `{"type":"track","messageId":7}`), Record{Source: "s", Day: "2026-11-24", Want: InTable}},
		"no type, an event":  {record("s", `{"event":"e"}`), Record{Source: "s", Day: "2026-11-24", Want: Either}},
		"a type of no text":  {record("s", `{"type":7}`), Record{Source: "s", Day: "2026-11-24", Want: Either}},
		"no UTF-8":           {record("s", "{\"type\":\"a\xff\"}"), Record{Source: "s", Day: "2026-11-24", Want: Either}},
		"neither":            {record("s", `{"messageId":"m"}`), Record{ID: "m", Source: "s", Day: "2026-11-24", Want: DeadLetter}},
		"no JSON":            {record("s", `{`), Record{Source: "s", Day: "2026-11-24", Want: DeadLetter}},
		"no object":          {record("s", `[]`), Record{Source: "s", Day: "2026-11-24", Want: DeadLetter}},
		"null":               {record("s", `null`), Record{Source: "s", Day: "2026-11-24", Want: DeadLetter}},
		"no source":          {record("", event), Record{Day: "2026-11-24", Want: DeadLetter}},
		"a source's slash":   {record("a/b", event), Record{Source: "a/b", Day: "2026-11-24", Want: DeadLetter}},
		"a long source":      {record(strings.Repeat("s", 129), event), Record{Source: strings.Repeat("s", 129), Day: "2026-11-24", Want: DeadLetter}},
		"an empty header":    {record("s", event, "weir-source", ""), Record{ID: "m", Source: "s", Day: "2026-11-24", Want: InTable}},
		"the header's slash": {record("s", event, "weir-source", "a/b"), Record{Source: "a/b", Day: "2026-11-24", Want: DeadLetter}},
	} {
		got := expect(c.record)
		got.Digest = Digest{}
		require.Equal(t, c.want, got, name)
	}
}

func TestDigest(t *testing.T) {
	sum := md5.Sum([]byte(`{"a": 1}`)) //nolint:gosec // see log.go
	for _, same := range []string{`{"a": 1}`, "{\"a\":\n1}", "{\"a\":\r1}", " {\"a\": 1} \r\n"} {
		require.Equal(t, Digest(sum), digestOf([]byte(same)), "%q", same)
	}
	require.NotEqual(t, Digest(sum), digestOf([]byte(`{"a":1}`)))
	require.NotEqual(t, digestOf([]byte("\xfe")), digestOf([]byte("\xff")))
	d, err := parseDigest(hex.EncodeToString(sum[:]))
	require.NoError(t, err)
	require.Equal(t, Digest(sum), d)
	for _, bad := range []string{"", "00", strings.Repeat("x", 32)} {
		_, err := parseDigest(bad)
		require.Error(t, err, bad)
	}
}

// What Kafka holds is read to the end that it has, past what retention removed, aborted records and the marker of a
// transaction that is the last in its partition.
func TestReadingKafka(t *testing.T) {
	dir, err := os.MkdirTemp("", "audit-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	brokers := []string{server.Addr()}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	admin := kadm.NewClient(cl)
	made, err := admin.CreateTopics(t.Context(), 3, 1, nil, "events", "letters")
	require.NoError(t, err)
	require.NoError(t, made.Error())
	produce := func(end kgo.TransactionEndTry, records ...*kgo.Record) {
		require.NoError(t, cl.BeginTransaction())
		require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
		require.NoError(t, cl.EndTransaction(t.Context(), end))
	}
	in := func(topic string, partition int32, r *kgo.Record) *kgo.Record {
		r.Topic, r.Partition = topic, partition
		return r
	}
	event := func(id string) *kgo.Record { return record("s", `{"type":"track","messageId":"`+id+`"}`) }
	produce(kgo.TryCommit, in("events", 0, event("old")), in("events", 0, event("a")))   // 0, 1; marker 2
	produce(kgo.TryAbort, in("events", 0, event("aborted")))                             // 3; marker 4
	produce(kgo.TryCommit, in("events", 1, event("b")), in("events", 1, record("", ""))) // 0, 1; marker 2
	var cut kadm.Offsets
	cut.Add(kadm.Offset{Topic: "events", At: 1})
	removed, err := admin.DeleteRecords(t.Context(), cut)
	require.NoError(t, err)
	require.NoError(t, removed.Error())

	log, err := ReadLog(t.Context(), brokers, "events")
	require.NoError(t, err)
	require.Equal(t, []Place{{0, 1}, {1, 0}, {1, 1}}, places(log.Records))
	require.Equal(t, map[int32]int64{0: 1, 1: 0, 2: 0}, log.Starts)
	require.Equal(t, "a", log.Records[Place{0, 1}].ID)
	require.Equal(t, "0: 1, 1: 2", log.Counts())
	require.Len(t, log.TopicID, 36)

	letter := func(topic, id, offset string) *kgo.Record {
		return in("letters", 0, record("", "", "weir-dlq-topic", topic, "weir-dlq-topic-id", id, "weir-dlq-partition", "1", "weir-dlq-offset", offset))
	}
	produce(kgo.TryCommit, letter("events", log.TopicID, "1"), letter("events", log.TopicID, "1"),
		letter("other", log.TopicID, "1"), letter("events", uuid.NewString(), "1"))
	dead, err := ReadDeadLetters(t.Context(), brokers, "letters", log)
	require.NoError(t, err)
	require.Equal(t, map[Place]int{{1, 1}: 2}, dead)
	produce(kgo.TryCommit, letter("events", log.TopicID, "x"))
	_, err = ReadDeadLetters(t.Context(), brokers, "letters", log)
	require.ErrorContains(t, err, "unreadable")

	var commit kadm.Offsets
	commit.Add(kadm.Offset{Topic: "events", Partition: 1, At: 7})
	require.NoError(t, admin.CommitAllOffsets(t.Context(), "g", commit))
	committed, err := ReadCommitted(t.Context(), brokers, "g", "events")
	require.NoError(t, err)
	require.Equal(t, map[int32]int64{1: 7}, committed)
	for group, topic := range map[string]string{"nobody": "events", "g": "letters"} {
		_, err = ReadCommitted(t.Context(), brokers, group, topic)
		require.ErrorContains(t, err, "group "+group, "a mistyped name excuses nothing")
	}

	_, err = ReadLog(t.Context(), brokers, "nothing")
	require.ErrorContains(t, err, "nothing")
}
