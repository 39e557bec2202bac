package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/jsonscan"
	"weir/pkg/lake"
)

const derivedID = "0b000000-0000-0000-0000-000000000001-3-42"

func TestDecode(t *testing.T) {
	received := map[string]string{"timestamp": "2026-11-23T10:00:00.123Z", "receivedat": "2026-11-23T10:00:00.123Z", "messageid": "m", "type": "track"}
	for name, c := range map[string]struct {
		value string
		want  map[string]string // besides received
	}{
		"a plain event": {
			`{"type":"track","messageId":"m","userId":"u","anonymousId":"a","event":"Order","context":{"ip":"1.2.3.4"},"properties":{"total":12.50,"paid":true,"items":[1, 2],"note":null,"deep":{"a":"é"}}}`,
			map[string]string{
				"userid": "u", "anonymousid": "a", "event": "Order", "context": "map", "context[ip]": "1.2.3.4", "properties": "map", "properties[total]": "12.50",
				"properties[paid]": "true", "properties[items]": "[1, 2]", "properties[note]": "NULL", "properties[deep]": `{"a":"é"}`,
			},
		},
		"all string columns": {
			`{"type":"track","messageId":"m","name":"n","category":"c","groupId":"g","previousId":"p","version":"2"}`,
			map[string]string{"name": "n", "category": "c", "groupid": "g", "previousid": "p", "version": "2"},
		},
		"numbers and booleans in string columns keep their text": {
			`{"type":"track","messageId":"m","userId":1.50e3,"version":2,"name":true,"category":-0}`,
			map[string]string{"userid": "1.50e3", "version": "2", "name": "true", "category": "-0"},
		},
		"null is absent": {
			`{"type":"track","messageId":"m","userId":null,"traits":null,"timestamp":null,"receivedAt":null,"sentAt":null}`, nil,
		},
		"empty text is text": {
			`{"type":"track","messageId":"m","userId":"","properties":{"":""}}`,
			map[string]string{"userid": "", "properties": "map", "properties[]": ""},
		},
		"an empty map is no NULL": {
			`{"type":"track","messageId":"m","traits":{}}`, map[string]string{"traits": "map"},
		},
		"nothing is dropped": {
			`{"type":"track","messageId":"m","channel":"server","_metadata":{"bundled":[]},"n":1e400,"gone":null,"messageID":"other case"}`,
			map[string]string{
				"rescued[channel]": `"server"`, "rescued[_metadata]": `{"bundled":[]}`, "rescued[n]": "1e400", "rescued[gone]": "null",
				"rescued[messageID]": `"other case"`,
			},
		},
		"what does not fit its column is rescued": {
			`{"type":"track","messageId":"m","userId":{"id":1},"event":["x"],"context":"none","traits":[{}],"integrations":false,"properties":7}`,
			map[string]string{
				"rescued[userId]": `{"id":1}`, "rescued[event]": `["x"]`, "rescued[context]": `"none"`, "rescued[traits]": "[{}]",
				"rescued[integrations]": "false", "rescued[properties]": "7",
			},
		},
		"of duplicate keys the last counts": {
			`{"type":"page","userId":"a","userId":{"x":1},"userId":"b","x":1,"x":2,"properties":{"k":1,"k":2},"properties":{"l":1,"l":null,"l":"3"},"type":"track","messageId":"m"}`,
			map[string]string{"userid": "b", "rescued[x]": "2", "properties": "map", "properties[l]": "3"},
		},
		"the last counts also when it is another kind": {
			`{"type":"track","messageId":"m","context":{"a":1},"context":"x","traits":"x","traits":{"a":1},"userId":"u","userId":null,"properties":{"a":1},"properties":null}`,
			map[string]string{"rescued[context]": `"x"`, "traits": "map", "traits[a]": "1"},
		},
		"escapes in keys": {
			`{"\u0074ype":"tra\u0063k","messageId":"m","user\u0049d":"u\n\u00e9","properties":{"\u006b":1,"k":2},"\u0078":"\u0079"}`,
			map[string]string{"userid": "u\né", "properties": "map", "properties[k]": "2", "rescued[x]": `"\u0079"`},
		},
		"what is no text becomes U+FFFD": {
			"{\"type\":\"track\",\"messageId\":\"m\",\"userId\":\"a\xffb\",\"event\":\"\\ud83d\",\"properties\":{\"k\\u0000\":\"\\u0000\",\"l\":[\"\xc3\"]},\"\xfe\":\"\\udc00\"}",
			map[string]string{
				"userid": "a\uFFFDb", "event": "\uFFFD", "properties": "map", "properties[k\uFFFD]": "\uFFFD", "properties[l]": "[\"\uFFFD\"]",
				"rescued[\uFFFD]": "\"\uFFFD\"",
			},
		},
		"keys that become the same are one": {
			`{"type":"track","messageId":"m","properties":{"\ud800":1,"\udc00":2,"\u0000":3}}`,
			map[string]string{"properties": "map", "properties[\uFFFD]": "3"},
		},
		"type missing, an event there": {
			`{"messageId":"m","event":"Order"}`, map[string]string{"event": "Order"},
		},
		"type null or empty": {
			`{"messageId":"m","event":1,"type":""}`, map[string]string{"event": "1"},
		},
		"type is no text": {
			`{"messageId":"m","event":"Order","type":["x"]}`, map[string]string{"event": "Order", "rescued[type]": `["x"]`},
		},
		"messageId missing": {
			`{"type":"track"}`, map[string]string{"messageid": derivedID},
		},
		"messageId empty": {
			`{"type":"track","messageId":""}`, map[string]string{"messageid": derivedID},
		},
		"messageId is no text": {
			`{"type":"track","messageId":{}}`, map[string]string{"messageid": derivedID, "rescued[messageId]": "{}"},
		},
		"an unknown type is stored": {
			`{"type":"heartbeat","messageId":"m"}`, map[string]string{"type": "heartbeat"},
		},
		"a type that is a number": {
			`{"type":7,"messageId":"m"}`, map[string]string{"type": "7"},
		},
		"white space everywhere": {
			" {\r\n\t\"type\" : \"track\" , \"messageId\":\"m\", \"properties\" : { \"a\" : [ 1 ,\n2 ] } } \n",
			map[string]string{"properties": "map", "properties[a]": "[ 1 ,\n2 ]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(c.value)
			v := decode(t, r)
			want := map[string]string{}
			for _, m := range []map[string]string{received, c.want} {
				for k, text := range m {
					want[k] = text
				}
			}
			require.Equal(t, want, columns(v))
			require.Equal(t, "source1", string(v.SourceID))
			requireSound(t, v)
			if json.Valid(r.Value) && name != "keys that become the same are one" {
				requireSame(t, r, v)
			}
		})
	}
}

