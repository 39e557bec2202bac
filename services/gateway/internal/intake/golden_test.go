package intake

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
)

var received = event.InstantOf(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))

// testID stands for every generated messageId.
func testID(dst []byte) []byte { return append(dst, "new-id"...) }

func request(route Route, body string) Request {
	return Request{Body: []byte(body), Route: route, ReceivedAt: received, ClientIP: "203.0.113.7", NewID: testID}
}

// at10 are the times that an event without any gets.
const at10 = `"timestamp":"2026-11-23T10:00:00.000Z","receivedAt":"2026-11-23T10:00:00.000Z"`

func TestSpliceOneEvent(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{
			"nothing but an id", `{"userId":"u"}`,
			`{"userId":"u","type":"identify","messageId":"new-id",` + at10 + `}`,
		},
		{
			"white space stays", " { \"userId\" : \"u\" ,\n \"messageId\":\"m\" } ",
			"{ \"userId\" : \"u\" ,\n \"messageId\":\"m\" " + `,"type":"identify",` + at10 + `}`,
		},
		{
			"null and empty are absent", `{"type":null,"messageId":"","userId":"u","anonymousId":null,"timestamp":null,"originalTimestamp":"","sentAt":""}`,
			`{"type":"identify","messageId":"new-id","userId":"u","anonymousId":null,"timestamp":"2026-11-23T10:00:00.000Z","originalTimestamp":"","sentAt":"","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"the event's type wins over the path's", `{"userId":"u","messageId":"m","type":"page"}`,
			`{"userId":"u","messageId":"m","type":"page",` + at10 + `}`,
		},
		{
			"write key first", `{"writeKey":"k","userId":"u","messageId":"m","type":"page"}`,
			`{"userId":"u","messageId":"m","type":"page",` + at10 + `}`,
		},
		{
			"write key between", `{"userId":"u", "writeKey" : "k" , "messageId":"m","type":"page"}`,
			`{"userId":"u", "messageId":"m","type":"page",` + at10 + `}`,
		},
		{
			"write key last", `{"userId":"u","messageId":"m","type":"page" , "writeKey":"k" }`,
			`{"userId":"u","messageId":"m","type":"page" , ` + at10 + `}`,
		},
		{
			"write key three times, escaped, and of another kind",
			`{"writeKey":7,"userId":"u","writeKe\u0079":"k","messageId":"m","type":"page","\u0077riteKey":"k"}`,
			`{"userId":"u","messageId":"m","type":"page",` + at10 + `}`,
		},
		{
			"a nested write key is the client's", `{"userId":"u","messageId":"m","type":"page","properties":{"writeKey":"k"}}`,
			`{"userId":"u","messageId":"m","type":"page","properties":{"writeKey":"k"},` + at10 + `}`,
		},
		{
			"claims in place, clock corrected", `{"receivedAt":"x","timestamp":"2026-11-23T06:00:00.123+01:00","sentAt":"2026-11-23T05:00:01Z","userId":"u","messageId":"m","type":"page"}`,
			`{"receivedAt":"2026-11-23T10:00:00.000Z","timestamp":"2026-11-23T09:59:59.123Z","sentAt":"2026-11-23T05:00:01Z","userId":"u","messageId":"m","type":"page","originalTimestamp":"2026-11-23T06:00:00.123+01:00"}`,
		},
		{
			"originalTimestamp is the older claim", `{"timestamp":"2026-11-23T09:00:00Z","originalTimestamp":"2026-11-23T08:00:00Z","userId":"u","messageId":"m","type":"page"}`,
			`{"timestamp":"2026-11-23T08:00:00.000Z","originalTimestamp":"2026-11-23T08:00:00Z","userId":"u","messageId":"m","type":"page","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"no time, kept raw", `{"timestamp":"2015-2-02T00:00:00","userId":"u","messageId":"m","type":"page"}`,
			`{"timestamp":"2026-11-23T10:00:00.000Z","userId":"u","messageId":"m","type":"page","originalTimestamp":"2015-2-02T00:00:00","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"a number as a time, kept raw", `{"timestamp":1795414158323,"userId":"u","messageId":"m","type":"page"}`,
			`{"timestamp":"2026-11-23T10:00:00.000Z","userId":"u","messageId":"m","type":"page","originalTimestamp":1795414158323,"receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"an escaped time", `{"timestamp":"2026\u002d11-23T09:00:00Z","userId":"u","messageId":"m","type":"page"}`,
			`{"timestamp":"2026-11-23T09:00:00.000Z","userId":"u","messageId":"m","type":"page","originalTimestamp":"2026\u002d11-23T09:00:00Z","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"sent but not dated: it happened when it was received", `{"sentAt":"2026-11-23T05:00:00Z","userId":"u","messageId":"m","type":"page"}`,
			`{"sentAt":"2026-11-23T05:00:00Z","userId":"u","messageId":"m","type":"page",` + at10 + `}`,
		},
		{
			"of equal keys the last counts, and stands alone",
			`{"timestamp":"2026-11-23T01:00:00Z","messageId":"m1","receivedAt":1,"timestamp":"2026-11-23T02:00:00Z","userId":"u","receivedAt":2,"messageId":"m2","type":"page","timesta\u006dp":"2026-11-23T03:00:00Z"}`,
			`{"userId":"u","receivedAt":"2026-11-23T10:00:00.000Z","messageId":"m2","type":"page","timesta\u006dp":"2026-11-23T03:00:00.000Z","originalTimestamp":"2026-11-23T03:00:00Z"}`,
		},
		{
			"numbers keep their text", `{"userId":"u","messageId":"m","type":"page","properties":{"n":1.0E+2,"big":12345678901234567890.10}}`,
			`{"userId":"u","messageId":"m","type":"page","properties":{"n":1.0E+2,"big":12345678901234567890.10},` + at10 + `}`,
		},
		{
			"what no reader can store becomes U+FFFD", "{\"userId\":\"u\\u0000\",\"messageId\":\"m\xff\",\"type\":\"page\",\"\\ud800\":\"\xe6\x97\"}",
			"{\"userId\":\"u\uFFFD\",\"messageId\":\"m\uFFFD\",\"type\":\"page\",\"\uFFFD\":\"\uFFFD\uFFFD\"," + at10 + `}`,
		},
		{
			"a dirty claim that moves", `{"userId":"u","messageId":"m","type":"page","timestamp":"\u0000"}`,
			`{"userId":"u","messageId":"m","type":"page","timestamp":"2026-11-23T10:00:00.000Z","originalTimestamp":"` + "\uFFFD" + `","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in Intake
			require.NoError(t, in.Parse(request(Identify, c.in)))
			require.Empty(t, in.Rejected)
			require.Len(t, in.Events, 1)
			require.Equal(t, c.want, string(in.Events[0].Value))
		})
	}
}

