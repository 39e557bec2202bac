package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
	"weir/pkg/jsonscan"
)

// The oracle does what intake does the plain way: encoding/json, maps, one event at a time. It knows nothing of spans,
// so it holds the meaning of every result against a second reading of the rules.

type object = map[string]any

// verdict is what the oracle expects of one element.
type verdict struct {
	code string // why it is rejected
	id   string // its own messageId, if it has one
	want object // what stands in Kafka
}

// decode reads JSON as the table does: numbers by their text, the last of equal keys, NUL as U+FFFD.
func decode(t require.TestingT, text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return decodeNext(t, d)
}

func decodeNext(t require.TestingT, d *json.Decoder) any {
	token, err := d.Token()
	require.NoError(t, err)
	switch token := token.(type) {
	case string:
		return strings.ReplaceAll(token, "\x00", "\uFFFD")
	case json.Delim:
		var v any
		if token == '{' {
			o := object{}
			for d.More() {
				key := decodeNext(t, d).(string)
				o[key] = decodeNext(t, d)
			}
			v = o
		} else {
			a := []any{}
			for d.More() {
				a = append(a, decodeNext(t, d))
			}
			v = a
		}
		_, err := d.Token()
		require.NoError(t, err)
		return v
	}
	return token
}

func missing(v any) bool { return v == nil || v == "" }

func instant(v any) event.Instant {
	s, _ := v.(string)
	t, _ := event.ParseTime([]byte(s))
	return t
}

func show(t event.Instant) string { return string(event.AppendTime(nil, t)) }

// elements are the events of a body, as the client sent them.
func elements(t require.TestingT, route Route, body []byte) (batch object, texts []json.RawMessage) {
	if route != Batch {
		return object{}, []json.RawMessage{body}
	}
	var raw map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &raw))
	batch, _ = decode(t, body).(object)
	require.NoError(t, json.Unmarshal(raw["batch"], &texts))
	return batch, texts
}

func (v *verdict) reject(code string) verdict { v.code = code; return *v }

func expect(t require.TestingT, r Request, batch object, text []byte) (v verdict) {
	own, ok := decode(t, text).(object)
	if !ok {
		return v.reject(CodeNotObject)
	}
	v.id, _ = own["messageId"].(string)
	typ := own["type"]
	switch {
	case !missing(typ):
	case r.Route != Batch:
		typ = typeNames[r.Route]
	case !missing(own["event"]):
		typ = "track"
	default:
		return v.reject(CodeMissingType)
	}
	if _, ok := typ.(string); !ok {
		return v.reject(CodeInvalidType)
	}
	for _, k := range []string{"userId", "anonymousId", "groupId", "previousId", "messageId"} {
		if _, ok := own[k].(string); !ok && !missing(own[k]) {
			return v.reject(CodeIDNotString)
		}
	}
	if missing(own["userId"]) && missing(own["anonymousId"]) {
		return v.reject(CodeNoID)
	}
	if utf8.RuneCountInString(v.id) > 100 {
		return v.reject(CodeIDTooLong)
	}
	if code := expectFields(typ.(string), own); code != "" {
		return v.reject(code)
	}
	v.want = expectValue(r, batch, own, typ.(string))
	return v
}

func expectFields(typ string, own object) string {
	isString := func(k string) bool { _, ok := own[k].(string); return ok || own[k] == nil }
	isObject := func(k string) bool { _, ok := own[k].(object); return ok || own[k] == nil }
	switch typ {
	case "track":
		switch {
		case missing(own["event"]):
			return CodeNoEvent
		case !isString("event"):
			return CodeEventString
		case !isObject("properties"):
			return CodeProperties
		}
	case "page", "screen":
		switch {
		case !isString("name"):
			return CodeNameString
		case !isString("category"):
			return CodeCategoryString
		case !isObject("properties"):
			return CodeProperties
		}
	case "identify", "group":
		if !isObject("traits") {
			return CodeTraits
		}
	}
	return ""
}

func expectValue(r Request, batch, own object, typ string) object {
	want := object{}
	for k, e := range own {
		want[k] = e
	}
	delete(want, "writeKey")
	want["type"] = typ
	if missing(own["messageId"]) {
		want["messageId"] = "new-id"
	}
	if missing(own["sentAt"]) && !missing(batch["sentAt"]) {
		want["sentAt"] = batch["sentAt"]
	}
	if missing(own["originalTimestamp"]) {
		if !missing(own["timestamp"]) {
			want["originalTimestamp"] = own["timestamp"]
		}
	}
	want["timestamp"] = show(event.CorrectedTime(instant(want["originalTimestamp"]), instant(want["sentAt"]), r.ReceivedAt))
	want["receivedAt"] = show(r.ReceivedAt)
	for _, k := range []string{"context", "integrations"} {
		shared, _ := batch[k].(object)
		mine, isObject := want[k].(object)
		if len(shared) == 0 || !isObject && !missing(want[k]) {
			continue
		}
		merged := object{}
		for n, e := range shared {
			merged[n] = e
		}
		for n, e := range mine {
			merged[n] = e
		}
		want[k] = merged
	}
	if context, ok := want["context"].(object); ok && r.ClientIP != "" && missing(context["ip"]) {
		library, _ := context["library"].(object)
		switch library["name"] {
		case "analytics.js", "analytics-ios", "analytics-swift", "analytics-android", "analytics-kotlin",
			"analytics-react-native", "@segment/analytics-react-native", "analytics-flutter", "analytics_flutter":
			context["ip"] = r.ClientIP
		}
		if context["direct"] == true {
			context["ip"] = r.ClientIP
		}
	}
	return want
}

