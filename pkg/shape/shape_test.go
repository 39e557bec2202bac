package shape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
)

var wide = Limits{Events: 1000, Properties: 1000, Total: 10_000}

func view(t testing.TB, text string) *event.View {
	t.Helper()
	v := new(event.View)
	r := event.Record{Key: []byte("s"), Value: []byte(text), Headers: []event.Header{{Key: event.HeaderReceivedAt, Value: []byte("2026-11-22T10:00:00Z")}}}
	require.Empty(t, v.Decode(&r), text)
	return v
}

func learn(t testing.TB, events ...string) *Summary {
	var l Learner
	var tally Tally
	for _, text := range events {
		l.Note(view(t, text), &tally)
	}
	return Of(wide, &tally)
}

func TestKinds(t *testing.T) {
	s := learn(t,
		`{"type":"track","event":"Order Completed","properties":{"revenue":19.5,"n":3,"coupon":"A","at":"2026-11-22T10:00:00.5Z","gift":true,"items":[1],"none":null}}`,
		`{"type":"track","event":"Order Completed","properties":{"revenue":"19","n":-3,"coupon":"2026-11-22","at":"2026-11-22 10:00","gift":{},"none":null}}`,
		`{"type":"track","event":"Order Completed","properties":{"n":1e3,"coupon":"","n2":1234567890123456789}}`,
		`{"type":"identify","traits":{"plan":"pro"},"properties":{"no":1}}`,
		`{"type":"page","name":"Home","properties":{"url":"/"}}`,
		`{"type":"alias","properties":{"no":1}}`,
		`{"type":"other","properties":{"no":1}}`,
	)
	require.Equal(t, &Summary{Events: map[Event]*Seen{
		{"track", "Order Completed"}: {Events: 3, Properties: map[string]*Counts{
			"revenue": {Number: 1, Text: 1}, "n": {Integer: 2, Number: 1}, "n2": {Number: 1}, "coupon": {Text: 3},
			"at": {Instant: 1, Text: 1}, "gift": {Boolean: 1, Nested: 1}, "items": {Nested: 1},
		}},
		{"identify", ""}: {Events: 1, Properties: map[string]*Counts{"plan": {Text: 1}}},
		{"page", ""}:     {Events: 1, Properties: map[string]*Counts{"url": {Text: 1}}},
		{"alias", ""}:    {Events: 1},
	}}, s)
	require.Nil(t, learn(t, `{"type":"other"}`))
}

// Counts are what a naive reading of the same events gives, however they are spread over learners and tallies.
func TestAgainstANaiveCount(t *testing.T) {
	for seed := range uint64(50) {
		chance := rand.New(rand.NewPCG(seed, 1))
		learners, tallies := make([]Learner, 2), make([]Tally, 5)
		want := new(Summary)
		for range 400 {
			text := made(chance)
			v := view(t, text)
			learners[chance.IntN(2)].Note(v, &tallies[chance.IntN(5)])
			naive(want, text)
			if chance.IntN(50) == 0 {
				learners[chance.IntN(2)] = Learner{} // as Renew does
			}
		}
		all := make([]*Tally, len(tallies))
		for i := range tallies {
			all[i] = &tallies[i]
		}
		require.Equal(t, want, Of(wide, all...), "seed %d", seed)

		merged := new(Summary)
		for _, one := range all {
			merged.Merge(Of(wide, one), wide)
		}
		require.Equal(t, want, merged, "seed %d", seed)
	}
}

// made is an event with some of a few keys, so that shapes repeat, in any order.
func made(chance *rand.Rand) string {
	values := []string{`1`, `1.5`, `"x"`, `"2026-11-22T10:00:00Z"`, `true`, `[]`, `null`}
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"track","event":"e%d","properties":{`, chance.IntN(3))
	for i, k := range chance.Perm(6)[:chance.IntN(6)] {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s%d":%s`, strings.Repeat("key", k), k, values[chance.IntN(len(values))])
	}
	return b.String() + "}}"
}