func TestDecodeTimes(t *testing.T) {
	const header = "2026-11-23T10:00:05.000Z"
	for name, c := range map[string]struct {
		fields     string
		viaGateway bool
		want       map[string]string // of the four times and rescued
	}{
		"none": {``, false, map[string]string{"timestamp": "2026-11-23T10:00:00.123Z", "receivedat": "2026-11-23T10:00:00.123Z"}},
		"the clock is corrected": {
			`"timestamp":"2026-11-23T08:00:00Z","sentAt":"2026-11-23T08:00:02.5Z"`, true,
			map[string]string{"originaltimestamp": "2026-11-23T08:00:00.000Z", "sentat": "2026-11-23T08:00:02.500Z", "timestamp": "2026-11-23T10:00:02.500Z", "receivedat": header},
		},
		"as the gateway writes it": {
			`"originalTimestamp":"2026-11-23T08:00:00.9999Z","sentAt":"2026-11-23T08:00:02.5Z","timestamp":"2026-11-23T10:00:03.499Z","receivedAt":"` + header + `"`, true,
			map[string]string{"originaltimestamp": "2026-11-23T08:00:00.999Z", "sentat": "2026-11-23T08:00:02.500Z", "timestamp": "2026-11-23T10:00:03.499Z", "receivedat": header},
		},
		"the gateway's own timestamp is no claim": {
			`"timestamp":"` + header + `","receivedAt":"` + header + `"`, true, map[string]string{"timestamp": header, "receivedat": header},
		},
		"without sentAt": {
			`"originalTimestamp":"2026-11-20T08:00:00+02:00"`, true,
			map[string]string{"originaltimestamp": "2026-11-20T06:00:00.000Z", "timestamp": "2026-11-20T06:00:00.000Z", "receivedat": header},
		},
		"a claim of receivedAt that differs": {
			`"receivedAt":"2020-01-01T00:00:00Z"`, true,
			map[string]string{"timestamp": header, "receivedat": header, "rescued[receivedAt]": `"2020-01-01T00:00:00Z"`},
		},
		"a claim of receivedAt that is none": {
			`"receivedAt":[1]`, false,
			map[string]string{"timestamp": "2026-11-23T10:00:00.123Z", "receivedat": "2026-11-23T10:00:00.123Z", "rescued[receivedAt]": `[1]`},
		},
		"the same instant elsewhere is no difference": {
			`"receivedAt":"2026-11-23T12:00:05+02:00"`, true, map[string]string{"timestamp": header, "receivedat": header},
		},
		"a timestamp that differs from the corrected one": {
			`"originalTimestamp":"2026-11-23T08:00:00Z","timestamp":"2026-11-23T07:00:00Z"`, true,
			map[string]string{"originaltimestamp": "2026-11-23T08:00:00.000Z", "timestamp": "2026-11-23T08:00:00.000Z", "receivedat": header, "rescued[timestamp]": `"2026-11-23T07:00:00Z"`},
		},
		"no times": {
			`"timestamp":"2015-2-02T00:00:00Z","sentAt":1700000000000`, true,
			map[string]string{"timestamp": header, "receivedat": header, "rescued[timestamp]": `"2015-2-02T00:00:00Z"`, "rescued[sentAt]": "1700000000000"},
		},
		"no original, but a timestamp": {
			`"originalTimestamp":"yesterday","timestamp":"2026-11-23T07:00:00Z"`, true,
			map[string]string{"timestamp": header, "receivedat": header, "rescued[originalTimestamp]": `"yesterday"`, "rescued[timestamp]": `"2026-11-23T07:00:00Z"`},
		},
		"empty is absent": {
			`"originalTimestamp":"","timestamp":"2026-11-23T07:00:00Z","sentAt":""`, true,
			map[string]string{"originaltimestamp": "2026-11-23T07:00:00.000Z", "timestamp": "2026-11-23T07:00:00.000Z", "receivedat": header},
		},
		"an escaped time": {
			`"timestamp":"2026-11-23T07:00:00\u005a"`, true,
			map[string]string{"originaltimestamp": "2026-11-23T07:00:00.000Z", "timestamp": "2026-11-23T07:00:00.000Z", "receivedat": header},
		},
		"out of the calendar": {
			`"timestamp":"0001-01-01T00:00:00Z","sentAt":"9999-12-31T00:00:00Z"`, true,
			map[string]string{"originaltimestamp": "0001-01-01T00:00:00.000Z", "sentat": "9999-12-31T00:00:00.000Z", "timestamp": "0001-01-01T00:00:00.000Z", "receivedat": header},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(strings.TrimSuffix(`{"type":"track","messageId":"m",`+c.fields, ",") + "}")
			if c.viaGateway {
				r.Headers = []Header{{HeaderReceivedAt, []byte("2001-01-01T00:00:00Z")}, {HeaderReceivedAt, []byte(header)}}
			}
			v := decode(t, r)
			got := columns(v)
			delete(got, "messageid")
			delete(got, "type")
			require.Equal(t, c.want, got)
			requireSame(t, r, v)
			requireSound(t, v)
		})
	}
}