// compare holds a parsed request against the oracle.
func compare(t require.TestingT, in *Intake, r Request) {
	batch, texts := elements(t, r.Route, r.Body)
	require.Equal(t, len(texts), len(in.Events)+len(in.Rejected)+in.Duplicates, "every element ends somewhere")
	seen := map[string]bool{}
	events, rejected := in.Events, in.Rejected
	for i, text := range texts {
		v := expect(t, r, batch, text)
		switch {
		case v.code != "":
			require.NotEmpty(t, rejected, "%q is accepted", text)
			require.Equal(t, i, rejected[0].Index)
			require.Equal(t, v.code, rejected[0].Code, "%q", text)
			require.Equal(t, v.id, string(rejected[0].MessageID))
			requireOriginal(t, text, rejected[0].Original)
			rejected = rejected[1:]
		case v.id != "" && seen[v.id]: // a duplicate
		default:
			require.NotEmpty(t, events, "%q is not accepted", text)
			require.Equal(t, i, events[0].Index)
			requireValue(t, events[0], v.want)
			seen[v.id] = true
			events = events[1:]
		}
	}
	require.Empty(t, events)
	require.Empty(t, rejected)
}

func requireValue(t require.TestingT, e Event, want object) {
	require.NoError(t, jsonscan.Valid(e.Value), "%q", e.Value)
	require.True(t, utf8.Valid(e.Value), "%q", e.Value)
	require.Equal(t, want, decode(t, e.Value), "%q", e.Value)
	require.Equal(t, want["messageId"], string(e.MessageID))
	requireView(t, e, want)
	counts := keys(t, e.Value, "")
	for _, k := range fieldNames[:fieldIntegrations+1] {
		n := 1
		if _, there := want[k]; !there {
			n = 0
		}
		require.Equal(t, n, counts[k], "%s in %q", k, e.Value)
	}
	if context, ok := want["context"].(object); ok {
		n := 0
		if _, there := context["ip"]; there {
			n = 1
		}
		require.Equal(t, n, keys(t, e.Value, "context")["ip"], "ip in %q", e.Value)
	}
}

// requireView: the sink reads in the record what the gateway wrote into it.
func requireView(t require.TestingT, e Event, want object) {
	var v event.View
	require.Empty(t, v.Decode(&event.Record{
		Key: []byte("source1"), Value: e.Value, Headers: []event.Header{{Key: event.HeaderReceivedAt, Value: []byte(show(received))}},
	}), "%q", e.Value)
	require.Equal(t, string(e.MessageID), string(v.MessageID.B))
	require.Equal(t, want["type"], string(v.Type.B))
	require.Equal(t, received, v.ReceivedAt)
	require.Equal(t, instant(want["timestamp"]), v.Timestamp, "%q", e.Value)
	require.Equal(t, instant(want["originalTimestamp"]), v.OriginalTimestamp, "%q", e.Value)
	require.Equal(t, instant(want["sentAt"]), v.SentAt, "%q", e.Value)
	for _, entry := range v.Rescued.Entries {
		require.NotContains(t, []string{"timestamp", "receivedAt", "type", "messageId", "writeKey"}, string(entry.Key), "%q", e.Value)
	}
}

// keys counts the keys of an object, or of the object that is one of its members.
func keys(t require.TestingT, text []byte, in string) map[string]int {
	var s jsonscan.Scanner
	s.Reset(text)
	require.True(t, s.EnterObject())
	counts := map[string]int{}
	for {
		key, ok := s.NextMember()
		if !ok {
			break
		}
		name := string(jsonscan.AppendUnescaped(nil, s.Text(key)))
		counts[name]++
		v, ok := s.Skip()
		require.True(t, ok)
		if in != "" && name == in {
			return keys(t, s.Text(v), "")
		}
	}
	require.NoError(t, s.End())
	return counts
}

// requireOriginal: byte for byte what was sent, unless a write key had to be emptied.
func requireOriginal(t require.TestingT, sent, kept []byte) {
	sent = bytes.TrimSpace(sent)
	own, ok := decode(t, sent).(object)
	if _, has := own["writeKey"]; !ok || !has {
		require.Equal(t, string(sent), string(kept))
		return
	}
	require.NoError(t, jsonscan.Valid(kept), "%q", kept)
	own["writeKey"] = ""
	require.Equal(t, fmt.Sprint(own), fmt.Sprint(decode(t, kept)), "%q", kept)
}
