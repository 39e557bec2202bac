package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// table is checks B and C: the table's rows are the log's events, each once, and say what the records say.
func (a *auditor) table() error {
	for _, o := range a.w.bucket.Objects() {
		key, _ := a.w.location().Rel(o.Key)
		if !strings.HasPrefix(key, "eventlogs/") || a.w.era.before[o.Key] {
			continue
		}
		rows, err := readRows(key, o.Body)
		if err != nil {
			return err
		}
		for _, r := range rows {
			a.rows[r.place] = append(a.rows[r.place], r)
			if rec := a.records[r.place]; rec == nil {
				a.w.violation("row %s of %s stands for no record", r.place, key)
			} else if err := sameAs(r, rec); err != nil {
				a.w.violation("row %s of %s: %v", r.place, key, err)
			}
		}
	}
	for p := range a.records {
		want := 1
		if a.isLetter(p) {
			want = 0
		}
		if got := len(a.rows[p]); got != want {
			a.w.violation("record %s (%s) has %d rows instead of %d: %v", p, idOf(a.records[p]), got, want, objectsOf(a.rows[p]))
		}
		if a.letters[p] == (want == 1) {
			a.w.violation("record %s: dead letter %v, must be %v", p, a.letters[p], want == 0)
		}
	}
	return nil
}

func objectsOf(rows []row) (list []string) {
	for _, r := range rows {
		list = append(list, r.object)
	}
	return list
}

// sameAs compares a row with its record, by another JSON parser than weir's.
func sameAs(r row, rec *kgo.Record) error {
	var ev struct {
		MessageID, Type, UserID, Event string
		Properties                     map[string]json.RawMessage
	}
	if err := json.Unmarshal(rec.Value, &ev); err != nil {
		return fmt.Errorf("its record is no event: %w", err)
	}
	for column, want := range map[string]string{"messageid": ev.MessageID, "type": ev.Type, "userid": ev.UserID, "event": ev.Event} {
		if r.text[column] != want {
			return fmt.Errorf("column %s is %q instead of %q", column, r.text[column], want)
		}
	}
	if len(r.properties) != len(ev.Properties) || r.topic != topicEvents {
		return fmt.Errorf("of %s it has %d properties instead of %d", r.topic, len(r.properties), len(ev.Properties))
	}
	for k, raw := range ev.Properties {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		if r.properties[k] != text {
			return fmt.Errorf("property %s is %q instead of %q", k, r.properties[k], text)
		}
	}
	if want := []string{string(ev.Properties["n"])}; r.promoted && !slices.Equal(r.n, want) {
		return fmt.Errorf("the columns of properties.n hold %v instead of %v", r.n, want)
	}
	return sameDay(r, rec)
}

// sameDay: the row lies in the directory of the day on which its record was received.
func sameDay(r row, rec *kgo.Record) error {
	day := "/dt=" + time.UnixMicro(r.received).UTC().Format(time.DateOnly) + "/"
	source := "eventlogs/sourceid=" + string(rec.Key) + "/"
	if !strings.HasPrefix(r.object, source) || !strings.Contains(r.object, day) {
		return fmt.Errorf("it is of %s and %s", source, day)
	}
	return nil
}

// rawCopy: the lines are the values of the events, byte for byte, each as often as the log has it.
func (a *auditor) rawCopy() error {
	lines := map[string]int{}
	for _, o := range a.w.bucket.Objects() {
		key, _ := a.w.location().Rel(o.Key)
		if !strings.HasPrefix(key, "raw/") || a.w.era.before[o.Key] {
			continue
		}
		list, err := readLines(key, o.Body)
		if err != nil {
			return err
		}
		for _, l := range list {
			if len(l) > 0 {
				lines[string(bytes.TrimSuffix(l, []byte("\n")))]++
			}
		}
	}
	for p, r := range a.records {
		if !a.isLetter(p) {
			lines[string(r.Value)]--
		}
	}
	for l, n := range lines {
		if n != 0 {
			a.w.violation("the raw copy has a line %d times too often: %.120s", n, l)
		}
	}
	return nil
}