func TestReceivedAtAndDay(t *testing.T) {
	r := record(`{"type":"track"}`)
	r.Timestamp = time.Date(2026, 11, 22, 23, 59, 59, 999e6, time.UTC)
	require.Equal(t, "2026-11-22", decode(t, r).Day.String())
	r.Headers = []Header{{HeaderReceivedAt, []byte("2026-11-23T00:00:00.000Z")}}
	require.Equal(t, "2026-11-23", decode(t, r).Day.String())
	r.Headers = []Header{{HeaderReceivedAt, []byte("no time")}}
	require.Equal(t, "2026-11-22", decode(t, r).Day.String(), "a header that is no time is none")
	r.Timestamp = time.UnixMilli(-2)
	require.Equal(t, "1969-12-31", decode(t, r).Day.String())
}

func TestAnEmptySourceHeaderIsNone(t *testing.T) {
	r := record(`{"type":"track"}`)
	r.Headers = []Header{{HeaderSource, []byte("other")}, {HeaderSource, nil}}
	require.Equal(t, "source1", string(decode(t, r).SourceID), "of several the last counts, and it is empty")
	r.Headers = []Header{{HeaderSource, nil}, {HeaderSource, []byte("other")}}
	require.Equal(t, "other", string(decode(t, r).SourceID))
}

