package jsonscan

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

type suiteCase struct {
	Name   string `json:"name"`
	Expect string `json:"expect"`
	B64    string `json:"b64"`
	text   []byte
}

func suite(t testing.TB, file string) []suiteCase {
	f, err := os.Open("testdata/jsontestsuite/" + file)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var cases []suiteCase
	for lines.Scan() {
		var c suiteCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		c.text, err = base64.StdEncoding.DecodeString(c.B64)
		require.NoError(t, err)
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	return cases
}

func TestSuiteParsing(t *testing.T) {
	cases := suite(t, "test_parsing.jsonl")
	require.Len(t, cases, 318)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			err := Valid(c.text)
			switch c.Expect {
			case "accept":
				require.NoError(t, err)
			case "reject":
				require.Error(t, err)
			default: // the standard leaves it open; what we accept can at least be made clean
				require.Equal(t, "either", c.Expect)
				if err == nil {
					clean := AppendClean(nil, c.text)
					require.NoError(t, Valid(clean))
					require.True(t, utf8.Valid(clean))
				}
			}
			require.Equal(t, err == nil, walk(c.text) == nil, "the cursor judges like Valid")
		})
	}
}

// What the standard leaves open of the values: numbers keep their text, both of two equal keys are seen in order, and
// what has no text becomes U+FFFD.
func TestSuiteTransform(t *testing.T) {
	cases := suite(t, "test_transform.jsonl")
	require.Len(t, cases, 22)
	want := map[string]string{
		"string_1_escaped_invalid_codepoint.json":  "\uFFFD",
		"string_1_invalid_codepoint.json":          "\uFFFD\uFFFD\uFFFD",
		"string_2_escaped_invalid_codepoints.json": "\uFFFD\uFFFD",
		"string_2_invalid_codepoints.json":         "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD",
		"string_3_escaped_invalid_codepoints.json": "\uFFFD\uFFFD\uFFFD",
		"string_3_invalid_codepoints.json":         "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD",
		"string_with_escaped_NULL.json":            "A\uFFFDB",
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, Valid(c.text))
			var s Scanner
			s.Reset(c.text)
			if s.EnterArray() {
				require.True(t, s.NextElement())
				v, ok := s.Skip()
				require.True(t, ok)
				switch v.Kind {
				case String:
					require.NotZero(t, v.Flags&Dirty)
					require.Equal(t, want[c.Name], string(AppendUnescaped(nil, s.Text(v))))
				case Number:
					var exact []json.Number
					require.NoError(t, json.Unmarshal(c.text, &exact))
					require.Equal(t, exact[0].String(), string(s.Text(v)))
				default:
					t.Fatalf("unexpected kind %d", v.Kind)
				}
				require.False(t, s.NextElement())
				require.NoError(t, s.End())
				return
			}
			require.True(t, s.EnterObject())
			keys := 0
			for _, ok := s.NextMember(); ok; _, ok = s.NextMember() {
				keys++
				_, ok = s.Skip()
				require.True(t, ok)
			}
			require.NoError(t, s.End())
			require.Equal(t, 2, keys)
		})
	}
}

// walk passes a text by going inside everything, instead of by Skip.
func walk(text []byte) error {
	var s Scanner
	s.Reset(text)
	walkValue(&s)
	return s.End()
}

func walkValue(s *Scanner) {
	switch {
	case s.EnterObject():
		for _, ok := s.NextMember(); ok; _, ok = s.NextMember() {
			walkValue(s)
		}
	case s.EnterArray():
		for s.NextElement() {
			walkValue(s)
		}
	default:
		s.Skip()
	}
}
