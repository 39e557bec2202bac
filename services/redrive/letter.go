package redrive

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Kind tells who put the records of a topic aside.
type Kind uint8

// DeadLetters are the sink's: records that are no events. Rejected are the gateway's:
// events that its rules refuse.
const (
	DeadLetters Kind = iota
	Rejected
)

// setting is the name of the setting that names the topic.
func (k Kind) setting() string {
	if k == Rejected {
		return "rejected-topic"
	}
	return "dead-letter-topic"
}

// Origin is what a record is known by, however often it was put aside: for a dead
// letter where the record stood that became one, for a rejected event where it stands.
type Origin struct {
	TopicID   lake.TopicID
	Partition int32
	Offset    int64
}

func (o Origin) String() string {
	return o.TopicID.String() + "/" + strconv.Itoa(int(o.Partition)) + "/" + strconv.FormatInt(o.Offset, 10)
}

// parseOrigin is the inverse of String.
func parseOrigin(text string) (Origin, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return Origin{}, fmt.Errorf("%q is no origin", text)
	}
	id, err := lake.ParseTopicID(parts[0])
	if err != nil {
		return Origin{}, err
	}
	partition, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return Origin{}, err
	}
	offset, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return Origin{}, err
	}
	o := Origin{TopicID: id, Partition: int32(partition), Offset: offset}
	if o.Offset < 0 || o.Partition < 0 || o.String() != text {
		return Origin{}, fmt.Errorf("%q is no origin", text)
	}
	return o, nil
}

// Letter is one record that was put aside, and the record that it stands for.
type Letter struct {
	Partition int32 // where it stands in its own topic
	Offset    int64
	At        time.Time // when it was put aside

	Origin   Origin
	Topic    string // of Origin
	Reason   string
	Source   string // "" = none is named
	Attempts int    // how often it was redriven before it came here again
	Bytes    int    // of its value

	Whole  int          // bytes of the value before it was cut short; 0 = it was not
	Record event.Record // as it was first: key, value, headers, timestamp; List leaves it out
	Err    error        // it is none of ours: only where it stands and its record are set
}

// read tells what a record of the topic is.
func (k Kind) read(r *event.Record) Letter {
	l := Letter{Partition: r.Partition, Offset: r.Offset, At: r.Timestamp, Bytes: len(r.Value), Record: *r}
	if k == Rejected {
		l.readRejected(r)
	} else {
		l.readDeadLetter(r)
	}
	if l.Err == nil {
		l.Source = sourceOf(&l.Record)
		l.Attempts = count(&l.Record, event.HeaderRedriveCount)
	}
	return l
}

func (l *Letter) readDeadLetter(r *event.Record) {
	original, reason, err := event.Original(r)
	if err == nil && (original.Partition < 0 || original.Offset < 0) {
		err = fmt.Errorf("read the headers of a dead letter: %s/%d offset %d is no place", original.Topic, original.Partition, original.Offset)
	}
	if err != nil {
		l.Err = err
		return
	}
	l.Origin = Origin{TopicID: original.TopicID, Partition: original.Partition, Offset: original.Offset}
	l.Topic, l.Reason, l.Record = original.Topic, string(reason), original
}

func (l *Letter) readRejected(r *event.Record) {
	reason, there := header(r, event.HeaderRejectedReason)
	if !there {
		l.Err = fmt.Errorf("read the headers of a rejected event: no header %s", event.HeaderRejectedReason)
		return
	}
	l.Origin = Origin{TopicID: r.TopicID, Partition: r.Partition, Offset: r.Offset}
	l.Topic, l.Reason = r.Topic, string(reason)
	l.Whole = count(r, event.HeaderRejectedLength)
}

// sourceOf is the source that the record names, as the sink reads it, valid or not.
func sourceOf(r *event.Record) string {
	if source, _ := header(r, event.HeaderSource); len(source) > 0 {
		return string(source)
	}
	return string(r.Key)
}

// header is the last value under key, which is the one that counts.
func header(r *event.Record, key string) (value []byte, there bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// count is the number under key. What a producer wrote there that is none is no count.
func count(r *event.Record, key string) int {
	value, _ := header(r, key)
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// State is what became of a letter so far.
type State string

// The states.
const (
	Waiting     State = "waiting"     // it can be redriven
	Redriven    State = "redriven"    // it came back: the ledger has it
	Repeated    State = "repeated"    // the same record stands before it already
	Quarantined State = "quarantined" // it came back max-attempts times, and was refused each time
	Unreadable  State = "unreadable"  // it is none of ours
)

// selects reports whether the letter is one of those that are asked for.
func (c *Look) selects(l *Letter, now time.Time) bool {
	switch {
	case c.Since.Set() && l.At.Before(c.Since.Time(now)):
		return false
	case c.Until.Set() && !l.At.Before(c.Until.Time(now)):
		return false
	}
	return oneOf(c.Reason, l.Reason) && oneOf(c.Source, l.Source)
}

func oneOf(wanted []string, text string) bool {
	for _, w := range wanted {
		if w == text {
			return true
		}
	}
	return len(wanted) == 0
}