func TestTimesOfTheFarFutureAreExact(t *testing.T) {
	r := record(`{"type":"track","sentAt":"9999-12-31T23:59:59.999Z"}`)
	for ms, want := range map[int64]string{
		9_223_372_036_854:  "2262-04-11T23:47:16.854Z", // the last that an int64 of nanoseconds holds
		9_223_372_036_855:  "2262-04-11T23:47:16.855Z",
		-9_223_372_036_855: "1677-09-21T00:12:43.145Z",
		32_503_680_000_000: "3000-01-01T00:00:00.000Z",
		maxMillis:          "9999-12-31T23:59:59.999Z",
		minMillis:          "0001-01-01T00:00:00.000Z",
	} {
		r.Timestamp = time.UnixMilli(ms)
		v := decode(t, r)
		require.Equal(t, want, string(AppendTime(nil, v.ReceivedAt)))
		require.Equal(t, want[:10], v.Day.String())
		require.Equal(t, ms*1000, v.ReceivedAt.Micros)
	}
}

func TestReasons(t *testing.T) {
	deep := strings.Repeat(`{"a":`, jsonscan.MaxDepth+1) + "1" + strings.Repeat("}", jsonscan.MaxDepth+1)
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		want   Reason
		change func(r *Record)
	}{
		{"", func(*Record) {}},
		{Empty, func(r *Record) { r.Value = nil }},
		{Empty, func(r *Record) { r.Value = []byte{} }},
		{Malformed, func(r *Record) { r.Value = []byte(`{"type":"track"`) }},
		{Malformed, func(r *Record) { r.Value = []byte(`{"type":"track"}}`) }},
		{Malformed, func(r *Record) { r.Value = []byte("\x00\x01") }},
		{Malformed, func(r *Record) { r.Value = []byte("  ") }},
		{Malformed, func(r *Record) { r.Value = []byte(`{"context":{"a":}}`) }},
		{Malformed, func(r *Record) { r.Value = []byte(`[1,`) }},
		{Malformed, func(r *Record) { r.Value = []byte("\xff{}") }},
		{TooDeep, func(r *Record) { r.Value = []byte(deep) }},
		{TooDeep, func(r *Record) { r.Value = []byte(`{"type":"track","properties":` + deep + "}") }},
		{TooDeep, func(r *Record) { r.Value = []byte(strings.Repeat("[", 100_000)) }},
		{NotObject, func(r *Record) { r.Value = []byte(`[{"type":"track"}]`) }},
		{NotObject, func(r *Record) { r.Value = []byte(`"type"`) }},
		{NotObject, func(r *Record) { r.Value = []byte(`null`) }},
		{NoType, func(r *Record) { r.Value = []byte(`{}`) }},
		{NoType, func(r *Record) { r.Value = []byte(`{"event":null,"type":null}`) }},
		{NoType, func(r *Record) { r.Value = []byte(`{"event":{},"type":""}`) }},
		{NoType, func(r *Record) { r.Value = []byte(`{"event":""}`) }},
		{NoSource, func(r *Record) { r.Key = nil }},
		{NoSource, func(r *Record) { r.Key = []byte{} }},
		{BadSource, func(r *Record) { r.Key = []byte("a/b") }},
		{BadSource, func(r *Record) { r.Key = []byte("..") }},
		{BadSource, func(r *Record) { r.Key = []byte(long) }},
		{"", func(r *Record) { r.Headers = []Header{{HeaderSource, nil}} }},
		{"", func(r *Record) { r.Headers = []Header{{HeaderSource, []byte("not ok")}, {HeaderSource, []byte{}}} }},
		{BadSource, func(r *Record) { r.Key, r.Headers = []byte("a/b"), []Header{{HeaderSource, nil}} }},
		{NoSource, func(r *Record) { r.Key, r.Headers = nil, []Header{{HeaderSource, []byte{}}} }},
		{BadSource, func(r *Record) { r.Headers = []Header{{HeaderSource, []byte("ok")}, {HeaderSource, []byte("not ok")}} }},
		{"", func(r *Record) { r.Key, r.Headers = []byte("\x00"), []Header{{HeaderSource, []byte("b")}} }},
		{BadReceivedAt, func(r *Record) { r.Timestamp = time.UnixMilli(1 << 60) }},
		{BadReceivedAt, func(r *Record) { r.Timestamp = time.UnixMilli(minMillis - 1) }},
		{BadReceivedAt, func(r *Record) { r.Timestamp = time.UnixMilli(maxMillis + 1) }},
		{BadReceivedAt, func(r *Record) { r.Timestamp = time.UnixMilli(NoTimestamp) }},
		{"", func(r *Record) {
			r.Timestamp, r.Headers = time.UnixMilli(1<<60), []Header{{HeaderReceivedAt, []byte("2026-11-23T00:00:00Z")}}
		}},
	} {
		r := record(`{"type":"track"}`)
		c.change(r)
		var v View
		require.Equal(t, c.want, v.Decode(r), "%.80q", r.Value)
		if c.want != "" {
			require.Contains(t, Reasons(), c.want)
		}
	}
}

