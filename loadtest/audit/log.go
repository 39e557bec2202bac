package audit

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // DuckDB has it too; it tells lines apart, nobody is kept out by it
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Digest is the MD5 of a line of the raw copy.
type Digest [md5.Size]byte

// parseDigest reads the text that DuckDB writes.
func parseDigest(text string) (Digest, error) {
	var d Digest
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("%q is no digest", text)
	}
	copy(d[:], b)
	return d, nil
}

// Want is what must become of a record.
type Want uint8

// What must become of a record.
const (
	Either     Want = iota // a row or a dead letter, one of them: outside.md leaves it open
	InTable                // certainly an event
	DeadLetter             // certainly none
)

// Record is what a record of Kafka must look like in the lake.
type Record struct {
	ID          string // messageId, "" where the event has none
	Source, Day string // of its lake partition; Day "" = the record does not say
	Digest      Digest // of its line in the raw copy
	Want        Want
}

// Log is what Kafka holds of one topic.
type Log struct {
	Topic   string
	TopicID string          // as lower-case UUID text
	Starts  map[int32]int64 // what Kafka's retention has left of a partition begins here
	Records map[Place]Record
}

var sourceID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// ReadLog reads a topic from its start to the end it has now (read_committed).
func ReadLog(ctx context.Context, brokers []string, topic string) (Log, error) {
	l := Log{Topic: topic, Records: map[Place]Record{}}
	var err error
	l.TopicID, l.Starts, err = readTopic(ctx, brokers, topic, func(r *kgo.Record) {
		l.Records[Place{r.Partition, r.Offset}] = expect(r)
	})
	return l, err
}

// expect says by outside.md alone what must become of a record.
func expect(r *kgo.Record) Record {
	headers := headersOf(r)
	e := Record{Digest: digestOf(r.Value), Source: headers["weir-source"], Day: r.Timestamp.UTC().Format(time.DateOnly)}
	if e.Source == "" { // an empty header is as good as none
		e.Source = string(r.Key)
	}
	if at, ok := headers["weir-received-at"]; ok {
		e.Day = ""
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			e.Day = t.UTC().Format(time.DateOnly)
		}
	}
	var ev map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &ev); err != nil || ev == nil || !sourceID.MatchString(e.Source) {
		e.Want = DeadLetter
		return e
	}
	_ = json.Unmarshal(ev["messageId"], &e.ID) // no string: the row's is not compared
	var kind string
	_, event := ev["event"]
	switch {
	case len(ev["type"]) == 0 && !event:
		e.Want = DeadLetter
	case json.Unmarshal(ev["type"], &kind) == nil && kind != "" && e.Day != "" && utf8.Valid(r.Value):
		e.Want = InTable
	}
	return e
}

// digestOf is that of the record's line: its bytes, a line break as a space, without the space around it, which
// DuckDB leaves out too.
func digestOf(value []byte) Digest {
	line := bytes.ReplaceAll(bytes.ReplaceAll(value, []byte{'\n'}, []byte{' '}), []byte{'\r'}, []byte{' '})
	return md5.Sum(bytes.Trim(line, " \t")) //nolint:gosec // see the import
}

func headersOf(r *kgo.Record) map[string]string {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

// ReadDeadLetters reads which places of a log stand in the dead-letter topic, and how often. Those of a topic of the
// same name that was deleted are left out.
func ReadDeadLetters(ctx context.Context, brokers []string, topic string, of Log) (map[Place]int, error) {
	found := map[Place]int{}
	var bad error
	_, _, err := readTopic(ctx, brokers, topic, func(r *kgo.Record) {
		headers := headersOf(r)
		if headers["weir-dlq-topic"] != of.Topic || headers["weir-dlq-topic-id"] != of.TopicID {
			return
		}
		partition, err1 := strconv.ParseInt(headers["weir-dlq-partition"], 10, 32)
		offset, err2 := strconv.ParseInt(headers["weir-dlq-offset"], 10, 64)
		if err1 != nil || err2 != nil {
			bad = fmt.Errorf("dead letter %d/%d has unreadable offset headers", r.Partition, r.Offset)
			return
		}
		found[Place{int32(partition), offset}]++
	})
	if err == nil {
		err = bad
	}
	return found, err
}

// ReadCommitted reads below which offset a group says that every record is visible. A partition without a commit
// has none in the result; a group that has committed nothing at all is an error, or a mistyped name would excuse
// everything.
func ReadCommitted(ctx context.Context, brokers []string, group, topic string) (map[int32]int64, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("open a client: %w", err)
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("fetch the committed offsets of group %s: %w", group, err)
	}
	committed := map[int32]int64{}
	for _, o := range offsets[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("fetch the committed offset of %s/%d of group %s: %w", topic, o.Partition, group, o.Err)
		}
		committed[o.Partition] = o.At
	}
	if len(committed) == 0 {
		return nil, fmt.Errorf("group %s has committed nothing of %s: is that the sink's group?", group, topic)
	}
	return committed, nil
}

func readTopic(ctx context.Context, brokers []string, topic string, each func(*kgo.Record)) (topicID string, starts map[int32]int64, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return "", nil, fmt.Errorf("open a consumer of %s: %w", topic, err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	if err != nil {
		return "", nil, fmt.Errorf("describe %s: %w", topic, err)
	}
	starts, left, err := unread(ctx, admin, topic)
	if err != nil {
		return "", nil, err
	}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return "", nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, waiting := left[r.Partition]
			if waiting && r.Offset < end && !r.Attrs.IsControl() {
				each(r)
			}
			if waiting && r.Offset+1 >= end { // a control record shows it too, where a transaction is the last
				delete(left, r.Partition)
			}
		})
	}
	return uuid.UUID(topics[topic].ID).String(), starts, nil
}

// unread are the starts that the partitions have now, and the ends of those that hold anything.
func unread(ctx context.Context, admin *kadm.Client, topic string) (starts, left map[int32]int64, err error) {
	first, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the starts of %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the ends of %s: %w", topic, err)
	}
	starts, left = map[int32]int64{}, map[int32]int64{}
	first.Each(func(o kadm.ListedOffset) { starts[o.Partition] = o.Offset })
	ends.Each(func(o kadm.ListedOffset) {
		if starts[o.Partition] < o.Offset {
			left[o.Partition] = o.Offset
		}
	})
	return starts, left, nil
}

// Counts returns how many records each partition of the log has, for a test's message.
func (l Log) Counts() string {
	n := map[int32]int{}
	for p := range l.Records {
		n[p.Partition]++
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d: %d", p, n[p]))
	}
	return strings.Join(parts, ", ")
}