func naive(s *Summary, text string) {
	var e struct {
		Type, Event string
		Properties  map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		panic(err)
	}
	if s.Events == nil {
		s.Events = make(map[Event]*Seen)
	}
	at := Event{e.Type, e.Event}
	if s.Events[at] == nil {
		s.Events[at] = new(Seen)
	}
	s.Events[at].Events++
	for key, value := range e.Properties {
		k, ok := map[byte]Kind{'t': Boolean, '[': Nested, '"': Text, '1': Integer}[value[0]]
		switch {
		case !ok:
			continue
		case len(value) > 5 && k == Text:
			k = Instant
		case bytes.ContainsRune(value, '.'):
			k = Number
		}
		if s.Events[at].Properties == nil {
			s.Events[at].Properties = make(map[string]*Counts)
		}
		if s.Events[at].Properties[key] == nil {
			s.Events[at].Properties[key] = new(Counts)
		}
		s.Events[at].Properties[key][k]++
	}
}

// Whatever is merged, limits hold, nothing that is there goes, and every event and value is counted or unnoted.
func TestMergeKeepsWithinLimits(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 2))
		l := Limits{Events: 1 + chance.IntN(4), Properties: 1 + chance.IntN(5), Total: 1 + chance.IntN(12)}
		sum := new(Summary)
		var events, values int64
		for range 10 {
			one := new(Summary)
			for range 20 {
				naive(one, made(chance))
			}
			for _, seen := range one.Events {
				events += seen.Events
				for _, c := range seen.Properties {
					values += c.Sum()
				}
			}
			before := slices.Collect(maps.Keys(sum.Events))
			sum.Merge(one, l)
			for _, e := range before {
				require.Contains(t, sum.Events, e)
			}
		}
		require.LessOrEqual(t, len(sum.Events), l.Events)
		require.LessOrEqual(t, sum.total(), l.Total)
		gotEvents, gotValues := sum.Unnoted.Events, sum.Unnoted.Values
		for _, seen := range sum.Events {
			require.LessOrEqual(t, len(seen.Properties), l.Properties)
			gotEvents += seen.Events
			for _, c := range seen.Properties {
				gotValues += c.Sum()
			}
		}
		require.Equal(t, events, gotEvents)
		if sum.Unnoted.Events == 0 {
			require.Equal(t, values, gotValues)
		}
	}
}

func TestTheMostFrequentComeFirst(t *testing.T) {
	one := learn(t, `{"type":"track","event":"rare","properties":{"a":1}}`, `{"type":"track","event":"often","properties":{"a":1,"b":1}}`, `{"type":"track","event":"often","properties":{"b":1}}`)
	sum := new(Summary)
	sum.Merge(one, Limits{Events: 1, Properties: 1, Total: 1})
	require.Equal(t, &Summary{
		Events:  map[Event]*Seen{{"track", "often"}: {Events: 2, Properties: map[string]*Counts{"b": {Integer: 2}}}},
		Unnoted: Unnoted{Events: 1, Values: 1},
	}, sum)
}