// An object with a depth that is just allowed is stored.
func TestDepth(t *testing.T) {
	nested := strings.Repeat("[", jsonscan.MaxDepth-2) + strings.Repeat("]", jsonscan.MaxDepth-2)
	v := decode(t, record(`{"type":"track","properties":{"a":`+nested+`}}`))
	require.Equal(t, nested, columns(v)["properties[a]"])
}

// A view that has been used for anything gives the same as a new one.
func TestDecodeDependsOnTheRecordAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var used View
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			r := draw(t)
			before := string(r.Value)
			var fresh View
			reason := used.Decode(r)
			require.Equal(t, reason, fresh.Decode(r))
			require.Equal(t, before, string(r.Value), "the record is not written to")
			if reason == "" {
				require.Equal(t, columns(&fresh), columns(&used))
				require.Equal(t, fresh.SourceID, used.SourceID)
				require.Equal(t, fresh.Day, used.Day)
				requireSound(t, &used)
			}
		}
	})
}

func TestDecodeIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := draw(t)
		var v View
		reason := v.Decode(r)
		_, want := reference(r)
		require.Equal(t, want, reason, "%q", r.Value)
		if reason == "" {
			requireSame(t, r, &v)
		}
	})
}

// draw makes a record whose value is a JSON object: known and unknown keys, duplicates, escapes, any values.
func draw(t *rapid.T) *Record {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]string{`null`, `true`, `false`, `0`, `-1.50`, `1e9`, `""`, `"track"`, `"2026-11-23T10:00:00.000Z"`, `"2026-11-23T09:59:58.5+01:00"`, `"\ud83d\ude00"`, `"\ud83d"`, "\"\xff\"", `"a\u0041\n"`}),
		rapid.Custom(func(t *rapid.T) string { return string(jsonscan.AppendQuoted(nil, rapid.String().Draw(t, "text"))) }),
	)
	key := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return `"` + field(rapid.IntRange(0, int(fields)-1).Draw(t, "field")).key() + `"`
		}),
		rapid.SampledFrom([]string{`"x"`, `""`, `"\u0078"`, `"type"`, `"t\u0079pe"`, `"event"`, `"a\ud800"`}),
	)
	object := func(value *rapid.Generator[string]) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			members := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
				return key.Draw(t, "key") + rapid.SampledFrom([]string{":", " : ", ":\n"}).Draw(t, "colon") + value.Draw(t, "value")
			}), 0, 8).Draw(t, "members")
			return "{" + strings.Join(members, ",") + "}"
		})
	}
	array := rapid.Custom(func(t *rapid.T) string {
		return "[" + strings.Join(rapid.SliceOfN(scalar, 0, 3).Draw(t, "elements"), ", ") + "]"
	})
	nested := object(rapid.OneOf(scalar, array, object(scalar)))
	r := record(object(rapid.OneOf(scalar, array, nested, nested)).Draw(t, "value"))
	if rapid.Bool().Draw(t, "by the gateway") {
		r.Headers = []Header{{HeaderReceivedAt, []byte("2026-11-23T10:00:00.000Z")}}
	}
	return r
}

