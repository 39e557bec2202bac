// Package emr holds the jobs of deploy/emr against the sink: the same events through Kafka and through raw files must give
// the same rows. It knows no rule of what an event becomes; pkg/event and the sink say it.
package emr

import "strings"

// hostile are the insides of events that clients send and nobody expects, each without the braces.
func hostile() []string {
	many := make([]string, 0, 200)
	for i := range 200 {
		many = append(many, `"k`+strings.Repeat("x", i%7)+`":`+strings.Repeat("1", 1+i%9))
	}
	return []string{
		`"type":"track","event":"Ünïcödé 事件 😀","userId":"ü","properties":{"größe":"1,50 €","表":[1,"二"],"esc":"\u00fc\ud83d\ude00\/\"\\"}`,
		`"type":"track","event":"numbers","properties":{"a":12.50,"b":1e400,"c":-0,"d":0.10000000000000000000001,"e":123456789012345678901234567890,"f":1E-7}`,
		`"type":"track","event":"spaces","properties":{"o": { "b" :1 ,	"a":[ 1 , 2 ] } , "e":{ } , "l":[ ] }`,
		`"type":"identify","traits":{"a":1,"a":{"b":2},"\u0061":"last"},"userId":"first","userId":7,"traits":{"x":null,"y":true,"":""}`,
		`"type":"track","event":"no text","properties":{"nul\u0000":"a\u0000b","half":"\ud83d","turned":"\ude00\ud83d","deep":{"\ud800":"\u0000","pair":"\ud83d\ude00","kept":"\\u0000"}}`,
		"\"type\":\"track\",\"event\":\"bytes \xff\xc3\x28\xed\xa0\x80\xf0\x9f\x98\",\"properties\":{\"\xe2\x82\":\"\xf5\",\"o\":{\"\xc0\xaf\":1}}",
		`"type":"page","name":["x"],"category":{"a":1},"groupId":false,"previousId":1.50e3,"version":-0,"context":"none","traits":[{}],"properties":7,"integrations":false`,
		`"event":"no type","integrations":null,"context":{},"channel":"server","gone":null,"_metadata":{"bundled":[]},"messageID":"other case"`,
		`"type":"","event":"empty type","userId":"","anonymousId":null`,
		`"type":{"a":1},"event":"type rescued"`,
		`"type":"track","event":"times","originalTimestamp":"2026-11-23T08:00:00.9999999Z","sentAt":"2026-11-23t08:00:02.5+00:00","timestamp":"2026-11-23T07:00:00Z"`,
		`"type":"track","event":"no times","timestamp":"2015-2-02T00:00:00Z","sentAt":1700000000000,"originalTimestamp":"yesterday"`,
		`"type":"track","event":"edges","timestamp":"0001-01-01T00:00:00Z","sentAt":"9999-12-31T00:00:00Z"`,
		`"type":"track","event":"old","originalTimestamp":"1582-10-05T00:00:00Z"`,
		`"type":"track","event":"year 0","originalTimestamp":"0000-12-31T23:30:00-01:00","sentAt":"2026-02-29T00:00:00Z"`,
		`"type":"track","event":"empty times","originalTimestamp":"","timestamp":"2026-11-23T07:00:00\u005a","sentAt":null`,
		`"type":"track","event":"deep","properties":{"d":` + strings.Repeat("[", 125) + strings.Repeat("]", 125) + `}`,
		`"type":"track","event":"many","properties":{` + strings.Join(many, ",") + `}`,
		`"type":"track","event":"long","properties":{"t":"` + strings.Repeat("long ", 20_000) + `"}`,
		`"type":"track","event":"twice","channel":"first","channel":{"last":1},"context":{"a":1},"context":null,"event":"last"`,
		`"type":"invented","event":null,"properties":null`,
		// What means something to Hive between its columns and lines.
		`"type":"\\N","event":"tab\there","name":"\\","category":"\r\n","properties":{"\\N":"\\N","\u0001\u0002":"\u0003\t","":"","null":null,"\\t":"\\\\r","l":["\\",{"a":"\n"}]},"traits":{},"context":{"":null},"integrations":{"":""}`,
		"\"type\":\"track\",\r\"event\":\t\"white\"",
	}
}
