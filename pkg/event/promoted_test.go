package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

// paths are promoted columns named for their paths.
func paths(texts ...string) []lake.Promoted {
	types := map[string]lake.Type{"string": lake.String, "bigint": lake.BigInt, "double": lake.Double, "boolean": lake.Boolean, "timestamp": lake.Timestamp, "date": lake.Date}
	var out []lake.Promoted
	for _, text := range texts {
		path, typ, _ := strings.Cut(text, ":")
		out = append(out, lake.Promoted{Name: path, Path: strings.Split(path, "."), Type: types[typ]})
	}
	return out
}

// cells of a value, as text by the name of their column.
func cells(t testing.TB, columns []lake.Promoted, v *View, value string) map[string]string {
	r := Record{Topic: "weir.events", Key: []byte("source1"), Timestamp: time.UnixMilli(1_795_428_000_000), Value: []byte(value)}
	if v.Decode(&r) != "" {
		return nil
	}
	out := map[string]string{}
	for _, c := range v.Cells {
		column, ok := columns[c.Path].Column(c.Side)
		require.True(t, ok, "%s has no column %d", columns[c.Path].Name, c.Side)
		require.NotContains(t, out, column.Name)
		out[column.Name] = cellText(column.Type, c)
	}
	return out
}

func cellText(typ lake.Type, c Cell) string {
	switch typ {
	case lake.Double:
		return strconv.FormatFloat(math.Float64frombits(uint64(c.Number)), 'g', -1, 64)
	case lake.Boolean:
		return strconv.FormatBool(c.Number == 1)
	case lake.BigInt:
		return strconv.FormatInt(c.Number, 10)
	case lake.Timestamp:
		return time.UnixMicro(c.Number).UTC().Format(time.RFC3339Nano)
	case lake.Date:
		return time.Unix(c.Number*86400, 0).UTC().Format(time.DateOnly)
	}
	return string(c.Text)
}

func TestPromotedValues(t *testing.T) {
	columns := paths("properties.s:string", "properties.i:bigint", "properties.d:double", "properties.b:boolean", "properties.t:timestamp", "properties.day:date")
	v := &View{Promotion: NewPromotion(columns)}
	for _, c := range []struct{ key, value, column, text string }{
		{"s", `"a\u0062"`, "properties.s", "ab"},
		{"s", `""`, "properties.s", ""},
		{"s", `12.50`, "properties.s", "12.50"},
		{"s", `true`, "properties.s", "true"},
		{"s", `{"a": [1]}`, "properties.s", `{"a": [1]}`},
		{"i", `5`, "properties.i", "5"},
		{"i", `-9223372036854775808`, "properties.i", "-9223372036854775808"},
		{"i", `9223372036854775808`, "properties.i__string", "9223372036854775808"},
		{"i", `123456789012345678901234567890`, "properties.i__string", "123456789012345678901234567890"},
		{"i", `5.0`, "properties.i", "5"},
		{"i", `-1.5e3`, "properties.i", "-1500"},
		{"i", `5.00000000000000000`, "properties.i", "5"},
		{"i", `1.00000000000000000001`, "properties.i__double", "1"},
		{"i", `9007199254740993.0`, "properties.i__double", "9.007199254740992e+15"},
		{"i", `1e16`, "properties.i__double", "1e+16"},
		{"i", `5.5`, "properties.i__double", "5.5"},
		{"i", `"5"`, "properties.i__string", "5"},
		{"i", `false`, "properties.i__boolean", "false"},
		{"i", `[5]`, "properties.i__string", "[5]"},
		{"d", `5`, "properties.d", "5"},
		{"d", `-0.1`, "properties.d", "-0.1"},
		{"d", `0.1234567890123456789`, "properties.d", "0.12345678901234568"},
		{"d", `9007199254740992`, "properties.d", "9.007199254740992e+15"},
		{"d", `9007199254740993`, "properties.d__bigint", "9007199254740993"},
		{"d", `9223372036854775808`, "properties.d__string", "9223372036854775808"},
		{"d", `1e308`, "properties.d", "1e+308"},
		{"d", `1e309`, "properties.d__string", "1e309"},
		{"d", `1e-400`, "properties.d__string", "1e-400"},
		{"d", `0e-400`, "properties.d", "0"},
		{"d", `"19.99"`, "properties.d__string", "19.99"},
		{"d", `true`, "properties.d__boolean", "true"},
		{"b", `true`, "properties.b", "true"},
		{"b", `1`, "properties.b__bigint", "1"},
		{"b", `1.0`, "properties.b__double", "1"},
		{"b", `"true"`, "properties.b__string", "true"},
		{"t", `"2026-11-24T10:00:00.1239+01:00"`, "properties.t", "2026-11-24T09:00:00.123Z"},
		{"t", `"yesterday"`, "properties.t__string", "yesterday"},
		{"t", `1795428000`, "properties.t__bigint", "1795428000"},
		{"t", `1795428000.5`, "properties.t__double", "1.7954280005e+09"},
		{"t", `{}`, "properties.t__string", "{}"},
		{"day", `"2024-02-29"`, "properties.day", "2024-02-29"},
		{"day", `"0001-01-01"`, "properties.day", "0001-01-01"},
		{"day", `"2026-02-29"`, "properties.day__string", "2026-02-29"},
		{"day", `"2026-11-24T10:00:00Z"`, "properties.day__string", "2026-11-24T10:00:00Z"},
	} {
		value := fmt.Sprintf(`{"type":"track","properties":{%q:%s}}`, c.key, c.value)
		require.Equal(t, map[string]string{c.column: c.text}, cells(t, columns, v, value), value)
		require.Equal(t, 1, len(v.Properties.Entries), "the map keeps it")
	}
	require.Empty(t, cells(t, columns, v, `{"type":"track","properties":{"s":null,"x":5,"i":null}}`))
}

