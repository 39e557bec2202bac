package record

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// ID names one event of a producer: it is the messageId.
type ID struct {
	Producer string
	Seq      int64
}

// Text is the id inside the run.
func (i ID) Text(run string) string {
	return run + "." + i.Producer + "." + strconv.FormatInt(i.Seq, 10)
}

// ParseID undoes Text; ok is false for an id of another run.
func ParseID(run, text string) (id ID, ok bool) {
	rest, ours := strings.CutPrefix(text, run+".")
	producer, seq, found := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(seq, 10, 64)
	return ID{Producer: producer, Seq: n}, ours && found && err == nil
}

// LetterText is the value of a record that is no event: it has neither a type nor an event's name.
func LetterText(run string, id ID) []byte {
	return fmt.Appendf(nil, `{"messageId":%q,"nothing":true}`, id.Text(run))
}

// Mark is what every event carries under the top-level key "chaos": the auditor finds it in Kafka, in the raw copy
// and in the table's column rescued.
type Mark struct {
	Producer string `json:"producer"`
	Seq      int64  `json:"seq"`
	Sched    int64  `json:"sched"` // Unix ms
	Send     int64  `json:"send"`  // Unix ms
	Sum      string `json:"sum"`
}

// Sum ties the mark to the event that carries it: a row whose columns come from two events does not add up.
func Sum(messageID, typ, anonymousID string, sched int64) string {
	text := messageID + "|" + typ + "|" + anonymousID + "|" + strconv.FormatInt(sched, 10)
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}
