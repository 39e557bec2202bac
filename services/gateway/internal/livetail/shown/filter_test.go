package shown

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFilters(t *testing.T) {
	const event = `{"type":"track","event":"Order Completed","userId":"u1","n":12,"ok":true,"email":"x","anonymousId":"ada@example.com","properties":{"event":"no"},"a":"1","a":"2"}`
	accepted := Seen{Source: "shop", Outcome: Accepted, Event: []byte(event)}
	rejected := Seen{Source: "shop-2", Outcome: Rejected, Reason: "invalid_type"}
	refused := Seen{Outcome: Refused, Reason: "overloaded"}
	for _, c := range []struct {
		terms  string // separated by |
		wanted [3]bool
	}{
		{"", [3]bool{true, true, true}},
		{"accepted", [3]bool{true, false, false}},
		{"rejected", [3]bool{false, true, false}},
		{"refused", [3]bool{false, false, true}},
		{"refused|refused", [3]bool{false, false, true}},
		{"source=shop", [3]bool{true, false, false}},
		{"source=shop*", [3]bool{true, true, false}},
		{"source=", [3]bool{false, false, true}},
		{"source=*", [3]bool{true, true, true}},
		{"source=shop|source=other", [3]bool{}},
		{"reason=invalid*", [3]bool{false, true, false}},
		{"type=track", [3]bool{true, false, false}},
		{"type=page", [3]bool{}},
		{"event=Order*", [3]bool{true, false, false}},
		{"event=Order", [3]bool{}},
		{"event=Order Completed", [3]bool{true, false, false}},
		{"event=*", [3]bool{true, false, false}},
		{"event=no", [3]bool{}},
		{"userId=u1|event=Order*|accepted|source=shop", [3]bool{true, false, false}},
		{"userId=u1|event=Page*", [3]bool{}},
		{"n=12", [3]bool{true, false, false}},
		{"ok=true", [3]bool{true, false, false}},
		{"a=1", [3]bool{}},
		{"a=2", [3]bool{true, false, false}},
		{"properties=*", [3]bool{}},
		{"absent=*", [3]bool{}},
		{"anonymousId=ada*", [3]bool{}}, // nobody finds out, letter by letter, what is masked
		{"anonymousId=*", [3]bool{}},
	} {
		var terms []string
		if c.terms != "" {
			terms = strings.Split(c.terms, "|")
		}
		f, err := Parse(terms)
		require.NoError(t, err, c.terms)
		for i, s := range []Seen{accepted, rejected, refused} {
			require.Equal(t, c.wanted[i], f.Match(&s), "%s: %s", c.terms, s.Outcome)
			if s.Event != nil {
				s.Event, _ = Append(nil, s.Event, room)
				require.Equal(t, c.wanted[i], f.Match(&s), "%s: a filter is of one mind of an event and of what is shown of it", c.terms)
			}
		}
	}
}

func TestFaultsOfFilters(t *testing.T) {
	for text, says := range map[string]string{
		"Order":                             "is neither key=value",
		"":                                  "is neither key=value",
		"=x":                                "is neither key=value",
		"email=x":                           "masked",
		"userId=ada@example.com":            "masked",
		"userId=+4915112345678":             "masked",
		"traits=x":                          "masked",
		"event=" + strings.Repeat("x", 65):  "masked",
		"event=" + strings.Repeat("x", 300): "longer than 256 bytes",
	} {
		_, err := Parse([]string{text})
		require.ErrorContains(t, err, says, text)
	}
	_, err := Parse([]string{"accepted", "rejected"})
	require.ErrorContains(t, err, "nothing is accepted too")
	_, err = Parse(make([]string, 17))
	require.ErrorContains(t, err, "more than 16")
}

func TestRate(t *testing.T) {
	var r Rate
	now := time.Unix(1_000_000, 0)
	take := func(n int) (got int) {
		for range n {
			if r.Take(now, 50) {
				got++
			}
		}
		return got
	}
	require.Equal(t, 50, take(1000), "as many at once as in a second")
	now = now.Add(100 * time.Millisecond)
	require.Equal(t, 5, take(1000))
	now = now.Add(time.Hour)
	require.Equal(t, 50, take(1000), "a pause saves no more")
	now = now.Add(-time.Minute)
	require.Zero(t, take(10), "a clock that goes back gives nothing")
	total := 0
	for range 1000 {
		now = now.Add(10 * time.Millisecond)
		total += take(100)
	}
	require.InDelta(t, 500, total, 1)
}

func TestRing(t *testing.T) {
	var r Ring
	var f Filter
	got, missed := r.After(0, &f, nil)
	require.Empty(t, got)
	require.Zero(t, missed)
	for n := 1; n <= 3*Size+7; n++ {
		outcome := Accepted
		if n%2 == 0 {
			outcome = Rejected
		}
		r.Add(Entry{Seen: Seen{Outcome: outcome}})
		require.EqualValues(t, n, r.Last())
		got, missed = r.After(0, &f, nil)
		require.Len(t, got, min(n, Size))
		require.EqualValues(t, max(n-Size, 0), missed)
		for i, e := range got {
			require.EqualValues(t, int(missed)+i+1, e.Seq)
		}
	}
	got, missed = r.After(r.Last()-2, &f, nil)
	require.Len(t, got, 2)
	require.Zero(t, missed)
	got, _ = r.After(r.Last(), &f, nil)
	require.Empty(t, got)
	rejected, err := Parse([]string{"rejected"})
	require.NoError(t, err)
	got, _ = r.After(0, &rejected, nil)
	require.Len(t, got, Size/2)
}
