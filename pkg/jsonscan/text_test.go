package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestUnescapedAndClean(t *testing.T) {
	const bad = "\uFFFD"
	for _, c := range []struct{ raw, text, clean string }{
		{`""`, ``, `""`},
		{`"plain"`, `plain`, `"plain"`},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", `"\"\\\/\b\f\n\r\t"`},
		{`"caf\u00E9 \u65e5"`, `café 日`, `"caf\u00E9 \u65e5"`},
		{`"\uD83C\uDF89 🎉"`, `🎉 🎉`, `"\uD83C\uDF89 🎉"`},
		{`"\ud83c"`, bad, `"` + bad + `"`},
		{`"a\ud83cb\udf89c"`, "a" + bad + "b" + bad + "c", `"a` + bad + `b` + bad + `c"`},
		{`"\ud83c\ud83c\udf89"`, bad + "🎉", `"` + bad + `\ud83c\udf89"`},
		{`"\ud83c\n"`, bad + "\n", `"` + bad + `\n"`},
		{`"a\u0000b"`, "a" + bad + "b", `"a` + bad + `b"`},
		{`"a\\u0000b"`, `a\u0000b`, `"a\\u0000b"`},
		{`"\\\u0000"`, `\` + bad, `"\\` + bad + `"`},
		{`"\ufffd` + bad + `"`, bad + bad, `"\ufffd` + bad + `"`},
		{`"\uFFFD"`, bad, `"\uFFFD"`},
		{"\"a\xffb\"", "a" + bad + "b", `"a` + bad + `b"`},
		{"\"\xed\xa0\x80\"", bad + bad + bad, `"` + bad + bad + bad + `"`},
		{"\"\xc3\xc3\xa9\"", bad + "é", `"` + bad + `é"`},
		{"\"12345678\xe6\x97\"", "12345678" + bad + bad, `"12345678` + bad + bad + `"`},
	} {
		require.NoError(t, Valid([]byte(c.raw)))
		require.Equal(t, c.text, string(AppendUnescaped(nil, []byte(c.raw))), c.raw)
		require.Equal(t, "x"+c.text, string(AppendUnescaped([]byte("x"), []byte(c.raw))), c.raw)
		require.Equal(t, c.clean, string(AppendClean(nil, []byte(c.raw))), c.raw)
		require.True(t, EqualKey([]byte(c.raw), c.text), c.raw)
		require.False(t, EqualKey([]byte(c.raw), c.text+"x"), c.raw)
		require.False(t, EqualKey([]byte(c.raw), "x"+c.text), c.raw)
	}
}

func TestCleanKeepsEverythingElse(t *testing.T) {
	text := "{ \"a\" :\t[1.50E+3 , \"x\\u0000\xff\" ],\n\"\\ud800\":null}"
	require.Equal(t, "{ \"a\" :\t[1.50E+3 , \"x\uFFFD\uFFFD\" ],\n\"\uFFFD\":null}", string(AppendClean(nil, []byte(text))))
}

func TestEqualKey(t *testing.T) {
	for _, c := range []struct {
		raw, key string
		equal    bool
	}{
		{`"writeKey"`, "writeKey", true},
		{`"writeKe\u0079"`, "writeKey", true},
		{`"\u0077\u0072\u0069\u0074\u0065\u004b\u0065\u0079"`, "writeKey", true},
		{`"writeke\u0079"`, "writeKey", false},
		{`"writeKe"`, "writeKey", false},
		{`"writeKe\u0079s"`, "writeKey", false},
		{`"a\u0062"`, `a\u0062`, false},
		{`"a\\u0062"`, `a\u0062`, true},
		{`""`, "", true},
		{`"x"`, "", false},
		{`"\n"`, "n", false},
		{"\"\xff\"", "\uFFFD", true},
		{"\"\xff\"", "\xff", false},
	} {
		require.Equal(t, c.equal, EqualKey([]byte(c.raw), c.key), "%s %q", c.raw, c.key)
	}
}

func TestAppendQuoted(t *testing.T) {
	require.Equal(t, `x"a\"\\\n\u0001é🎉`+"\u2028\uFFFD\uFFFD"+`"`, string(AppendQuoted([]byte("x"), "a\"\\\n\x01é🎉\u2028\x00\xff")))
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		quoted := AppendQuoted(nil, text)
		require.NoError(t, Valid(quoted))
		want := strings.ReplaceAll(toUTF8(text), "\x00", "\uFFFD")
		require.Equal(t, want, string(AppendUnescaped(nil, quoted)))
		var std string
		require.NoError(t, json.Unmarshal(quoted, &std))
		require.Equal(t, want, std)
	})
}

// toUTF8 replaces every byte that is not UTF-8 on its own, where strings.ToValidUTF8 replaces runs.
func toUTF8(s string) string { return string([]rune(s)) }

// jsonText draws texts that are JSON but for a few mutations, so that both verdicts are common.
func jsonText(t *rapid.T) []byte {
	text := []byte(jsonValue(t, 4))
	for range rapid.IntRange(0, 2).Draw(t, "mutations") {
		at := rapid.IntRange(0, len(text)).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			text = text[:at]
		case 1:
			if at < len(text) {
				text[at] = rapid.Byte().Draw(t, "byte")
			}
		case 2:
			piece := rapid.SampledFrom([]string{",", "]", "}", "\"", "\\", " ", "0", "e", "\xff", "\\u0000"}).Draw(t, "piece")
			text = append(text[:at:at], append([]byte(piece), text[at:]...)...)
		}
	}
	return text
}

func jsonValue(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r"})
	kinds := 7
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
	case 1:
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "number")
	case 2, 3, 4:
		return jsonString(t)
	case 5:
		var b strings.Builder
		b.WriteByte('[')
		for i := range rapid.IntRange(0, 4).Draw(t, "elements") {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(space.Draw(t, "space") + jsonValue(t, depth-1) + space.Draw(t, "space"))
		}
		return b.String() + "]"
	}
	var b strings.Builder
	b.WriteByte('{')
	for i := range rapid.IntRange(0, 4).Draw(t, "members") {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(space.Draw(t, "space") + jsonString(t) + space.Draw(t, "space") + ":" +
			space.Draw(t, "space") + jsonValue(t, depth-1) + space.Draw(t, "space"))
	}
	return b.String() + "}"
}

func jsonString(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		"a", "key", "a longer run of plain text", "é", "日本語", "🎉", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\u00e9`,
		`\ud83c\udf89`, `\ud83c`, `\udf89`, `\u0000`, "\xff", "\xed\xa0\x80", "\x7f",
	})
	return `"` + strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), "") + `"`
}

func TestAgainstEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { compare(t, jsonText(t)) })
}

// compare holds one text against encoding/json, which judges the same but for the depth it allows.
func compare(t require.TestingT, text []byte) {
	err := Valid(text)
	if fault, ok := err.(*Error); ok && fault.Reason == ReasonDepth {
		require.Greater(t, bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")), MaxDepth)
		return
	}
	require.Equal(t, json.Valid(text), err == nil, "%q: %v", text, err)
	require.Equal(t, err, walk(text), "%q", text)
	if err != nil {
		return
	}
	var s Scanner
	s.Reset(text)
	v, ok := s.Skip()
	require.True(t, ok)
	require.Equal(t, strings.TrimSpace(string(text)), string(s.Text(v)), "JSON's white space is a part of Go's")

	if v.Kind == String {
		var std string
		require.NoError(t, json.Unmarshal(text, &std))
		want := strings.ReplaceAll(std, "\x00", "\uFFFD")
		require.Equal(t, want, string(AppendUnescaped(nil, s.Text(v))), "%q", text)
		require.True(t, EqualKey(s.Text(v), want), "%q", text)
	}
	clean := AppendClean(nil, text)
	require.True(t, utf8.Valid(clean), "%q", text)
	require.NoError(t, Valid(clean), "%q", text)
	if v.Flags&Dirty == 0 {
		require.Equal(t, text, clean)
		return
	}
	require.NotEqual(t, string(text), string(clean), "a dirty text changes")
	s.Reset(clean)
	cleaned, ok := s.Skip()
	require.True(t, ok)
	require.Zero(t, cleaned.Flags&Dirty, "%q", clean)
	require.Equal(t, meaning(t, text), meaning(t, clean), "%q", text)
}

// meaning is what encoding/json makes of a text, with NUL as we map it.
func meaning(t require.TestingT, text []byte) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tokens strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			require.EqualError(t, err, "EOF")
			return tokens.String()
		}
		if s, ok := token.(string); ok {
			token = strings.ReplaceAll(s, "\x00", "\uFFFD")
		}
		out, err := json.Marshal(token)
		if d, ok := token.(json.Delim); ok {
			out, err = []byte(d.String()), nil
		}
		require.NoError(t, err)
		tokens.Write(append(out, '\n'))
	}
}
