package jsonscan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// event is what a browser sends, about 1.1 KB, 40 keys.
const event = `{"timestamp":"2026-11-23T06:09:18.323Z","integrations":{"Segment.io":true},"type":"track","event":"Order Completed","userId":"user-71823","properties":{"order_id":"50314b8e9bcf000000000000","total":27.50,"revenue":25.00,"shipping":3,"tax":2,"discount":2.5,"coupon":"hasbros","currency":"USD","products":[{"product_id":"507f1f77bcf86cd799439011","sku":"45790-32","name":"Monopoly: 3rd Edition","price":19,"quantity":1,"category":"Games","url":"https://shop.example.com/product/path"}]},"context":{"page":{"path":"/products/1","referrer":"https://google.com/","search":"?utm_source=news&utm_campaign=tps","title":"Academy","url":"https://shop.example.com/products/1?utm_source=news&utm_campaign=tps"},"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36","locale":"en-US","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"campaign":{"source":"news","name":"tps"},"timezone":"Europe/Vienna"},"messageId":"ajs-next-1795414158323-ba87f637-330c-48f9-847b-b2835cfa0932","anonymousId":"87f63733-0cc8-4984-bbb2-835cfa093293","sentAt":"2026-11-23T06:09:18.357Z"}`

func TestNothingAllocates(t *testing.T) {
	text := []byte(event)
	raw := []byte(`"k\u00e9y \ud83c\udf89"`)
	dst := make([]byte, 0, 4096)
	var s Scanner
	for name, f := range map[string]func(){
		"Valid":           func() { _ = Valid(text) },
		"walk":            func() { s.Reset(text); walkValue(&s); _ = s.End() },
		"AppendUnescaped": func() { AppendUnescaped(dst, raw) },
		"AppendClean":     func() { AppendClean(dst, text) },
		"AppendQuoted":    func() { AppendQuoted(dst, "a \"quoted\" text\n") },
		"EqualKey":        func() { EqualKey(raw, "kéy 🎉") },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}

func BenchmarkSkip(b *testing.B) {
	text := []byte(event)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if Valid(text) != nil {
			b.Fatal("invalid")
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	text := []byte(event)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(text)
		walkValue(&s)
		if s.End() != nil {
			b.Fatal("invalid")
		}
	}
}

func BenchmarkClean(b *testing.B) {
	text := []byte(event)
	dst := make([]byte, 0, 4096)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendClean(dst[:0], text)
	}
}

func BenchmarkEncodingJSONValid(b *testing.B) {
	text := []byte(event)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(text) {
			b.Fatal("invalid")
		}
	}
}
