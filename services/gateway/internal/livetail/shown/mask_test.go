package shown

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const room = 8 << 10

func TestMask(t *testing.T) {
	for _, c := range []struct{ event, shown string }{
		{
			`{"type":"track","event":"Order Completed","userId":"u1","messageId":"ajs-next-1732874439000-1","properties":{"revenue":12.50,"plan":"pro","ok":true,"no":null}}`,
			`{"type":"track","event":"Order Completed","userId":"u1","messageId":"ajs-next-1732874439000-1","properties":{"revenue":12.50,"plan":"pro","ok":true,"no":null}}`,
		},
		{`{"traits":{"plan":"pro","n":1,"ok":true,"no":null,"deep":{"a":["b",{}]}}}`, `{"traits":{"plan":"***","n":"***","ok":"***","no":null,"deep":{"a":["***",{}]}}}`},
		{`{"context":{"traits":{"plan":"pro"},"ip":"::1","library":{"name":"ajs","version":"1.2.3"}}}`, `{"context":{"traits":{"plan":"***"},"ip":"***","library":{"name":"ajs","version":"1.2.3"}}}`},
		{`{"name":"Pricing","properties":{"name":"Ada","First-Name":"A","e_mail":"x","phoneNumber":5,"billing_address":{"a":1}}}`, `{"name":"Pricing","properties":{"name":"***","First-Name":"***","e_mail":"***","phoneNumber":"***","billing_address":{"a":"***"}}}`},
		{`{"a":"ada@example.com","b":"ada%40example.com","c":"+49 151 123-4567","d":"call 0151.1234567 now","e":"192.0.2.17","f":"from 192.0.2.17","g":"2001:db8::1","h":"https://x.example/?q=1"}`, `{"a":"***","b":"***","c":"***","d":"***","e":"***","f":"***","g":"***","h":"***"}`},
		{`{"a":"2026-11-29T10:10:39.000Z","b":"2026-11-29","c":"01234567-89ab-7cde-8123-456789abcdef","d":"1.2.3","e":"blue 42","f":"日本"}`, `{"a":"2026-11-29T10:10:39.000Z","b":"2026-11-29","c":"01234567-89ab-7cde-8123-456789abcdef","d":"1.2.3","e":"blue 42","f":"日本"}`},
		{`{"a":"2026-11-29 4915112345678","b":1234567,"c":-1.5e3,"d":123456}`, `{"a":"***","b":"***","c":-1.5e3,"d":123456}`},
		{`{"a":"\u0061","b":"` + "\u009b" + `","c":"` + strings.Repeat("x", 64) + `","d":"` + strings.Repeat("x", 65) + `"}`, `{"a":"***","b":"***","c":"` + strings.Repeat("x", 64) + `","d":"***"}`},
		{`{"em\u0061il":"x","ada@example.com":1,"` + strings.Repeat("k", 65) + `":1}`, `{"***":"***","***":1,"***":"***"}`},
		{`[1,"a",["ada@example.com"]]`, `[1,"a",["***"]]`},
		{"\"\xff\"", `"***"`},
		{`5`, `5`},
	} {
		got, whole := Append([]byte("before"), []byte(c.event), room)
		require.True(t, whole)
		require.Equal(t, "before"+c.shown, string(got))
		again, _ := Append(nil, []byte(c.shown), room)
		require.Equal(t, c.shown, string(again), "what is shown is shown as it is")
	}
	for _, text := range []string{"", "{", "{}{}", `{"a":"` + strings.Repeat("x", maxValue) + `"}`} {
		got, whole := Append(nil, []byte(text), room)
		require.False(t, whole)
		require.Equal(t, masked, string(got))
	}
}

func TestMaskedText(t *testing.T) {
	require.Equal(t, `"m-1"`, string(AppendText(nil, []byte("m-1"))))
	require.Equal(t, `"ajs-1732874439000"`, string(AppendText(nil, []byte("ajs-1732874439000"))))
	for _, text := range []string{"ada@example.com", "a\"b", "a\\b", "a\nb", "\xff", "4915112345678", "tel 4915112345678", strings.Repeat("x", 65)} {
		require.Equal(t, masked, string(AppendText(nil, []byte(text))), text)
	}
}

// However long and deep it is, what is shown is JSON, and not much longer than allowed.
func TestCut(t *testing.T) {
	for _, event := range []string{
		`[` + strings.Repeat(`"aaaaaaaaaaaaaaa",`, 1000) + `1]`,
		`{"a":{"b":[` + strings.Repeat(`{"a":"bbbbbbbbb"},`, 1000) + `1]},"z":1}`,
		strings.Repeat(`{"a":[`, 60) + strings.Repeat(`1,`, 5000) + `1` + strings.Repeat(`]}`, 60),
	} {
		for _, limit := range []int{0, 1, 10, 100, 1000} {
			got, whole := Append(nil, []byte(event), limit)
			require.False(t, whole)
			require.True(t, json.Valid(got), "%s", got)
			require.LessOrEqual(t, len(got), limit+2*maxText+512)
		}
	}
}