func TestSenderAddress(t *testing.T) {
	const head, tail = `{"userId":"u","messageId":"m","type":"page"`, `,` + at10 + `}`
	for _, c := range []struct{ name, context, want string }{
		{"none", ``, ``},
		{"null", `,"context":null`, `,"context":null`},
		{"no object", `,"context":"analytics.js"`, `,"context":"analytics.js"`},
		{"empty", `,"context":{}`, `,"context":{}`},
		{"browser", `,"context":{"library":{"name":"analytics.js"}}`, `,"context":{"library":{"name":"analytics.js"},"ip":"203.0.113.7"}`},
		{"browser, spaced", `,"context": { "library" : { "version":"1", "name" : "analytics\u002ejs" } } `, `,"context": { "library" : { "version":"1", "name" : "analytics\u002ejs" } ,"ip":"203.0.113.7"} `},
		{"app", `,"context":{"library":{"name":"analytics-kotlin"}}`, `,"context":{"library":{"name":"analytics-kotlin"},"ip":"203.0.113.7"}`},
		{"server", `,"context":{"library":{"name":"analytics-go"}}`, `,"context":{"library":{"name":"analytics-go"}}`},
		{"library is no object", `,"context":{"library":"analytics.js"}`, `,"context":{"library":"analytics.js"}`},
		{"name is no string", `,"context":{"library":{"name":["analytics.js"]}}`, `,"context":{"library":{"name":["analytics.js"]}}`},
		{"direct", `,"context":{"direct":true}`, `,"context":{"direct":true,"ip":"203.0.113.7"}`},
		{"direct is false", `,"context":{"direct":false}`, `,"context":{"direct":false}`},
		{"direct is no boolean", `,"context":{"direct":"true"}`, `,"context":{"direct":"true"}`},
		{"the last direct counts", `,"context":{"direct":true,"direct":false}`, `,"context":{"direct":true,"direct":false}`},
		{"the last library counts", `,"context":{"library":{"name":"analytics.js"},"library":{}}`, `,"context":{"library":{"name":"analytics.js"},"library":{}}`},
		{"said by the client", `,"context":{"direct":true,"ip":"10.0.0.1"}`, `,"context":{"direct":true,"ip":"10.0.0.1"}`},
		{"said as something else", `,"context":{"direct":true,"ip":0}`, `,"context":{"direct":true,"ip":0}`},
		{"said as null", `,"context":{"ip":null,"direct":true}`, `,"context":{"ip":"203.0.113.7","direct":true}`},
		{"said as empty", `,"context":{"direct":true,"i\u0070":""}`, `,"context":{"direct":true,"i\u0070":"203.0.113.7"}`},
		{"said twice", `,"context":{"ip":"10.0.0.1","direct":true, "ip":"10.0.0.2"}`, `,"context":{"direct":true, "ip":"10.0.0.2"}`},
		{"said twice, then not", `,"context":{"ip":"10.0.0.1","ip":"", "direct":true}`, `,"context":{"ip":"203.0.113.7", "direct":true}`},
		{"two contexts, both with two", `,"context":{"ip":"1","ip":"2"},"context":{"direct":true}`, `,"context":{"direct":true,"ip":"203.0.113.7"}`},
		{"a nested ip is not it", `,"context":{"direct":true,"device":{"ip":"1"}}`, `,"context":{"direct":true,"device":{"ip":"1"},"ip":"203.0.113.7"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in Intake
			require.NoError(t, in.Parse(request(Page, head+c.context+"}")))
			require.Len(t, in.Events, 1)
			require.Equal(t, head+c.want+tail, string(in.Events[0].Value))

			r := request(Page, head+c.context+"}")
			r.ClientIP = ""
			require.NoError(t, in.Parse(r))
			require.NotContains(t, string(in.Events[0].Value), "203.0.113.7")
		})
	}
}

func TestInheritance(t *testing.T) {
	const head = `{"userId":"u","messageId":"m","type":"page"`
	for _, c := range []struct{ name, batch, event, want string }{
		{
			"sentAt", `"sentAt":"2026-11-23T09:59:59Z"`, `,"timestamp":"2026-11-23T09:59:58Z"`,
			`,"timestamp":"2026-11-23T09:59:59.000Z","sentAt":"2026-11-23T09:59:59Z","originalTimestamp":"2026-11-23T09:59:58Z","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"sentAt of the event wins", `"sentAt":"2026-11-23T09:00:00Z"`, `,"timestamp":"2026-11-23T09:59:58Z","sentAt":"2026-11-23T10:00:00Z"`,
			`,"timestamp":"2026-11-23T09:59:58.000Z","sentAt":"2026-11-23T10:00:00Z","originalTimestamp":"2026-11-23T09:59:58Z","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"sentAt fills a null", `"sentAt":"2026-11-23T10:00:00Z"`, `,"sentAt":null,"timestamp":"2026-11-23T09:59:58Z"`,
			`,"sentAt":"2026-11-23T10:00:00Z","timestamp":"2026-11-23T09:59:58.000Z","originalTimestamp":"2026-11-23T09:59:58Z","receivedAt":"2026-11-23T10:00:00.000Z"}`,
		},
		{
			"context whole", `"context":{"library":{"name":"analytics-go"}, "a" : 1}`, ``,
			`,` + at10 + `,"context":{"library":{"name":"analytics-go"},"a" : 1}}`,
		},
		{"context into null", `"context":{"a":1}`, `,"context":null`, `,"context":{"a":1},` + at10 + `}`},
		{"context into empty", `"context":{"a":1}`, `,"context":{ }`, `,"context":{ "a":1},` + at10 + `}`},
		{
			"context of the event wins", `"context":{"a":1,"b":{"x":1},"c":3}`, `,"context":{"b":{"y":2},"\u0063":null}`,
			`,"context":{"b":{"y":2},"\u0063":null,"a":1},` + at10 + `}`,
		},
		{
			"equal keys of the batch: the last", `"context":{"a":1,"b":2,"\u0061":3}`, `,"context":{"b":0}`,
			`,"context":{"b":0,"\u0061":3},` + at10 + `}`,
		},
		{"nothing left to inherit", `"context":{"a":1,"a":2}`, `,"context":{"a":0}`, `,"context":{"a":0},` + at10 + `}`},
		{"a context that is no object stands", `"context":{"a":1}`, `,"context":[]`, `,"context":[],` + at10 + `}`},
		{"a batch context that is no object is nothing", `"context":[{"a":1}]`, ``, `,` + at10 + `}`},
		{"an empty batch context is nothing", `"context":{}`, `,"context":null`, `,"context":null,` + at10 + `}`},
		{
			"inherited library decides on the address", `"context":{"library":{"name":"analytics-swift"}}`, `,"context":{"os":1}`,
			`,"context":{"os":1,"library":{"name":"analytics-swift"},"ip":"203.0.113.7"},` + at10 + `}`,
		},
		{
			"the event's library decides on the address", `"context":{"library":{"name":"analytics-swift"}}`, `,"context":{"library":{"name":"analytics-go"}}`,
			`,"context":{"library":{"name":"analytics-go"}},` + at10 + `}`,
		},
		{"inherited address", `"context":{"direct":true,"ip":"10.0.0.1"}`, ``, `,` + at10 + `,"context":{"direct":true,"ip":"10.0.0.1"}}`},
		{"inherited emptiness is no address", `"context":{"ip":null,"direct":true}`, ``, `,` + at10 + `,"context":{"direct":true,"ip":"203.0.113.7"}}`},
		{
			"the event's emptiness is no address", `"context":{"ip":"10.0.0.1","direct":true}`, `,"context":{"ip":""}`,
			`,"context":{"ip":"203.0.113.7","direct":true},` + at10 + `}`,
		},
		{"integrations", `"integrations":{"All":true,"X":false}`, `,"integrations":{"X":{"k":1}}`, `,"integrations":{"X":{"k":1},"All":true},` + at10 + `}`},
		{"integrations whole", `"integrations":{"All":true}`, ``, `,` + at10 + `,"integrations":{"All":true}}`},
		{"integrations that are no object stand", `"integrations":{"All":true}`, `,"integrations":false`, `,"integrations":false,` + at10 + `}`},
		{"dirt is cleaned on the way", `"context":{"\u0000":"` + "\xff" + `"}`, ``, `,` + at10 + `,"context":{"` + "\uFFFD" + `":"` + "\uFFFD" + `"}}`},
		{
			"ids, times and the rest of the batch are not the event's", `"messageId":"batch","timestamp":"2001-01-01T00:00:00Z","sequence":1,"writeKey":"k"`, ``,
			`,` + at10 + `}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, body := range []string{
				`{` + c.batch + `,"batch":[` + head + c.event + `}]}`,
				`{"batch":[` + head + c.event + `}],` + c.batch + `}`,
			} {
				var in Intake
				require.NoError(t, in.Parse(request(Batch, body)))
				require.Len(t, in.Events, 1)
				require.Equal(t, head+c.want, string(in.Events[0].Value), body)
			}
		})
	}
}

// An overlay begins anew with every event: what one overrides, the next inherits.
func TestInheritanceByTurns(t *testing.T) {
	body := `{"context":{"a":1,"b":2},"batch":[
		{"userId":"u","messageId":"1","type":"page","context":{"a":0}},
		{"userId":"u","messageId":"2","type":"page","context":{"b":0}},
		{"userId":"u","messageId":"3","type":"page"}]}`
	var in Intake
	require.NoError(t, in.Parse(request(Batch, body)))
	var got []string
	for _, e := range in.Events {
		_, after, _ := strings.Cut(string(e.Value), `"context":`)
		got = append(got, after[:strings.Index(after, "}")+1])
	}
	require.Equal(t, []string{`{"a":0,"b":2}`, `{"b":0,"a":1}`, `{"a":1,"b":2}`}, got)
}
