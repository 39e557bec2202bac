package jsonscan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzAgainstEncodingJSON(f *testing.F) {
	for _, c := range suite(f, "test_parsing.jsonl") {
		if len(c.text) < 1000 {
			f.Add(c.text)
		}
	}
	f.Add([]byte(event))
	f.Fuzz(func(t *testing.T, text []byte) {
		exact := make([]byte, len(text)) // nothing to read past the end
		copy(exact, text)
		compare(t, exact[:len(text):len(text)])
	})
}

// FuzzCursor makes calls in any order: whatever they are, the end is only good if the text is.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}]}`), []byte{1, 3, 2, 4, 0, 4, 1, 3, 0, 3, 4, 3})
	f.Add([]byte(`{"a":}`), []byte{1, 3, 3})
	f.Add([]byte(`[1,,2]`), []byte{2, 4, 0, 4, 4, 0})
	f.Add([]byte(`1 2`), []byte{0, 0})
	f.Fuzz(func(t *testing.T, text, calls []byte) {
		var s Scanner
		s.Reset(text)
		for _, c := range calls {
			before := s.Offset()
			switch c % 6 {
			case 0:
				if v, ok := s.Skip(); ok {
					require.True(t, json.Valid(s.Text(v)), "%q", s.Text(v))
				}
			case 1:
				s.EnterObject()
			case 2:
				s.EnterArray()
			case 3:
				if key, ok := s.NextMember(); ok {
					require.Equal(t, String, key.Kind)
					require.True(t, json.Valid(s.Text(key)))
				}
			case 4:
				s.NextElement()
			case 5:
				s.Peek()
			}
			require.GreaterOrEqual(t, s.Offset(), before)
			require.LessOrEqual(t, s.Offset(), len(text))
		}
		if s.End() == nil {
			require.True(t, json.Valid(text), "%q by %v", text, calls)
		}
	})
}
