package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

// reference is what outside.md says of a record's value, written down with encoding/json and maps. It gives the columns
// that are not NULL as text; of a map column's entries as column[key], and the NULL values among them as NULL.
func reference(r *Record) (map[string]string, Reason) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &fields); err != nil {
		return nil, Malformed // or a shape that the caller tells apart
	}
	out := map[string]string{}
	rescue := func(key string, raw json.RawMessage) { out["rescued["+noNUL(key)+"]"] = string(raw) }
	take := func(key string) json.RawMessage {
		raw := fields[key]
		delete(fields, key)
		if string(raw) == "null" {
			return nil
		}
		return raw
	}
	for _, key := range []string{"anonymousId", "messageId", "type", "userId", "event", "name", "category", "groupId", "previousId", "version"} {
		switch raw := take(key); {
		case raw == nil:
		case raw[0] == '{' || raw[0] == '[':
			rescue(key, raw)
		default:
			out[strings.ToLower(key)] = scalar(raw)
		}
	}
	if out["type"] == "" {
		if out["event"] == "" {
			return nil, NoType
		}
		out["type"] = "track"
	}
	if out["messageid"] == "" {
		out["messageid"] = "derived"
	}
	for _, key := range []string{"context", "traits", "properties", "integrations"} {
		referenceMap(out, key, take(key), rescue)
	}
	referenceTimes(out, r, take, rescue)
	for key, raw := range fields {
		rescue(key, raw)
	}
	return out, ""
}

func referenceMap(out map[string]string, key string, raw json.RawMessage, rescue func(string, json.RawMessage)) {
	if raw == nil {
		return
	}
	if raw[0] != '{' {
		rescue(key, raw)
		return
	}
	out[key] = "map"
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(raw, &entries); err != nil {
		panic(err)
	}
	for k, v := range entries {
		out[key+"["+noNUL(k)+"]"] = scalar(v)
	}
}

func referenceTimes(out map[string]string, r *Record, take func(string) json.RawMessage, rescue func(string, json.RawMessage)) {
	parse := func(raw json.RawMessage) (time.Time, bool) {
		var s string
		if raw == nil || json.Unmarshal(raw, &s) != nil {
			return time.Time{}, false
		}
		return referenceTime(s)
	}
	there := func(raw json.RawMessage) bool { return raw != nil && string(raw) != `""` }
	received := r.Timestamp
	header, viaGateway := r.header(HeaderReceivedAt)
	if t, ok := referenceTime(string(header)); ok {
		received = t
	}
	sentRaw, originalRaw, timestampRaw, receivedRaw := take("sentAt"), take("originalTimestamp"), take("timestamp"), take("receivedAt")
	sent, sentOK := parse(sentRaw)
	if there(sentRaw) && !sentOK {
		rescue("sentAt", sentRaw)
	}
	original, originalOK := parse(originalRaw)
	if !there(originalRaw) {
		original, originalOK = parse(timestampRaw)
		if there(timestampRaw) && !originalOK {
			rescue("timestamp", timestampRaw)
		}
		if viaGateway && originalOK && original.Equal(received) {
			originalOK = false
		}
	} else if !originalOK {
		rescue("originalTimestamp", originalRaw)
	}
	timestamp := received
	switch {
	case originalOK && sentOK:
		timestamp = original
		if t := received.UnixMilli() - (sent.UnixMilli() - original.UnixMilli()); t >= minMillis && t <= maxMillis {
			timestamp = time.UnixMilli(t)
		}
	case originalOK:
		timestamp = original
	}
	if t, ok := parse(timestampRaw); there(originalRaw) && there(timestampRaw) && (!ok || !t.Equal(timestamp)) {
		rescue("timestamp", timestampRaw)
	}
	if t, ok := parse(receivedRaw); there(receivedRaw) && (!ok || !t.Equal(received)) {
		rescue("receivedAt", receivedRaw)
	}
	put := func(column string, t time.Time, ok bool) {
		if ok {
			out[column] = t.UTC().Format("2006-01-02T15:04:05.000Z")
		}
	}
	put("timestamp", timestamp, true)
	put("receivedat", received, true)
	put("originaltimestamp", original, originalOK)
	put("sentat", sent, sentOK)
}

// referenceTime reads RFC 3339 as the standard library does where it is strict, to the millisecond.
func referenceTime(s string) (time.Time, bool) {
	if _, fraction, ok := strings.Cut(s, "."); ok && strings.IndexFunc(fraction, func(r rune) bool { return r < '0' || r > '9' }) > 9 {
		return time.Time{}, false // nobody means picoseconds
	}
	if len(s) > 10 && s[10] == 't' {
		s = s[:10] + "T" + s[11:]
	}
	if before, ok := strings.CutSuffix(s, "z"); ok {
		s = before + "Z"
	}
	if n := len(s); n > 6 && s[n-3] == ':' && s[n-5:n-3] == "24" {
		return time.Time{}, false // an offset has hours to 23 (RFC 3339, section 5.6); package time takes 24
	}
	var t time.Time
	if t.UnmarshalText([]byte(s)) != nil || t.UnixMilli() < minMillis || t.UnixMilli() > maxMillis {
		return time.Time{}, false
	}
	return time.UnixMilli(floorMillis(t)).UTC(), true
}

