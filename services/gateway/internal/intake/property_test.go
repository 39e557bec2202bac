package intake

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// draw makes request bodies that are dense in what intake has to decide about.
type draw struct{ *rapid.T }

func (d draw) pick(name string, from ...string) string {
	return rapid.SampledFrom(from).Draw(d.T, name)
}

func (d draw) space() string { return d.pick("space", "", "", "", "", " ", "\n\t ") }

// members draws an object of the given keys, any of them missing, out of order or there several times.
func (d draw) members(max int, keys []string, value func(key string) string) string {
	var b strings.Builder
	b.WriteString("{" + d.space())
	for i := range rapid.IntRange(0, max).Draw(d.T, "members") {
		if i > 0 {
			b.WriteString("," + d.space())
		}
		key := d.pick("key", keys...)
		spelled := key
		if rapid.IntRange(0, 9).Draw(d.T, "escape") == 0 && key != "" && key[0] < 0x80 && key[0] != '\\' {
			spelled = `\u00` + string("0123456789abcdef"[key[0]>>4]) + string("0123456789abcdef"[key[0]&15]) + key[1:]
		}
		b.WriteString(`"` + spelled + `"` + d.space() + ":" + d.space() + value(key) + d.space())
	}
	return b.String() + "}"
}

func (d draw) anything(string) string {
	return d.pick("anything", `null`, `""`, `true`, `false`, `0`, `-1.50E+3`, `[]`, `{}`, `[1,{"a":"b"}]`, `{"a":{"a":1,"a":2}}`,
		`"plain"`, `"é🎉"`, `"\u00e9\n"`, `"\ud83c"`, "\"\xff\"", `"\u0000"`)
}

func (d draw) context(string) string {
	if rapid.IntRange(0, 5).Draw(d.T, "odd") == 0 {
		return d.anything("")
	}
	return d.members(4, []string{"ip", "library", "direct", "a", "b", `\u0000`, "\xff", ""}, func(key string) string {
		switch key {
		case "ip":
			return d.pick("ip", `null`, `""`, `"10.0.0.1"`, `7`)
		case "direct":
			return d.pick("direct", `true`, `false`, `null`, `"true"`)
		case "library":
			return d.pick("library", `{"name":"analytics.js"}`, `{"name":"analytics-go"}`, `{"name":"analytics\u002ejs","v":1}`,
				`{"name":"analytics.js","name":1}`, `"analytics.js"`, `{}`, `null`)
		}
		return d.anything("")
	})
}

func (d draw) time(string) string {
	return d.pick("time", `null`, `""`, `"2026-11-23T09:00:00Z"`, `"2026-11-23T10:00:00.123456789+02:00"`, `"2026\u002d01-01T00:00:00.5Z"`,
		`"2015-2-02"`, `1795414158323`, `"9999-12-31T23:59:59Z"`, `"0001-01-01T00:00:00Z"`, `"\u0000"`, `{}`)
}

// event draws one event; two of three obey the rules of judge.
func (d draw) event() string {
	if rapid.IntRange(0, 19).Draw(d.T, "no event") == 0 {
		return d.anything("")
	}
	obey := rapid.IntRange(0, 2).Draw(d.T, "obey") > 0
	keys := append([]string{"unknown", "version", "context", "context", "timestamp", "sentAt"}, fieldNames[:]...)
	text := d.members(10, keys, func(key string) string { return d.field(key, obey) })
	if !obey {
		return text
	}
	last := `"userId":"u","event":"e"}`
	if inside := strings.TrimSpace(text[1 : len(text)-1]); inside != "" {
		last = "," + last
	}
	return text[:len(text)-1] + last
}