func TestPromotedPaths(t *testing.T) {
	columns := paths("context.page.url:string", "context.page.search:string", "context.page:string", "context.ip:string", "traits.a.b.c.d:bigint", "properties.url:string")
	v := &View{Promotion: NewPromotion(columns)}
	for value, want := range map[string]map[string]string{
		`"context":{"page":{"url":"u","title":"t","search":"s"},"ip":"i"}`: {"context.page.url": "u", "context.page.search": "s", "context.page": `{"url":"u","title":"t","search":"s"}`, "context.ip": "i"},
		`"context":{"page":{"\u0075rl":"u"}}`:                              {"context.page.url": "u", "context.page": `{"\u0075rl":"u"}`},
		`"context":{"page":"url"}`:                                         {"context.page": "url"},
		`"context":{"page":["url"]}`:                                       {"context.page": `["url"]`},
		`"context":{"page":null}`:                                          {},
		`"context":{"url":"u"},"properties":{"page":{"url":"u"}}`:          {},
		`"url":"u","page":{"url":"u"}`:                                     {},
		// Of duplicates the last counts, on every level.
		`"context":{"page":{"url":"1","search":"s"},"page":{"url":"2"}}`: {"context.page.url": "2", "context.page": `{"url":"2"}`},
		`"context":{"page":{"url":"1","url":"2"}}`:                       {"context.page.url": "2", "context.page": `{"url":"1","url":"2"}`},
		`"context":{"page":{"url":"1","url":null}}`:                      {"context.page": `{"url":"1","url":null}`},
		`"context":{"page":{"url":"1"},"page":null}`:                     {},
		`"context":{"page":{"url":"1"}},"context":{"ip":"i"}`:            {"context.ip": "i"},
		`"context":{"page":{"url":"1"}},"context":null`:                  {},
		`"context":{"ip":"i"},"context":[]`:                              {},
		`"traits":{"a":{"b":{"c":{"d":7}},"b":{"c":{"d":8}}}}`:           {"traits.a.b.c.d": "8"},
		`"traits":{"a":{"b":{"c":{"d":7}},"b":{}}}`:                      {},
		`"properties": { "url" : "u" }`:                                  {"properties.url": "u"},
	} {
		require.Equal(t, want, cells(t, columns, v, `{"type":"track",`+value+`}`), value)
	}
	require.Nil(t, cells(t, columns, v, `{"type":"track","context":{"page":{"url":1}`), "it ends too early")
	require.Nil(t, cells(t, columns, v, `{"type":"track","context":{"page":{"url":1]}}}`))
	deep := strings.Repeat(`{"a":`, 200)
	require.Nil(t, cells(t, columns, v, `{"type":"track","traits":`+deep))
	require.Empty(t, cells(t, columns, v, `{"type":"track"}`), "nothing of the last event is left")

	v.Promotion = nil
	require.Empty(t, cells(t, columns, v, `{"type":"track","context":{"ip":"i"}}`))
}

// Keys that look alike are told apart, however many there are.
func TestPromotedManyKeys(t *testing.T) {
	var texts []string
	event := map[string]int{}
	want := map[string]string{}
	for i := range 700 {
		key := fmt.Sprintf("k%03dx", i)
		texts = append(texts, "properties."+key+":bigint")
		event[key], event[key+"y"] = i, -i
		want["properties."+key] = strconv.Itoa(i)
	}
	columns := paths(texts...)
	value, err := json.Marshal(map[string]any{"type": "track", "properties": event})
	require.NoError(t, err)
	require.Equal(t, want, cells(t, columns, &View{Promotion: NewPromotion(columns)}, string(value)))
}

func TestPromotionAllocatesNothing(t *testing.T) {
	columns := paths("context.page.url:string", "properties.a:double", "properties.b:bigint", "properties.c:double")
	v := &View{Promotion: NewPromotion(columns)}
	r := Record{Key: []byte("s"), Timestamp: time.UnixMilli(1), Value: []byte(`{"type":"track","messageId":"m","context":{"page":{"url":"u"}},"properties":{"a":19.99,"b":7,"c":1.2345678901234567e-9}}`)}
	require.Zero(t, testing.AllocsPerRun(100, func() { v.Decode(&r) }))
	require.Len(t, v.Cells, 4)
}

