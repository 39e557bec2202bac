package jsonscan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSkipReportsSpanKindAndFlags(t *testing.T) {
	for _, c := range []struct {
		text  string
		kind  Kind
		span  string
		flags Flags
	}{
		{` null `, Null, `null`, 0},
		{"\t\r\n true", True, `true`, 0},
		{`false`, False, `false`, 0},
		{`-0`, Number, `-0`, 0},
		{`-12.50E+07 `, Number, `-12.50E+07`, 0},
		{`""`, String, `""`, 0},
		{`"plain ascii longer than one word"`, String, `"plain ascii longer than one word"`, 0},
		{`"a\"b\\"`, String, `"a\"b\\"`, HasEscape},
		{`"é日本語🎉"`, String, `"é日本語🎉"`, 0},
		{`"\u00e9\uD83C\uDF89"`, String, `"\u00e9\uD83C\uDF89"`, HasEscape},
		{`"\ud83c"`, String, `"\ud83c"`, HasEscape | LoneSurrogate},
		{`"\udf89"`, String, `"\udf89"`, HasEscape | LoneSurrogate},
		{`"\ud83c\u0041"`, String, `"\ud83c\u0041"`, HasEscape | LoneSurrogate},
		{`"\ud83c\ud83c\udf89"`, String, `"\ud83c\ud83c\udf89"`, HasEscape | LoneSurrogate},
		{`"\u0000"`, String, `"\u0000"`, HasEscape | HasNUL},
		{`"\\u0000"`, String, `"\\u0000"`, HasEscape},
		{"\"\xff\"", String, "\"\xff\"", BadUTF8},
		{"\"\xed\xa0\x80\"", String, "\"\xed\xa0\x80\"", BadUTF8},
		{"\"\xf0\x9f\x8e\"", String, "\"\xf0\x9f\x8e\"", BadUTF8},
		{"\"\x7f\"", String, "\"\x7f\"", 0},
		{`{}`, Object, `{}`, 0},
		{` { "a" : [ 1 , { } ] } `, Object, `{ "a" : [ 1 , { } ] }`, 0},
		{`[{"k\u0000":1},"\n"]`, Array, `[{"k\u0000":1},"\n"]`, HasEscape | HasNUL},
	} {
		var s Scanner
		s.Reset([]byte(c.text))
		require.Equal(t, c.kind, s.Peek(), c.text)
		v, ok := s.Skip()
		require.True(t, ok, c.text)
		require.Equal(t, c.kind, v.Kind, c.text)
		require.Equal(t, c.span, string(s.Text(v)), c.text)
		require.Equal(t, c.flags, v.Flags, c.text)
		require.Equal(t, v.End, s.Offset())
		require.NoError(t, s.End(), c.text)
	}
}

func TestErrorsNameTheByte(t *testing.T) {
	for _, c := range []struct {
		text   string
		offset int
		reason string
	}{
		{``, 0, ReasonEOF},
		{`  `, 2, ReasonEOF},
		{`x`, 0, ReasonSyntax},
		{`nul`, 3, ReasonEOF},
		{`nulx`, 3, ReasonSyntax},
		{`tru}`, 3, ReasonSyntax},
		{`1 2`, 2, ReasonTrailing},
		{`{} x`, 3, ReasonTrailing},
		{`01`, 1, ReasonNumber},
		{`-01`, 2, ReasonNumber},
		{`-`, 1, ReasonEOF},
		{`-x`, 1, ReasonNumber},
		{`+1`, 0, ReasonSyntax},
		{`.5`, 0, ReasonSyntax},
		{`1.`, 2, ReasonEOF},
		{`[1.]`, 3, ReasonNumber},
		{`[1e+]`, 4, ReasonNumber},
		{`"abc`, 4, ReasonEOF},
		{`"abc\`, 5, ReasonEOF},
		{`"\x"`, 2, ReasonEscape},
		{`"\u12g4"`, 5, ReasonEscape},
		{`"\u12`, 5, ReasonEOF},
		{"\"a\nb\"", 2, ReasonControl},
		{"\"12345678\x1f\"", 9, ReasonControl},
		{"[1\x00]", 2, ReasonSyntax},
		{"\xef\xbb\xbf{}", 0, ReasonSyntax},
		{`[1,]`, 3, ReasonSyntax},
		{`[1 2]`, 3, ReasonSyntax},
		{`[1`, 2, ReasonEOF},
		{`[`, 1, ReasonEOF},
		{`{`, 1, ReasonEOF},
		{`{"a"`, 4, ReasonEOF},
		{`{"a" 1}`, 5, ReasonSyntax},
		{`{"a":}`, 5, ReasonSyntax},
		{`{"a":1,}`, 7, ReasonSyntax},
		{`{a:1}`, 1, ReasonSyntax},
		{`{"a":1 "b":2}`, 7, ReasonSyntax},
		{`{"a":1]`, 6, ReasonSyntax},
		{"{\"a\":\"\xc3\"} \xc3", 10, ReasonTrailing},
	} {
		err := Valid([]byte(c.text))
		require.Equal(t, &Error{c.offset, c.reason}, err, c.text)
		require.Equal(t, err, walk([]byte(c.text)), c.text)
	}
	require.EqualError(t, Valid([]byte(`[1,]`)), "invalid JSON at byte 3: syntax")
	require.EqualError(t, Valid(nil), "invalid JSON at byte 0: eof")
}

func TestDepth(t *testing.T) {
	nest := func(open, shut string, n int) []byte {
		return []byte(strings.Repeat(open, n) + "1" + strings.Repeat(shut, n))
	}
	for _, c := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		perUnit := strings.Count(c[0], "[") + strings.Count(c[0], "{")
		deepest := nest(c[0], c[1], MaxDepth/perUnit)
		require.NoError(t, Valid(deepest))
		require.NoError(t, walk(deepest))
		tooDeep := nest(c[0], c[1], MaxDepth/perUnit+1)
		var fault *Error
		require.ErrorAs(t, Valid(tooDeep), &fault)
		require.Equal(t, ReasonDepth, fault.Reason)
		require.Equal(t, fault, walk(tooDeep))
	}
	bomb := []byte(strings.Repeat("[", 1<<20))
	require.Equal(t, &Error{MaxDepth, ReasonDepth}, Valid(bomb))
}

