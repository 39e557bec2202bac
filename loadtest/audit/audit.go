// Package audit counts, from outside, what became of events: it reads Kafka with a plain consumer and the
// lake's objects with DuckDB, and compares. It shares no code with the sink, the catalog or their protocol,
// nor any other of weir's packages (imports_test.go): what it knows is what outside.md promises to everybody.
// Its verdict: every record of the topic stands once in the table and once, byte by byte, in the raw copy, in
// the lake partition of its source and day, or is one dead letter; every event that was acknowledged is in
// Kafka once; and what the group has committed is visible.
package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Place is where a record stands in Kafka.
type Place struct {
	Partition int32
	Offset    int64
}

func (p Place) String() string { return fmt.Sprintf("%d/%d", p.Partition, p.Offset) }

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Partition, o.Partition), cmp.Compare(p.Offset, o.Offset))
}

// Sent is what producers know of the messageIds that they sent, each once.
type Sent struct {
	Acknowledged  []string // told to be safe: once in Kafka
	Indeterminate []string // not answered: in Kafka once or not at all
	Rejected      []string // told to be refused: not in Kafka
}

// Row is what the table says of a place.
type Row struct {
	Count             int
	ID                string // messageId
	SourceID, Day     string // of the lake partition that it stands in
	otherID, otherDir bool   // its rows do not agree
}

// and adds rows of the same place.
func (r Row) and(o Row) Row {
	if r.Count == 0 {
		return o
	}
	r.otherID = r.otherID || r.ID != o.ID
	r.otherDir = r.otherDir || r.SourceID != o.SourceID || r.Day != o.Day
	r.Count += o.Count
	return r
}

// Lake is what the objects hold.
type Lake struct {
	Rows   map[Place]Row
	Others int            // rows of other topics
	Raw    map[Digest]int // lines of the raw copy, of all topics
}

// Verdict is what the comparison found. Empty lists mean that every promise held.
type Verdict struct {
	Records, Rows, DeadLetters, Acknowledged int

	MissingInTable, DoubledInTable, UnknownInTable []Place // unknown: a row whose place Kafka does not hold
	WrongInTable                                   []Place // a row with another messageId than its record, or in the lake partition of another source or day
	MissingInRaw, DoubledInRaw                     []Place // of records with the very same bytes any may be named
	UnknownInRaw                                   int     // lines that are no record's bytes; not judged where other topics have rows, or the table has any of Beyond
	WrongDeadLetters                               []Place // an event made a dead letter, no event that is none, or one that is both
	LostAcknowledged                               []string
	DoubledInKafka                                 []string // sent once, in Kafka twice
	RejectedInKafka                                []string

	// Beyond counts places of the table that Kafka's retention has removed: nobody can tell any more.
	Beyond int
	// NotYet counts records at the committed offset and above that are nowhere yet; see State.Committed.
	NotYet int
	// DeadLettersRepeated counts records of the dead-letter topic beyond the first of their place: a flush that was
	// published again after a crash. Readers know a dead letter by its offset headers, so this is no fault.
	DeadLettersRepeated int
}

// OK says whether every promise held.
func (v Verdict) OK() bool {
	return len(v.MissingInTable)+len(v.DoubledInTable)+len(v.UnknownInTable)+len(v.WrongInTable)+
		len(v.MissingInRaw)+len(v.DoubledInRaw)+v.UnknownInRaw+len(v.WrongDeadLetters)+
		len(v.LostAcknowledged)+len(v.DoubledInKafka)+len(v.RejectedInKafka) == 0
}

func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records, %d rows, %d dead letters (%d produced again), %d acknowledged, %d not visible yet, %d older than Kafka",
		v.Records, v.Rows, v.DeadLetters, v.DeadLettersRepeated, v.Acknowledged, v.NotYet, v.Beyond)
	report(&b, "missing in the table", v.MissingInTable)
	report(&b, "doubled in the table", v.DoubledInTable)
	report(&b, "in the table and not in Kafka", v.UnknownInTable)
	report(&b, "wrong in the table", v.WrongInTable)
	report(&b, "missing in the raw copy", v.MissingInRaw)
	report(&b, "doubled in the raw copy", v.DoubledInRaw)
	fmt.Fprintf(&b, "; in the raw copy and not in Kafka: %d", v.UnknownInRaw)
	report(&b, "wrong dead letters", v.WrongDeadLetters)
	report(&b, "acknowledged and not in Kafka", v.LostAcknowledged)
	report(&b, "sent once and in Kafka twice", v.DoubledInKafka)
	report(&b, "rejected and in Kafka", v.RejectedInKafka)
	return b.String()
}