// Hundreds of thousands of keys in one event stay linear in time, or nearly.
func TestManyKeys(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"type":"track","properties":{"k0":-1`)
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i%(n/2), i)
	}
	b.WriteString(`}`)
	for i := range n {
		fmt.Fprintf(&b, `,"u%d":%d`, i%(n/2), i)
	}
	b.WriteString(`}`)
	r := record(b.String())
	var v View
	require.Equal(t, Reason(""), v.Decode(r))
	requireSound(t, &v)
	got := columns(&v)
	require.Len(t, v.Properties.Entries, n/2)
	require.Len(t, v.Rescued.Entries, n/2)
	for _, i := range []int{0, 1, 63, 64, 65, n/2 - 1} {
		require.Equal(t, fmt.Sprint(n/2+i), got[fmt.Sprintf("properties[k%d]", i)])
		require.Equal(t, fmt.Sprint(n/2+i), got[fmt.Sprintf("rescued[u%d]", i)])
	}
	require.Equal(t, Reason(""), v.Decode(record(`{"type":"track","properties":{}}`)))
	require.Empty(t, v.Properties.Entries)
	require.LessOrEqual(t, cap(v.Properties.Entries), keepEntries, "the next event does not pay for a large one")
}

func TestDecodeAllocatesNothing(t *testing.T) {
	wide := `{"type":"track","properties":{"k":0`
	for i := range 200 {
		wide += fmt.Sprintf(`,"k%d":"v"`, i%150)
	}
	for name, r := range map[string]*Record{
		"plain":   record(`{"type":"track","messageId":"m","userId":"u","timestamp":"2026-11-23T10:00:00Z","context":{"a":{"b":1},"c":"d"},"x":1}`),
		"escapes": record(`{"type":"tr\u0061ck","userId":"\n\n","properties":{"\"":"\u00e9","n":{"\u0000":1}},"x\t":"\ud800"}`),
		"derived": record(`{"event":"Order","sentAt":"2026-11-23T10:00:00Z"}`),
		"rescued": record(`{"type":"track","userId":{},"context":[],"timestamp":"x","receivedAt":1,"sentAt":{}}`),
		"wide":    record(wide + "}}"),
		"headers": {Timestamp: time.UnixMilli(0), Headers: []Header{{HeaderSource, []byte("a")}, {HeaderReceivedAt, []byte("2026-11-23T00:00:00Z")}}, Value: []byte(`{"type":"t"}`)},
	} {
		var v View
		require.Equal(t, Reason(""), v.Decode(r), name)
		require.Zero(t, testing.AllocsPerRun(100, func() { v.Decode(r) }), name)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"type":"track","messageId":"m","properties":{"a":[1,{"b":"\ud83d\ude00"}]},"x":null}`,
		`{"type":"page","timestamp":"2026-11-23T10:00:00.123456789+01:00","sentAt":"2026-11-23T10:00:00Z","originalTimestamp":"x","receivedAt":""}`,
		"{\"type\":\"\xff\",\"context\":{\"\\u0000\":\"\\ud800\"},\"\xc3\":\"\xc3\"}",
		`{"event":1,"userId":{},"userId":[],"traits":1,"traits":{"a":1,"\u0061":2}}`, `[]`, `{"`, ``, `{"type":"t"}` + "\n",
	} {
		f.Add([]byte(seed), []byte("source1"), []byte("2026-11-23T10:00:00.000Z"))
	}
	f.Fuzz(func(t *testing.T, value, key, at []byte) {
		r := record(string(value))
		r.Key = key
		if len(at) > 0 {
			r.Headers = []Header{{HeaderReceivedAt, at}}
		}
		var v View
		reason := v.Decode(r)
		switch {
		case !lake.ValidSourceID(key):
			require.Contains(t, []Reason{NoSource, BadSource}, reason)
		case len(value) == 0:
			require.Equal(t, Empty, reason)
		case !json.Valid(value):
			require.Contains(t, []Reason{Malformed, TooDeep}, reason)
		case reason != "":
			require.NotEqual(t, Malformed, reason)
		default:
			requireSound(t, &v)
			// Two keys may become one by U+FFFD, in any order of encoding/json's map: compare what has no such.
			if utf8.Valid(value) && !strings.Contains(string(value), `\u`) {
				requireSame(t, r, &v)
			}
		}
	})
}