// FuzzPromoted compares what is found to what encoding/json and math/big say.
func FuzzPromoted(f *testing.F) {
	columns := paths("context.a.b:string", "context.a:bigint", "context.n:double", "properties.b:boolean", "traits.t:timestamp", "traits.d:date", "properties.i:bigint")
	for _, s := range []string{
		`{"type":"x","context":{"a":{"b":"c"},"n":1.5},"properties":{"b":true,"i":1e2},"traits":{"t":"2026-01-01T00:00:00Z","d":"2026-01-01"}}`,
		`{"type":"x","context":{"a":1,"a":{"b":2}},"properties":{"i":99999999999999999999}}`,
		`{"type":"x","context":{"a":{"b":1},"a":{"b":{"b":1}}},"context":{"n":-0}}`,
		`{"type":"x","context":{"n":123456.789e-3},"properties":{"i":0.1e1,"b":"\ud800"}}`,
	} {
		f.Add([]byte(s))
	}
	v := &View{Promotion: NewPromotion(columns)}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := cells(t, columns, v, string(value))
		if got == nil || !clean(value) {
			return
		}
		require.Equal(t, wantedCells(columns, value), got)
	})
}

// clean leaves out what encoding/json decodes in its own way.
func clean(value []byte) bool {
	return !bytes.Contains(value, []byte("\\")) && bytes.Equal(bytes.ToValidUTF8(value, nil), value)
}

func wantedCells(columns []lake.Promoted, value []byte) map[string]string {
	out := map[string]string{}
	for _, c := range columns {
		raw, ok := json.RawMessage(value), true
		for _, key := range c.Path {
			var object map[string]json.RawMessage
			if ok = json.Unmarshal(raw, &object) == nil && object != nil; !ok {
				break
			}
			if raw, ok = object[key]; !ok {
				break
			}
		}
		if raw = bytes.TrimSpace(raw); ok && string(raw) != "null" {
			side, text := wantedCell(c.Type, raw)
			column, _ := c.Column(side)
			out[column.Name] = text
		}
	}
	return out
}

func wantedCell(typ lake.Type, raw json.RawMessage) (lake.Side, string) {
	if typ == lake.String {
		return lake.Main, scalar(raw)
	}
	fits := func(t lake.Type, s lake.Side) lake.Side {
		if t == typ {
			return lake.Main
		}
		return s
	}
	switch raw[0] {
	case '"':
		text := scalar(raw)
		if at, err := time.Parse(time.RFC3339, strings.ToUpper(text)); typ == lake.Timestamp && err == nil && InstantOf(at).Valid && ok(ParseTime([]byte(text))) {
			return lake.Main, at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
		}
		if at, err := time.Parse(time.DateOnly, text); typ == lake.Date && err == nil && at.Year() > 0 {
			return lake.Main, text
		}
		return lake.SideString, text
	case 't', 'f':
		return fits(lake.Boolean, lake.SideBoolean), string(raw)
	case '{', '[':
		return lake.SideString, string(raw)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	double := strconv.FormatFloat(f, 'g', -1, 64)
	if bytes.ContainsAny(raw, ".eE") {
		switch {
		case err != nil || f == 0 && strings.ContainsAny(strings.Split(strings.ToLower(string(raw)), "e")[0], "123456789"):
			return lake.SideString, string(raw)
		case typ == lake.BigInt && math.Abs(f) < 1e15 && wholly(raw, f):
			return lake.Main, strconv.FormatInt(int64(f), 10)
		}
		return fits(lake.Double, lake.SideDouble), double
	}
	n, ok := new(big.Int).SetString(string(raw), 10)
	switch {
	case !ok || !n.IsInt64():
		return lake.SideString, string(raw)
	case typ == lake.Double && n.CmpAbs(big.NewInt(1<<53)) <= 0:
		return lake.Main, strconv.FormatFloat(float64(n.Int64()), 'g', -1, 64)
	}
	return fits(lake.BigInt, lake.SideBigInt), n.String()
}

// wholly tells exactly whether the text, of which f is the double, is an integer.
func wholly(text []byte, f float64) bool {
	if f == 0 {
		return true // what is smaller than any double was told apart before
	}
	r, ok := new(big.Rat).SetString(string(text))
	return ok && r.IsInt()
}

func ok(_ Instant, ok bool) bool { return ok }

// Doubles are those that strconv reads.
func TestShortDoubles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		text := strconv.FormatFloat(math.Pow(10, rnd.Float64()*18)*(rnd.Float64()-0.5), 'f', rnd.IntN(12), 64)
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		got, ok := parseDouble([]byte(text))
		require.Equal(t, math.Float64bits(want), math.Float64bits(got), text)
		require.True(t, ok)
	}
}
