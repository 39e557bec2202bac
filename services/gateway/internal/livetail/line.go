package livetail

import (
	"strconv"

	"weir/pkg/jsonscan"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/livetail/shown"
)

// line is what becomes an entry once somebody wants it; until then it only points at what the request holds.
type line struct {
	seen    shown.Seen
	outcome *ingest.Outcome
	index   int    // of the event, where it is accepted
	id      []byte // the event's messageId; nil = none
}

func eventLine(o *ingest.Outcome, i int) line {
	e := &o.Events[i]
	return line{seen: shown.Seen{Source: o.Source, Outcome: shown.Accepted, Event: e.Value}, outcome: o, index: i, id: e.MessageID}
}

// rejectionLine shows nothing of the event but its messageId: it stands there as it was sent, before anything that a source
// asks to be left out is.
func rejectionLine(o *ingest.Outcome, i int) line {
	r := &o.Rejected[i]
	return line{seen: shown.Seen{Source: o.Source, Outcome: shown.Rejected, Reason: r.Code}, outcome: o, id: r.MessageID}
}

func refusalLine(o *ingest.Outcome) line {
	return line{seen: shown.Seen{Source: o.Source, Outcome: shown.Refused, Reason: o.Refusal.Code}, outcome: o}
}

// entry copies what may be shown.
func (l *line) entry() shown.Entry {
	b := append([]byte(nil), `{"at":"`...)
	b = l.outcome.At.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	b = appendPair(b, "source", l.seen.Source)
	b = appendPair(b, "outcome", l.seen.Outcome)
	b = appendPair(b, "reason", l.seen.Reason)
	if l.id != nil {
		b = shown.AppendText(append(b, `,"messageId":`...), l.id)
	}
	e := shown.Entry{Seen: l.seen}
	switch l.seen.Outcome {
	case shown.Accepted:
		b = l.appendPlace(b)
		b = append(b, `,"event":`...)
		from := len(b)
		b, whole := shown.Append(b, l.seen.Event, maxShown)
		to := len(b)
		if !whole {
			b = append(b, `,"cut":true`...)
		}
		e.Line = append(b, '}')
		e.Seen.Event = e.Line[from:to:to]
	case shown.Refused:
		b = strconv.AppendInt(append(b, `,"events":`...), int64(len(l.outcome.Events)+len(l.outcome.Rejected)), 10)
		fallthrough
	default:
		e.Line = append(b, '}')
	}
	return e
}

func (l *line) appendPlace(b []byte) []byte {
	partition, offset, known := l.outcome.Place(l.index)
	if !known {
		return b
	}
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(partition), 10)
	return strconv.AppendInt(append(b, `,"offset":`...), offset, 10)
}

func appendPair(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), key...), `":`...)
	return jsonscan.AppendQuoted(b, value)
}