func floorMillis(t time.Time) int64 { return t.Unix()*1000 + int64(t.Nanosecond()/1e6) }

// scalar is a value as a string column or a map shows it.
func scalar(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			panic(err)
		}
		return noNUL(s)
	case 'n':
		return "NULL"
	}
	return string(raw)
}

func noNUL(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// columns is the view in the form of reference.
func columns(v *View) map[string]string {
	out := map[string]string{}
	for column, text := range map[string]Text{
		"anonymousid": v.AnonymousID, "messageid": v.MessageID, "type": v.Type, "userid": v.UserID, "event": v.Event,
		"name": v.Name, "category": v.Category, "groupid": v.GroupID, "previousid": v.PreviousID, "version": v.Version,
	} {
		if text.Valid {
			out[column] = string(text.B)
		}
	}
	for column, t := range map[string]Instant{"timestamp": v.Timestamp, "originaltimestamp": v.OriginalTimestamp, "sentat": v.SentAt, "receivedat": v.ReceivedAt} {
		if t.Valid {
			out[column] = string(AppendTime(nil, t))
		}
	}
	for column, m := range map[string]Map{"context": v.Context, "traits": v.Traits, "properties": v.Properties, "integrations": v.Integrations} {
		if m.Valid {
			out[column] = "map"
		}
		entriesOf(out, column, m)
	}
	entriesOf(out, "rescued", v.Rescued)
	return out
}

func entriesOf(out map[string]string, column string, m Map) {
	for _, e := range m.Entries {
		if value := string(e.Value); e.Value == nil {
			out[column+"["+string(e.Key)+"]"] = "NULL"
		} else {
			out[column+"["+string(e.Key)+"]"] = value
		}
	}
}

// requireSame compares a view with the reference. Where bytes are no text the two may spell U+FFFD differently in JSON
// text, so then only what it decodes to counts.
func requireSame(t require.TestingT, r *Record, v *View) {
	want, reason := reference(r)
	require.Empty(t, reason, "%q", r.Value)
	got := columns(v)
	if want["messageid"] == "derived" {
		want["messageid"] = r.TopicID.String() + "-3-42"
	}
	for column, text := range want {
		if got[column] != text && jsonEqual(got[column], text) {
			got[column] = text
		}
	}
	require.Equal(t, want, got, "%q", r.Value)
}

// jsonEqual compares two JSON texts of objects, arrays or (rescued) scalars, NUL aside.
func jsonEqual(a, b string) bool {
	normal := func(s string) (string, bool) {
		var v any
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return "", false
		}
		text, err := json.Marshal(v)
		return strings.ReplaceAll(string(text), `\u0000`, "\uFFFD"), err == nil
	}
	x, ok1 := normal(a)
	y, ok2 := normal(b)
	return ok1 && ok2 && x == y && utf8.ValidString(a)
}

// requireSound checks what holds of every view.
func requireSound(t require.TestingT, v *View) {
	require.True(t, lake.ValidSourceID(v.SourceID))
	require.True(t, v.ReceivedAt.Valid)
	require.True(t, v.Timestamp.Valid)
	require.Equal(t, lake.DayOf(v.ReceivedAt.Time()), v.Day)
	require.NotEmpty(t, v.Type.B)
	require.NotEmpty(t, v.MessageID.B)
	for _, text := range []Text{v.AnonymousID, v.MessageID, v.Type, v.UserID, v.Event, v.Name, v.Category, v.GroupID, v.PreviousID, v.Version} {
		requireText(t, text.B)
	}
	for _, m := range []Map{v.Context, v.Traits, v.Properties, v.Integrations, v.Rescued} {
		require.True(t, m.Valid || len(m.Entries) == 0)
		seen := map[string]bool{}
		for _, e := range m.Entries {
			requireText(t, e.Key)
			requireText(t, e.Value)
			require.NotNil(t, e.Key)
			require.False(t, seen[string(e.Key)], "the key %q stands twice", e.Key)
			seen[string(e.Key)] = true
		}
	}
	for _, e := range v.Rescued.Entries {
		require.True(t, json.Valid(e.Value), "%q", e.Value)
	}
	for _, i := range []Instant{v.Timestamp, v.OriginalTimestamp, v.SentAt, v.ReceivedAt} {
		require.Zero(t, i.Micros%1000)
	}
}

func requireText(t require.TestingT, b []byte) {
	require.True(t, utf8.Valid(b), "%q", b)
	require.False(t, bytes.ContainsRune(b, 0), "%q", b)
}

// record is a direct producer's record.
func record(value string) *Record {
	return &Record{
		Topic: "weir.events", TopicID: lake.TopicID{0x0b, 15: 1}, Partition: 3, Offset: 42,
		Timestamp: time.Date(2026, 11, 23, 10, 0, 0, 123e6, time.UTC), Key: []byte("source1"), Value: []byte(value),
	}
}

func decode(t testing.TB, r *Record) *View {
	var v View
	require.Equal(t, Reason(""), v.Decode(r), "%q", r.Value)
	return &v
}
