package replay

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Row is one row of eventlogs as DuckDB gave it. A nil pointer is NULL; times are milliseconds since 1970.
type Row struct {
	Text  map[string]*string           // the string columns
	Times map[string]*int64            // timestamp, originaltimestamp, sentat, receivedat
	Maps  map[string]map[string]string // context, traits, properties, integrations, rescued; nil is NULL
}

var (
	textColumns = map[string]string{
		"anonymousid": "anonymousId", "messageid": "messageId", "type": "type", "userid": "userId", "event": "event",
		"name": "name", "category": "category", "groupid": "groupId", "previousid": "previousId", "version": "version",
	}
	mapColumns = []string{"context", "traits", "properties", "integrations"}
	ownKeys    = []string{"timestamp", "originalTimestamp", "sentAt", "receivedAt", "writeKey"}
)

// Differences compares a row with the event that was sent, field by field. Numbers must have kept their text.
func Differences(row Row, event map[string]any) []string {
	var found []string
	differ := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	for column, key := range textColumns {
		seen[key] = true
		want, given := scalarText(event[key])
		got := row.Text[column]
		switch {
		case column == "messageid" && !given:
			if got == nil || *got == "" {
				differ("messageid was not generated")
			}
		case given && (got == nil || *got != want):
			differ("%s is %v, sent %q", column, show(got), want)
		case !given && got != nil && *got != "":
			differ("%s is %q, sent nothing", column, *got)
		}
	}
	for _, column := range mapColumns {
		seen[column] = true
		sent, _ := event[column].(map[string]any)
		compareMap(differ, column, row.Maps[column], sent)
	}
	for _, key := range ownKeys {
		seen[key] = true
	}
	rest := map[string]any{}
	for key, value := range event {
		if !seen[key] {
			rest[key] = value
		}
	}
	compareRescued(differ, row, rest, event)
	compareTimes(differ, row, event)
	return found
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, v != ""
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// compareMap: a scalar stands as its text, a nested value as JSON text; context.ip may have been added.
func compareMap(differ func(string, ...any), column string, got map[string]string, sent map[string]any) {
	for key, value := range sent {
		if value == nil {
			continue // a null may stand as NULL or not at all
		}
		text, there := got[key]
		if scalar, isScalar := scalarText(value); isScalar || value == "" {
			if !there || text != scalar {
				differ("%s[%s] is %q, sent %q", column, key, text, scalar)
			}
		} else if !jsonEqual(text, value) {
			differ("%s[%s] is %q, sent %v", column, key, text, value)
		}
	}
	for key := range got {
		if _, there := sent[key]; !there && (column != "context" || key != "ip") {
			differ("%s has %q, which was not sent", column, key)
		}
	}
}

// compareRescued: every other top-level key as JSON text, and a time that could not be read.
func compareRescued(differ func(string, ...any), row Row, rest, event map[string]any) {
	got := row.Maps["rescued"]
	for key, value := range rest {
		if text, there := got[key]; !there || !jsonEqual(text, value) {
			differ("rescued[%s] is %q, sent %v", key, text, value)
		}
	}
	for key, text := range got {
		if _, sent := rest[key]; !sent && !strings.HasSuffix(strings.ToLower(key), "timestamp") && key != "sentAt" {
			differ("rescued has %q = %s; sent %v", key, text, event[key])
		}
	}
}

func compareTimes(differ func(string, ...any), row Row, event map[string]any) {
	received := row.Times["receivedat"]
	if received == nil || time.Since(time.UnixMilli(*received)).Abs() > 10*time.Minute {
		differ("receivedat is %v", received)
		return
	}
	original, sent := clock(event["originalTimestamp"]), clock(event["sentAt"])
	if event["originalTimestamp"] == nil {
		original = clock(event["timestamp"])
	}
	want := received
	switch {
	case original != nil && sent != nil:
		corrected := *received - (*sent - *original)
		want = &corrected
	case original != nil:
		want = original
	}
	if original == nil && event["originalTimestamp"] == nil && event["timestamp"] == nil {
		// Nothing was claimed: the event happened when it was sent, or when it was received.
		original = row.Times["originaltimestamp"]
		if original != nil && *original != *received && (sent == nil || *original != *sent) {
			differ("originaltimestamp is %d and nothing was claimed", *original)
		}
	}
	compareTime(differ, "originaltimestamp", row.Times["originaltimestamp"], original)
	compareTime(differ, "sentat", row.Times["sentat"], sent)
	compareTime(differ, "timestamp", row.Times["timestamp"], want)
}

// compareTime allows the millisecond that truncating two instants before subtracting them can cost.
func compareTime(differ func(string, ...any), column string, got, want *int64) {
	if (got == nil) != (want == nil) || (got != nil && max(*got-*want, *want-*got) > 1) {
		differ("%s is %v, want %v", column, show(got), show(want))
	}
}

func clock(v any) *int64 {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func jsonEqual(text string, value any) bool {
	var got any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(&got) == nil && reflect.DeepEqual(got, value)
}

func show[T any](p *T) any {
	if p == nil {
		return "NULL"
	}
	return *p
}