// Clients that make up names and keys are counted, and hold no more than the bounds.
func TestALearnerIsBounded(t *testing.T) {
	var l Learner
	var tally Tally
	const events = 3 * maxShapes
	for i := range events {
		l.Note(view(t, fmt.Sprintf(`{"type":"track","event":"e","properties":{"k%d":1}}`, i)), &tally)
	}
	require.LessOrEqual(t, l.known, maxShapes)
	s := Of(Limits{Events: 1, Properties: 1000, Total: 1000}, &tally)
	require.EqualValues(t, events, s.Events[Event{"track", "e"}].Events+s.Unnoted.Events)
	require.Len(t, s.Events[Event{"track", "e"}].Properties, 1000)
	l.Renew()
	require.Zero(t, l.known)

	l.Note(view(t, `{"type":"track","event":"`+strings.Repeat("x", maxName+1)+`"}`), &tally)
	long := strings.Repeat("x", maxKey+1)
	l.Note(view(t, `{"type":"track","event":"f","properties":{"`+long+`":1,"":2,"a":3}}`), &tally)
	s = Of(wide, &tally)
	require.Equal(t, &Seen{Events: 1, Properties: map[string]*Counts{"a": {Integer: 1}}}, s.Events[Event{"track", "f"}])

	var keys []string
	for i := range maxProperties + 7 {
		keys = append(keys, fmt.Sprintf(`"k%d":1`, i))
	}
	for range 2 {
		l.Note(view(t, `{"type":"track","event":"many","properties":{`+strings.Join(keys, ",")+`}}`), &tally)
	}
	require.Len(t, Of(wide, &tally).Events[Event{"track", "many"}].Properties, maxProperties)
}

// Keys whose hash is the same are told apart, and make no look-up long.
func TestKeysOfOneHash(t *testing.T) {
	var l Learner
	var tally Tally
	for i := range 100 {
		l.Note(view(t, fmt.Sprintf(`{"type":"track","event":"e","properties":{"aaaaaaaa%03dbbbbbbbb":1}}`, i)), &tally)
	}
	s := Of(wide, &tally)
	require.Len(t, s.Events[Event{"track", "e"}].Properties, maxProbes)
	require.EqualValues(t, 100-maxProbes, s.Unnoted.Events)
}

func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"type":"track","event":"e","properties":{"a":1,"b":null,"a":"x"}}`))
	f.Add([]byte(`{"type":"identify","traits":{"at":"2026-11-22T10:00:00Z","n":-0}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v event.View
		r := event.Record{Key: []byte("s"), Value: text, Headers: []event.Header{{Key: event.HeaderReceivedAt, Value: []byte("2026-11-22T10:00:00Z")}}}
		if v.Decode(&r) != "" {
			return
		}
		var l Learner
		var once, twice Tally
		l.Note(&v, &once)
		l.Note(&v, &twice)
		l.Note(&v, &twice)
		sum := Of(wide, &once)
		sum2 := new(Summary)
		sum2.Merge(Of(wide, &once), wide)
		sum2.Merge(sum, wide)
		if both := Of(wide, &twice); both != nil {
			require.Equal(t, both, sum2)
		}
	})
}

func BenchmarkNote(b *testing.B) {
	events := []string{
		`{"type":"track","event":"Order Completed","properties":{"order_id":"a-1","revenue":19.99,"shipping":3,"tax":2,"currency":"EUR","coupon":"X","products":[{"id":1}],"first":true}}`,
		`{"type":"track","event":"Product Viewed","properties":{"product_id":"a-1","sku":"G-32","category":"Games","name":"Monopoly","price":18.99,"quantity":1,"url":"https://www.example.com/product/path"}}`,
		`{"type":"page","name":"Home","properties":{"path":"/","referrer":"https://x.example","search":"","title":"Home","url":"https://www.example.com/"}}`,
		`{"type":"identify","traits":{"name":"Peter","email":"peter@example.com","plan":"premium","logins":5}}`,
	}
	views := make([]*event.View, len(events))
	for i, text := range events {
		views[i] = view(b, text)
	}
	var l Learner
	var tally Tally
	for _, v := range views {
		l.Note(v, &tally)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.Note(views[i&3], &tally)
		i++
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	v, w := view(t, `{"type":"track","event":"e","properties":{"a":1,"b":"x"}}`), view(t, `{"type":"track","event":"e","properties":{"a":1}}`)
	var l Learner
	var tally Tally
	l.Note(v, &tally)
	l.Note(w, &tally)
	l.Note(v, &tally)
	require.Zero(t, testing.AllocsPerRun(1000, func() { l.Note(w, &tally); l.Note(v, &tally) }))
}
