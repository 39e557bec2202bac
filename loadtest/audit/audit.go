// Package audit counts, from outside, what became of events: it reads Kafka with a plain consumer and the
// lake's objects with DuckDB, and compares. It shares no code with the sink, the catalog or their protocol;
// what it knows of weir is the layout that outside.md promises to everybody's SQL. Its verdict: every record
// of the topic stands once in the table and once in the raw copy or is one dead letter, and every event that
// was acknowledged is in Kafka.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Place is where a record stands in Kafka.
type Place struct {
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%d/%d", p.Partition, p.Offset) }

// Log is what Kafka holds of one topic.
type Log struct {
	IDs map[Place]string // messageId of each record; "" where the value is no JSON object
}

// ReadLog reads a topic from its start to the end it has now (read_committed).
func ReadLog(ctx context.Context, brokers []string, topic string) (Log, error) {
	l := Log{IDs: map[Place]string{}}
	err := readTopic(ctx, brokers, topic, func(r *kgo.Record) {
		var ev struct {
			MessageID string `json:"messageId"`
		}
		_ = json.Unmarshal(r.Value, &ev) // a value that is no event keeps "": the sink must make it a dead letter
		l.IDs[Place{r.Partition, r.Offset}] = ev.MessageID
	})
	return l, err
}

// ReadDeadLetters reads which places of topic `of` stand in the dead-letter topic, and how often.
func ReadDeadLetters(ctx context.Context, brokers []string, topic, of string) (map[Place]int, error) {
	found := map[Place]int{}
	var bad error
	err := readTopic(ctx, brokers, topic, func(r *kgo.Record) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["weir-dlq-topic"] != of {
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

func readTopic(ctx context.Context, brokers []string, topic string, each func(*kgo.Record)) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("open a consumer of %s: %w", topic, err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("list the ends of %s: %w", topic, err)
	}
	left := map[int32]int64{} // partition → end not yet reached
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			each(r)
			if end, waiting := left[r.Partition]; waiting && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return nil
}

// Verdict is what the comparison found. Empty lists mean that every promise held.
type Verdict struct {
	Records, DeadLetters, Acknowledged int

	MissingInTable, DoubledInTable, UnknownInTable []Place // unknown: a row whose place Kafka does not hold
	MissingInRaw, DoubledInRaw                     []string
	LostAcknowledged                               []string // acknowledged, yet not in Kafka
	WrongDeadLetters                               []Place  // an event made a dead letter, or no event that is none

	// DeadLettersRepeated counts records of the dead-letter topic beyond the first of their place: a flush that was
	// published again after a crash. Readers know a dead letter by its offset headers, so this is no fault.
	DeadLettersRepeated int
}

// OK says whether every promise held.
func (v Verdict) OK() bool {
	return len(v.MissingInTable)+len(v.DoubledInTable)+len(v.UnknownInTable)+len(v.MissingInRaw)+
		len(v.DoubledInRaw)+len(v.LostAcknowledged)+len(v.WrongDeadLetters) == 0
}

func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d dead letters (%d produced again), %d acknowledged", v.Records, v.DeadLetters, v.DeadLettersRepeated, v.Acknowledged)
	report(&b, "missing in the table", v.MissingInTable)
	report(&b, "doubled in the table", v.DoubledInTable)
	report(&b, "in the table and not in Kafka", v.UnknownInTable)
	report(&b, "missing in the raw copy", v.MissingInRaw)
	report(&b, "doubled in the raw copy", v.DoubledInRaw)
	report(&b, "acknowledged and not in Kafka", v.LostAcknowledged)
	report(&b, "wrong dead letters", v.WrongDeadLetters)
	return b.String()
}

func report[T any](b *strings.Builder, what string, found []T) {
	const most = 10
	fmt.Fprintf(b, "; %s: %d", what, len(found))
	if len(found) > 0 {
		fmt.Fprintf(b, " %v", found[:min(most, len(found))])
	}
}

// Lake is what the objects hold: how often each place stands in the table, each messageId in the raw copy.
type Lake struct {
	Rows map[Place]int
	Raw  map[string]int
}

// Judge compares. acknowledged are the messageIds that a producer was told are safe. A record whose value is
// no JSON object must be a dead letter; the raw copy is judged by messageId, which the load makes unique.
func Judge(l Log, lake Lake, deadLetters map[Place]int, acknowledged []string) Verdict {
	v := Verdict{Records: len(l.IDs), DeadLetters: len(deadLetters), Acknowledged: len(acknowledged)}
	inKafka := make(map[string]bool, len(l.IDs))
	for place, id := range l.IDs {
		inKafka[id] = true
		v.judgeRecord(place, id, lake, deadLetters[place])
	}
	for place := range lake.Rows {
		if _, known := l.IDs[place]; !known {
			v.UnknownInTable = append(v.UnknownInTable, place)
		}
	}
	for _, id := range acknowledged {
		if !inKafka[id] {
			v.LostAcknowledged = append(v.LostAcknowledged, id)
		}
	}
	return v
}

func (v *Verdict) judgeRecord(place Place, id string, lake Lake, dead int) {
	rows := lake.Rows[place]
	v.DeadLettersRepeated += max(0, dead-1)
	if id == "" {
		if dead == 0 || rows != 0 {
			v.WrongDeadLetters = append(v.WrongDeadLetters, place)
		}
		return
	}
	if dead != 0 {
		v.WrongDeadLetters = append(v.WrongDeadLetters, place)
	}
	switch {
	case rows == 0:
		v.MissingInTable = append(v.MissingInTable, place)
	case rows > 1:
		v.DoubledInTable = append(v.DoubledInTable, place)
	}
	switch raw := lake.Raw[id]; {
	case raw == 0:
		v.MissingInRaw = append(v.MissingInRaw, id)
	case raw > 1:
		v.DoubledInRaw = append(v.DoubledInRaw, id)
	}
}

// Counts returns how many records each partition of the log has, for a test's message.
func (l Log) Counts() string {
	n := map[int32]int{}
	for p := range l.IDs {
		n[p.Partition]++
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d: %d", p, n[p]))
	}
	return strings.Join(parts, ", ")
}