// made is an event in which each value that the policy hides holds a word that stands nowhere else.
type made struct {
	rng     *rand.Rand
	secrets []string
}

func (m *made) secret() string {
	m.secrets = append(m.secrets, fmt.Sprintf("hide%dx", len(m.secrets)))
	return m.secrets[len(m.secrets)-1]
}

func (m *made) pick(list ...string) string { return list[m.rng.IntN(len(list))] }

// hidden is a value below a personal key.
func (m *made) hidden(depth int) string {
	if depth > 3 {
		return `"` + m.secret() + `"`
	}
	switch m.rng.IntN(5) {
	case 0:
		return fmt.Sprintf(`{"%s":%s, "plain":%s}`, m.pick("name", "plan", "a"), m.hidden(depth+1), m.hidden(depth+1))
	case 1:
		return fmt.Sprintf(`[%s,%s]`, m.hidden(depth+1), m.hidden(depth+1))
	}
	return `"` + m.secret() + `"`
}

// byForm is a value that its form hides.
func (m *made) byForm() string {
	s := m.secret()
	return m.pick(`"`+s+`@example.com"`, `"`+s+strings.Repeat("z", 64)+`"`, `"`+s+` +1 (555) 123-4567"`, `"https://x.example/?`+s+`"`, `"\u0041`+s+`"`,
		`"`+s+` 192.0.2.1"`, `"`+s+"\xff"+`"`, `"`+s+"\u202e"+`"`)
}

func (m *made) value(depth int) string {
	if depth > 4 {
		return "1"
	}
	switch m.rng.IntN(7) {
	case 0:
		return m.byForm()
	case 1:
		return fmt.Sprintf(`[%s, %s]`, m.value(depth+1), m.value(depth+1))
	case 2, 3:
		return m.object(depth + 1)
	}
	return m.pick(`"open"`, "12.5", "true", "null", `"blue 42"`)
}

func (m *made) object(depth int) string {
	var b strings.Builder
	b.WriteString(`{"open":"open"`)
	for range m.rng.IntN(5) {
		if m.rng.IntN(2) == 0 {
			key := m.pick("email", "E-Mail", "phone", "user_name", "shipping.address", "clientIP", "traits", "apiKey", "birthday", "na\\u006de", "creditCard")
			fmt.Fprintf(&b, `, "%s" :%s`, key, m.hidden(depth))
		} else {
			fmt.Fprintf(&b, `,"%s": %s`, m.pick("a", "properties", "context", "library", "messageId"), m.value(depth))
		}
	}
	return b.String() + "}"
}

// No byte of a value that the policy hides is in what is shown, whatever the event looks like and wherever it is cut.
func TestNothingHiddenIsShown(t *testing.T) {
	m := &made{rng: rand.New(rand.NewPCG(7, 11))}
	hidden := 0
	for range 5000 {
		m.secrets = m.secrets[:0]
		event := []byte(m.object(0))
		got, whole := Append(nil, event, m.rng.IntN(2000))
		require.True(t, json.Valid(got), "%s", got)
		for _, s := range m.secrets {
			if bytes.Contains(got, []byte(s)) {
				require.Failf(t, "a hidden value is shown", "%s of %s in %s", s, event, got)
			}
		}
		if whole {
			require.Equal(t, bytes.Count(event, []byte(`"open"`)), bytes.Count(got, []byte(`"open"`)), "what is open stays: %s", got)
		}
		hidden += len(m.secrets)
	}
	require.Greater(t, hidden, 5000)
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte(`{"type":"identify","traits":{"email":"ada@example.com"},"context":{"ip":"192.0.2.1"}}`), 100)
	f.Add([]byte(`{"a":[{"b":"c"},1e9,"\ud800"]}`), 3)
	f.Fuzz(func(t *testing.T, event []byte, limit int) {
		limit = max(limit, 0) % 10_000
		got, whole := Append(nil, event, limit)
		require.True(t, json.Valid(got), "%s", got)
		require.NotContains(t, string(got), "@")
		require.LessOrEqual(t, len(got), limit+2*maxText+512)
		if !whole {
			return
		}
		again, _ := Append(nil, got, len(got)+1)
		require.Equal(t, string(got), string(again))
	})
}

// BenchmarkEvent is what an event of about 1 KB costs while somebody watches: to be looked at, and to be shown.
func BenchmarkEvent(b *testing.B) {
	event := []byte(`{"type":"track","event":"Bought","context":{"page":{` + strings.Repeat(`"key":"some text of the page","n":12.5,`, 24) + `"z":1}},"userId":"u1"}`)
	f, err := Parse([]string{"userId=u2"})
	require.NoError(b, err)
	s := Seen{Outcome: Accepted, Event: event}
	b.Run("match", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f.Match(&s)
		}
	})
	b.Run("append", func(b *testing.B) {
		dst := make([]byte, 0, 2*len(event))
		b.ReportAllocs()
		for b.Loop() {
			Append(dst, event, room)
		}
	})
}