func (d draw) field(key string, obey bool) string {
	bad := []string{`7`}
	if obey {
		bad = nil
	}
	switch key {
	case "context":
		return d.context("")
	case "integrations":
		return d.members(2, []string{"All", "X"}, d.anything)
	case "timestamp", "originalTimestamp", "sentAt", "receivedAt":
		return d.time("")
	case "type":
		return d.pick("type", append(bad, `"track"`, `"identify"`, `"page"`, `"group"`, `"tr\u0061ck"`, `"odd"`, `null`, `""`)...)
	case "userId", "anonymousId", "groupId", "previousId", "messageId":
		return d.pick("id", append(bad, `"a"`, `"b"`, `"\u0061"`, `"c"`, `"d"`, `""`, `null`, "\"\xff\"")...)
	case "event", "name", "category":
		return d.pick("name", append(bad, `"x"`, `"x"`, `""`, `null`)...)
	case "properties", "traits":
		return d.pick("object", append(bad, `{}`, `{"a":1.0}`, `{"writeKey":"x"}`, `null`)...)
	case "writeKey":
		return d.pick("writeKey", `"k"`, `"\u006b"`, `""`, `null`, `7`)
	}
	return d.anything("")
}

func (d draw) request() Request {
	r := request(Route(rapid.IntRange(0, int(Alias)).Draw(d.T, "route")), "")
	if rapid.Bool().Draw(d.T, "no address") {
		r.ClientIP = ""
	}
	if r.Route != Batch {
		r.Body = []byte(d.space() + d.event() + d.space())
		return r
	}
	events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return draw{t}.event() }), 1, 5).Draw(d.T, "events")
	batch := d.space() + `"batch":[` + strings.Join(events, ",") + "]"
	before := d.members(3, []string{"sentAt", "context", "context", "integrations", "messageId", "writeKey"}, d.envelope)
	after := d.members(2, []string{"sentAt", "context", "timestamp"}, d.envelope)
	parts := []string{}
	for _, p := range []string{strings.TrimSpace(before[1 : len(before)-1]), batch, strings.TrimSpace(after[1 : len(after)-1])} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	r.Body = []byte("{" + strings.Join(parts, ",") + "}")
	return r
}

func (d draw) envelope(key string) string {
	switch key {
	case "sentAt", "timestamp":
		return d.time("")
	case "context":
		return d.context("")
	case "writeKey":
		return `"k"`
	case "integrations":
		return d.members(2, []string{"All", "X", "Y"}, d.anything)
	}
	return d.anything("")
}

// Whatever is sent: every result means what the oracle says, and an Intake that has been used is as good as a new one.
func TestAgainstOracle(t *testing.T) {
	var used Intake
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		r := draw{t}.request()
		if r.Body[strings.IndexFunc(string(r.Body), func(c rune) bool { return !strings.ContainsRune(" \n\t", c) })] != '{' {
			require.ErrorIs(t, used.Parse(r), errNotObject)
			return
		}
		require.True(t, json.Valid(r.Body), "%s", r.Body)
		require.NoError(t, used.Parse(r), "%s", r.Body)
		compare(t, &used, r)
		accepted, refused = accepted+len(used.Events), refused+len(used.Rejected)

		var fresh Intake
		require.NoError(t, fresh.Parse(r))
		require.Equal(t, len(fresh.Events), len(used.Events))
		for i := range fresh.Events {
			require.Equal(t, fresh.Events[i], used.Events[i])
		}
	})
	require.Positive(t, accepted, "the draw reaches the splice")
	require.Positive(t, refused, "the draw reaches the rules")
}

func FuzzParse(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.body, uint8(c.route), true)
	}
	for _, line := range lines(f, "../../../../loadtest/replay/testdata/segment-events.jsonl") {
		f.Add(line, uint8(Track), false)
	}
	f.Add([]byte(`{"context":{"direct":true,"\u0069p":""},"batch":[{"userId":"u","type":"page","context":{"a":1},"writeKey":"k"}],"sentAt":"2026-11-23T09:00:00Z"}`), uint8(Batch), true)
	f.Fuzz(func(t *testing.T, body []byte, route uint8, address bool) {
		r := request(Route(route)%(Alias+1), string(body))
		if !address {
			r.ClientIP = ""
		}
		var in Intake
		if err := in.Parse(r); err != nil {
			var fault *Error
			require.ErrorAs(t, err, &fault)
			require.NotEmpty(t, fault.Code)
			require.Empty(t, in.Events)
			if fault.Message == "malformed JSON" {
				require.False(t, json.Valid(body), "%q", body)
			}
			return
		}
		compare(t, &in, r)
	})
}