func report[T any](b *strings.Builder, what string, found []T) {
	const most = 10
	fmt.Fprintf(b, "; %s: %d", what, len(found))
	if len(found) > 0 {
		fmt.Fprintf(b, " %v", found[:min(most, len(found))])
	}
}

// State is everything that is compared. Of a system at work, Committed is read first, then the lake and the dead
// letters, then the log: each knows of everything that the one before it had.
type State struct {
	Log         Log
	Lake        Lake
	DeadLetters map[Place]int   // how often a place stands in the dead-letter topic
	Committed   map[int32]int64 // records from here on may not be visible yet; nil = all must be
	Sent        Sent
}

// Judge compares.
func Judge(s State) Verdict {
	v := Verdict{Records: len(s.Log.Records), DeadLetters: len(s.DeadLetters), Acknowledged: len(s.Sent.Acknowledged)}
	for _, place := range places(s.Log.Records) {
		v.judgeRecord(place, s.Log.Records[place], s)
	}
	for _, place := range places(s.Lake.Rows) {
		v.Rows += s.Lake.Rows[place].Count
		_, known := s.Log.Records[place]
		switch {
		case !known && place.Offset < s.Log.Starts[place.Partition]:
			v.Beyond++
		case !known:
			v.UnknownInTable = append(v.UnknownInTable, place)
		}
	}
	v.judgeRaw(s)
	v.judgeSent(s)
	return v
}

// places are a map's keys in the order of Kafka.
func places[V any](m map[Place]V) []Place {
	return slices.SortedFunc(maps.Keys(m), Place.compare)
}

// notYet tells whether nobody has said yet that the record is visible.
func (s State) notYet(p Place) bool {
	if s.Committed == nil {
		return false
	}
	return p.Offset >= s.Committed[p.Partition]
}

func (v *Verdict) judgeRecord(place Place, r Record, s State) {
	row, dead := s.Lake.Rows[place], s.DeadLetters[place]
	v.DeadLettersRepeated += max(0, dead-1)
	switch {
	case row.Count == 0 && dead == 0 && s.notYet(place):
		v.NotYet++
	case dead > 0 && (row.Count > 0 || r.Want == InTable), dead == 0 && r.Want == DeadLetter:
		v.WrongDeadLetters = append(v.WrongDeadLetters, place)
	case dead == 0 && row.Count == 0:
		v.MissingInTable = append(v.MissingInTable, place)
	}
	if row.Count > 1 {
		v.DoubledInTable = append(v.DoubledInTable, place)
	}
	wrong := row.otherID || row.otherDir || r.ID != "" && row.ID != r.ID || row.SourceID != r.Source || r.Day != "" && row.Day != r.Day
	if row.Count > 0 && wrong {
		v.WrongInTable = append(v.WrongInTable, place)
	}
}

// judgeRaw counts by bytes: as many lines as records, dead letters aside. What is not visible yet may be in the raw
// copy, which becomes visible object by object.
func (v *Verdict) judgeRaw(s State) {
	must, may := make(map[Digest][]Place), make(map[Digest]int)
	for _, place := range places(s.Log.Records) {
		r := s.Log.Records[place]
		switch {
		case s.notYet(place):
			may[r.Digest]++
		case s.DeadLetters[place] == 0 && r.Want != DeadLetter:
			must[r.Digest] = append(must[r.Digest], place)
		}
	}
	for digest, all := range must {
		switch lines := s.Lake.Raw[digest]; {
		case lines < len(all):
			v.MissingInRaw = append(v.MissingInRaw, all[lines:]...)
		case lines > len(all)+may[digest]:
			v.DoubledInRaw = append(v.DoubledInRaw, all[0])
		}
	}
	for digest, lines := range s.Lake.Raw {
		if len(must[digest]) == 0 && lines > may[digest] && s.Lake.Others == 0 && v.Beyond == 0 {
			v.UnknownInRaw += lines - may[digest]
		}
	}
	slices.SortFunc(v.MissingInRaw, Place.compare)
	slices.SortFunc(v.DoubledInRaw, Place.compare)
}

func (v *Verdict) judgeSent(s State) {
	inKafka := make(map[string]int, len(s.Log.Records))
	for _, r := range s.Log.Records {
		inKafka[r.ID]++
	}
	for _, id := range s.Sent.Acknowledged {
		if inKafka[id] == 0 {
			v.LostAcknowledged = append(v.LostAcknowledged, id)
		}
	}
	for _, id := range slices.Concat(s.Sent.Acknowledged, s.Sent.Indeterminate) {
		if inKafka[id] > 1 {
			v.DoubledInKafka = append(v.DoubledInKafka, id)
		}
	}
	for _, id := range s.Sent.Rejected {
		if inKafka[id] > 0 {
			v.RejectedInKafka = append(v.RejectedInKafka, id)
		}
	}
}
