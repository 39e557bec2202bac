package intake

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// eventOf is what a browser sends, about 1.1 KB, 40 keys.
func eventOf(i int) string {
	return fmt.Sprintf(`{"timestamp":"2026-11-23T06:09:18.323Z","integrations":{"Segment.io":true},"type":"track","event":"Order Completed","userId":"user-%[1]d","properties":{"order_id":"50314b8e9bcf%012[1]d","total":27.50,"revenue":25.00,"shipping":3,"tax":2,"discount":2.5,"coupon":"hasbros","currency":"USD","products":[{"product_id":"507f1f77bcf86cd799439011","sku":"45790-32","name":"Monopoly: 3rd Edition","price":19,"quantity":1,"category":"Games","url":"https://shop.example.com/product/path"}]},"context":{"page":{"path":"/products/1","referrer":"https://google.com/","search":"?utm_source=news&utm_campaign=tps","title":"Academy","url":"https://shop.example.com/products/1?utm_source=news&utm_campaign=tps"},"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36","locale":"en-US","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"campaign":{"source":"news","name":"tps"},"timezone":"Europe/Vienna"},"messageId":"ajs-next-1795414158323-ba87f637-330c-48f9-847b-%012[1]d","anonymousId":"87f63733-0cc8-4984-bbb2-835cfa093293","writeKey":"wk_test"}`, i)
}

func batchOf(n int, more string) []byte {
	events := make([]string, n)
	for i := range events {
		events[i] = eventOf(i)
	}
	return []byte(`{"batch":[` + strings.Join(events, ",") + `],"sentAt":"2026-11-23T06:09:19.000Z"` + more + `}`)
}

func TestNothingAllocatesInSteadyState(t *testing.T) {
	for name, r := range map[string]Request{
		"batch":     {Route: Batch, Body: batchOf(100, "")},
		"inherited": {Route: Batch, Body: batchOf(100, `,"context":{"library":{"name":"x"},"a":{"b":1},"c":"d"},"integrations":{"All":true}`)},
		"no ids":    {Route: Batch, Body: []byte(strings.ReplaceAll(string(batchOf(100, "")), `"messageId"`, `"m"`))},
		"dirty":     {Route: Batch, Body: []byte(strings.ReplaceAll(string(batchOf(100, "")), `Games`, `G\u0000mes`))},
		"rejected":  {Route: Batch, Body: []byte(strings.ReplaceAll(string(batchOf(100, "")), `"event"`, `"e"`))},
		"single":    {Route: Track, Body: []byte(eventOf(1))},
		"rules":     {Route: Batch, Body: []byte(strings.ReplaceAll(string(batchOf(100, "")), `"locale"`, `"ip":"10.0.0.1","locale"`)), Rules: benchRules()},
	} {
		r.ReceivedAt, r.ClientIP, r.NewID = received, "203.0.113.7", testID
		var in Intake
		parse := func() {
			if err := in.Parse(r); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			parse()
		}
		most := 0.0
		if r.Rules != nil {
			most = 3 // the connection's address, masked once for all events
		}
		require.LessOrEqual(t, testing.AllocsPerRun(20, parse), most, name)
	}
}

func benchmark(b *testing.B, events int, r Request) {
	r.ReceivedAt, r.ClientIP, r.NewID = received, "203.0.113.7", testID
	var in Intake
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := in.Parse(r); err != nil || len(in.Events) != events {
			b.Fatal(err, len(in.Events))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

func BenchmarkBatch100(b *testing.B) {
	benchmark(b, 100, Request{Route: Batch, Body: batchOf(100, "")})
}

func BenchmarkBatch100Inherited(b *testing.B) {
	benchmark(b, 100, Request{Route: Batch, Body: batchOf(100, `,"context":{"library":{"name":"analytics-go","version":"3.0.0"}}`)})
}

// benchRules change three members of every event.
func benchRules() *Rules {
	return NewRules(Policy{Key: testKey, Drop: []string{"context.userAgent", "properties.coupon"}, Hash: []string{"userId"}, MaskIP: testMask})
}

func BenchmarkBatch100Rules(b *testing.B) {
	benchmark(b, 100, Request{Route: Batch, Body: batchOf(100, ""), Rules: benchRules()})
}

// BenchmarkBatch100IdleRules is what rules cost that change nothing.
func BenchmarkBatch100IdleRules(b *testing.B) {
	benchmark(b, 100, Request{Route: Batch, Body: batchOf(100, ""), Rules: NewRules(Policy{Drop: []string{"traits.email"}, Suppressed: []string{"x"}})})
}

func BenchmarkSingle(b *testing.B) {
	benchmark(b, 1, Request{Route: Track, Body: []byte(eventOf(1))})
}

// BenchmarkEncodingJSONValid reads the same batch with the standard library and does nothing with it.
func BenchmarkEncodingJSONValid(b *testing.B) {
	body := batchOf(100, "")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if !json.Valid(body) {
			b.Fatal("not valid")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*100), "ns/event")
}