// What a Scanner has entered counts for what it skips.
func TestDepthAcrossEnterAndSkip(t *testing.T) {
	text := []byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))
	for entered := range MaxDepth {
		for _, extra := range []bool{false, true} {
			var s Scanner
			if extra {
				s.Reset([]byte("[" + string(text) + "]"))
			} else {
				s.Reset(text)
			}
			for range entered {
				require.True(t, s.EnterArray())
				require.True(t, s.NextElement())
			}
			_, ok := s.Skip()
			require.Equal(t, !extra, ok)
		}
	}
}

func TestCursor(t *testing.T) {
	var s Scanner
	s.Reset([]byte(` { "a" : 1 , "b":[ true , {} ,"x" ], "c":{"d":null} } `))
	require.False(t, s.EnterArray(), "not an array: nothing happens")
	require.True(t, s.EnterObject())
	require.Equal(t, Invalid, s.Peek(), "a key comes first")

	key, ok := s.NextMember()
	require.True(t, ok)
	require.Equal(t, `"a"`, string(s.Text(key)))
	require.Equal(t, Number, s.Peek())
	v, ok := s.Skip()
	require.True(t, ok)
	require.Equal(t, `1`, string(s.Text(v)))

	key, ok = s.NextMember()
	require.True(t, ok)
	require.Equal(t, `"b"`, string(s.Text(key)))
	require.False(t, s.EnterObject())
	require.True(t, s.EnterArray())
	for _, want := range []string{`true`, `{}`, `"x"`} {
		require.True(t, s.NextElement())
		v, ok = s.Skip()
		require.True(t, ok)
		require.Equal(t, want, string(s.Text(v)))
	}
	require.False(t, s.NextElement())
	require.NoError(t, s.Err())

	key, ok = s.NextMember()
	require.True(t, ok)
	require.Equal(t, `"c"`, string(s.Text(key)))
	require.True(t, s.EnterObject())
	_, ok = s.NextMember()
	require.True(t, ok)
	require.Equal(t, Null, s.Peek())
	_, ok = s.Skip()
	require.True(t, ok)
	_, ok = s.NextMember()
	require.False(t, ok)
	_, ok = s.NextMember()
	require.False(t, ok)
	require.NoError(t, s.End())
}

// Calls that do not fit the place are refused, so that a mistake of a caller never makes a bad text good.
func TestCallsInTheWrongOrder(t *testing.T) {
	for name, call := range map[string]func(s *Scanner){
		"value left out before the brace":    func(s *Scanner) { s.EnterObject(); s.NextMember(); s.NextMember() },
		"key skipped as a value":             func(s *Scanner) { s.EnterObject(); s.Skip() },
		"element of an object":               func(s *Scanner) { s.EnterObject(); s.NextElement() },
		"member at the top":                  func(s *Scanner) { s.NextMember() },
		"element at the top":                 func(s *Scanner) { s.NextElement() },
		"end inside":                         func(s *Scanner) { s.EnterObject() },
		"nothing passed":                     func(*Scanner) {},
		"a second value where one may stand": func(s *Scanner) { s.Skip(); s.Skip() },
	} {
		var s Scanner
		s.Reset([]byte(`{"a":}`))
		if strings.HasPrefix(name, "a second") {
			s.Reset([]byte(`1 2`))
		}
		call(&s)
		require.Error(t, s.End(), name)
		require.Equal(t, s.Err(), s.End(), "the first error stays")
		_, ok := s.Skip()
		require.False(t, ok)
		require.Equal(t, Invalid, s.Peek())
	}
}

func TestResetForgets(t *testing.T) {
	var s Scanner
	s.Reset([]byte(`[[[`))
	require.True(t, s.EnterArray())
	_, _ = s.Skip()
	require.Error(t, s.Err())
	s.Reset([]byte(`{"a":1}`))
	require.NoError(t, s.Err())
	require.True(t, s.EnterObject())
	_, ok := s.NextMember()
	require.True(t, ok)
}

// Every prefix of a valid text, in a slice that ends where the prefix ends: nothing is read past it, and no prefix of
// an object or array is taken for the whole.
func TestPrefixes(t *testing.T) {
	for _, text := range []string{
		`{"a":[1,-2.5e+10,true,false,null,"x\u00e9\ud83c\udf89\n é日🎉"],"b":{"c":{}}}`,
		`["0123456789abcdef0123456789abcdef","\ud83c","\udf89\ud83c\u0041"]`,
		"[ \"\xff\xf0\x9f\x8e\xe6\x97\" , 0.0E-0 ]",
		event,
	} {
		require.NoError(t, Valid([]byte(text)))
		for n := range len(text) {
			prefix := make([]byte, n)
			copy(prefix, text)
			var fault *Error
			require.ErrorAs(t, Valid(prefix[:n:n]), &fault, "%q", prefix)
			require.Equal(t, &Error{n, ReasonEOF}, fault, "%q", prefix)
			require.Equal(t, fault, walk(prefix[:n:n]), "%q", prefix)
		}
	}
}
