package intake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// list puts events one after the other, and notes where each ends.
func list(events []string) (body []byte, ends []int32) {
	for _, e := range events {
		body = append(body, e...)
		ends = append(ends, int32(len(body)))
	}
	return body, ends
}

func parseList(events []string, l Limits) (*Intake, error) {
	n := 0
	in := &Intake{}
	body, ends := list(events)
	err := in.Parse(Request{Route: List, Body: body, Ends: ends, Limits: l, NewID: func(dst []byte) []byte {
		n++
		return fmt.Appendf(dst, "id%d", n)
	}})
	return in, err
}

func parseBatch(events []string, l Limits) (*Intake, error) {
	n := 0
	in := &Intake{}
	err := in.Parse(Request{Route: Batch, Body: []byte(`{"batch":[` + strings.Join(events, ",") + `]}`), Limits: l, NewID: func(dst []byte) []byte {
		n++
		return fmt.Appendf(dst, "id%d", n)
	}})
	return in, err
}

// Events of a list become what they would have become in a batch that says nothing about all of them.
func TestAListIsABatchWithoutAFrame(t *testing.T) {
	events := []string{
		`{"type":"track","event":"e","userId":"u","messageId":"m","n":1.50}`, `{"event":"no type","userId":"u"}`, ` {"userId":"u"} `,
		`{"type":"track","event":"e","userId":"u","messageId":"m"}`, `[]`, `7`, `{}`, `{"type":"page","userId":"u","writeKey":"k","writeKey":"k"}`,
		`{"type":"page","userId":"u","context":{"ip":"1.2.3.4","library":{"name":"x"}},"a":"\u0000"}`, `null`, `"text"`,
	}
	a, err := parseList(events, Limits{})
	require.NoError(t, err)
	b, err := parseBatch(events, Limits{})
	require.NoError(t, err)
	require.Equal(t, b.Duplicates, a.Duplicates)
	require.Equal(t, string(b.WriteKey), string(a.WriteKey))
	require.Equal(t, eventsOf(b), eventsOf(a))
	require.Equal(t, rejectionsOf(b), rejectionsOf(a))
}

func eventsOf(in *Intake) (all []string) {
	for _, e := range in.Events {
		all = append(all, fmt.Sprint(e.Index, e.Type, string(e.MessageID), string(e.Value)))
	}
	return all
}

func rejectionsOf(in *Intake) (all []string) {
	for _, r := range in.Rejected {
		all = append(all, fmt.Sprint(r.Index, r.Code, r.Message, string(r.MessageID), string(r.Original)))
	}
	return all
}

// What is no JSON is rejected alone, in its own bytes, and can be no other event's frame.
func TestAMalformedEventIsRejectedAlone(t *testing.T) {
	const good = `{"type":"page","userId":"u","messageId":"%d"}`
	for _, bad := range []string{
		``, ` `, `{`, `}`, `{"type":"page","userId":"u"},{"type":"page","userId":"u"}`, `{"type":"page","userId":"u"}{}`,
		`{"type":"page"}],"context":{"a":1},"batch":[{"type":"page","userId":"u"}`, `{"type":"page","userId":"u"} x`, `{"a":01}`, "{\"a\":\"\x01\"}",
		strings.Repeat("[", 1000), `{"userId":"u","type":"page","context":{"ip":"1`, `{"userId":"u","userId":"v","type":`,
	} {
		in, err := parseList([]string{fmt.Sprintf(good, 0), bad, fmt.Sprintf(good, 2)}, Limits{})
		require.NoError(t, err, bad)
		require.Len(t, in.Events, 2, bad)
		require.Equal(t, []int{0, 2}, []int{in.Events[0].Index, in.Events[1].Index})
		require.Len(t, in.Rejected, 1, bad)
		r := in.Rejected[0]
		require.Equal(t, CodeMalformed, r.Code, bad)
		require.Equal(t, 1, r.Index)
		require.Equal(t, bad, string(r.Original))
		require.NotEmpty(t, r.Message)
		for _, e := range in.Events {
			require.True(t, json.Valid(e.Value))
		}
	}
}

// A write key of a malformed event counts for nothing, and stays behind.
func TestTheKeyOfAMalformedEvent(t *testing.T) {
	in, err := parseList([]string{`{"writeKey":"other","userId":"u","x":`, `{"writeKey":"k","type":"page","userId":"u"}`, `{"a":1,"writeKey":"secret"`}, Limits{})
	require.NoError(t, err)
	require.Equal(t, "k", string(in.WriteKey))
	require.Len(t, in.Events, 1)
	require.Equal(t, []string{`{"`, `{"a":1,"`}, []string{string(in.Rejected[0].Original), string(in.Rejected[1].Original)})
	in, err = parseList([]string{`{"a":1,"write\u004bey":"secret"`, `{"b":2,"\u0077riteKey":"secret","writeKey":"secret",`, `{"type":"page","userId":"u"}`}, Limits{})
	require.NoError(t, err)
	require.Equal(t, []string{`{"a":1,"write`, `{"b":2,"`}, []string{string(in.Rejected[0].Original), string(in.Rejected[1].Original)}, "escaped")
	_, err = parseList([]string{`{"writeKey":"a","type":"page","userId":"u"}`, `{"writeKey":"b","type":"page","userId":"u"}`}, Limits{})
	require.Equal(t, errMixedKeys, err)
}

func TestLimitsOfAList(t *testing.T) {
	event := `{"type":"page","userId":"u"}`
	_, err := parseList(nil, Limits{})
	require.Equal(t, errEmpty, err)
	in, err := parseList(slices.Repeat([]string{event}, 5), Limits{MaxEvents: 2})
	require.NoError(t, err)
	require.Len(t, in.Events, 2)
	require.Len(t, in.Rejected, 3)
	_, err = parseList(slices.Repeat([]string{event}, 9), Limits{MaxEvents: 2})
	require.Equal(t, errTooMany, err)
	in, err = parseList([]string{event, event[:len(event)-1] + strings.Repeat(" ", 100) + "}"}, Limits{MaxEventBytes: 64})
	require.NoError(t, err)
	require.Len(t, in.Events, 1)
	require.Equal(t, CodeTooLarge, in.Rejected[0].Code)
}

// noJSON are events that are no JSON, with what rules would drop.
var noJSON = []string{``, `{`, `{"userId":"u","properties":{"a":"PII"`, `{"context":{"ip":"10.0.0.1"},"userId":"gone"}}`, `{"a":1}{"b":2}`, `"`, `{"traits":{"a":"PII"},`}

// Rules do to a list what they do to a batch of the same events, wherever one that is no JSON stands between them.
func TestRulesOnAListAreThoseOnABatch(t *testing.T) {
	var used Intake // its scratch is what the draw before has left
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		d := draw{t}
		p := d.policy()
		p.Blocked = []string{d.pick("blocked", "x", "e", "other")}
		p.Suppressed = []string{d.pick("suppressed", "a", "b", "nobody")}
		var events, all []string
		var places []int // of the events among all
		for range rapid.IntRange(1, 6).Draw(t, "events") {
			if rapid.IntRange(0, 3).Draw(t, "malformed") == 0 {
				all = append(all, d.pick("malformed", noJSON...))
			}
			one := d.space() + d.event() + d.space()
			places = append(places, len(all))
			events, all = append(events, one), append(all, one)
		}
		batch := request(Batch, `{"batch":[`+strings.Join(events, ",")+`]}`)
		batch.Rules = NewRules(p)
		listed := request(List, "")
		listed.Body, listed.Ends = list(all)
		listed.Rules = batch.Rules
		var want Intake
		refused := want.Parse(batch)
		require.Equal(t, refused, used.Parse(listed), "%q", all)
		if refused != nil {
			return
		}
		for i := range want.Events {
			want.Events[i].Index = places[want.Events[i].Index]
		}
		for i := range want.Rejected {
			want.Rejected[i].Index = places[want.Rejected[i].Index]
		}
		readable := Intake{Rejected: slices.DeleteFunc(slices.Clone(used.Rejected), func(r Rejection) bool {
			require.True(t, r.Code != CodeMalformed || r.Original == nil, "nobody can apply rules to it")
			return r.Code == CodeMalformed
		})}
		require.Equal(t, eventsOf(&want), eventsOf(&used), "%q", all)
		require.Equal(t, rejectionsOf(&want), rejectionsOf(&readable), "%q", all)
		require.Equal(t, want.Duplicates, used.Duplicates)
		require.Equal(t, string(want.WriteKey), string(used.WriteKey))
		require.Equal(t, len(all), len(used.Events)+len(used.Rejected)+used.Duplicates)
		if used.Copied() > 0 {
			changed++
		}
	})
	require.Positive(t, changed, "the draw reaches the rules")
}

// What is no JSON is kept where no rule says what may be.
func TestAMalformedEventOfASourceWithRules(t *testing.T) {
	for name, c := range map[string]struct {
		policy Policy
		kept   bool
	}{
		"none": {Policy{}, true}, "blocked events": {Policy{Blocked: []string{"e"}}, true}, "suppressed users": {Policy{Suppressed: []string{"u"}}, false},
		"drop": {Policy{Drop: []string{"a"}}, false}, "hmac": {Policy{Key: testKey, Hash: []string{"a"}}, false},
		"ip": {Policy{DropIP: true}, false}, "mask": {Policy{MaskIP: testMask}, false},
	} {
		r := request(List, "")
		r.Body, r.Ends = list([]string{`{"type":"page","userId":"v"}`, `{"a":"PII"`})
		r.Rules = NewRules(c.policy)
		var in Intake
		require.NoError(t, in.Parse(r), name)
		require.Len(t, in.Events, 1, name)
		require.Equal(t, CodeMalformed, in.Rejected[0].Code, name)
		require.Equal(t, c.kept, in.Rejected[0].Original != nil, name)
	}
}

// cutAt cuts a body into events of these lengths, of which the last one reaches to its end.
func cutAt(body, lengths []byte) (cut []byte, ends []int32) {
	at := 0
	for i, n := range lengths {
		if at += int(n); at > len(body) || i == len(lengths)-1 {
			at = len(body)
		}
		ends = append(ends, int32(at))
	}
	return body[:at], ends
}

// Whatever the bytes and wherever they are cut, each element becomes one of an event, a duplicate and a rejection, and
// what comes out is JSON.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"type":"page","userId":"u"}{"type":"page","userId":"u"}`), []byte{28, 28})
	f.Add([]byte(`{"writeKey":"k","event":"e"}[]7{"a":`), []byte{27, 2, 1, 200})
	f.Add([]byte(``), []byte{0, 0})
	f.Fuzz(func(t *testing.T, body, lengths []byte) {
		body, ends := cutAt(body, lengths)
		var in Intake
		for range 2 {
			err := in.Parse(Request{Route: List, Body: body, Ends: ends, NewID: func(dst []byte) []byte { return append(dst, "new"...) }})
			if err != nil {
				continue
			}
			seen := make(map[int]bool)
			for _, e := range in.Events {
				require.True(t, json.Valid(e.Value), "%q", e.Value)
				require.False(t, seen[e.Index])
				seen[e.Index] = true
			}
			for _, r := range in.Rejected {
				require.False(t, seen[r.Index])
				seen[r.Index] = true
			}
			require.Equal(t, len(ends), len(seen)+in.Duplicates)
		}
	})
}

// Wherever a list is cut, rules lose no event of it and reach each: nothing that goes is anywhere.
func FuzzListRules(f *testing.F) {
	f.Add([]byte(`{"type":"page","userId":"u","properties":{"email":"x","a":1}}{"type":"page","userId":"v","secret":1}`), []byte{61, 200})
	f.Add([]byte(`{"event":"Noise","userId":"u"}[{"secret":1}]{"secret":`), []byte{30, 14, 10})
	p := testRules()
	rules := NewRules(p)
	f.Fuzz(func(t *testing.T, body, lengths []byte) {
		r := request(List, "")
		r.Body, r.Ends = cutAt(body, lengths)
		var with, without Intake
		refused := without.Parse(r)
		r.Rules = rules
		err := with.Parse(r)
		require.Equal(t, refused, err)
		if err != nil {
			return
		}
		require.Equal(t, len(r.Ends), len(with.Events)+len(with.Rejected)+with.Duplicates)
		for _, e := range with.Events {
			require.Empty(t, leaks(t, p, e.Value), "%q", body)
		}
		for _, e := range with.Rejected {
			if e.Original != nil {
				require.Empty(t, leaks(t, p, e.Original), "%q", body)
			}
		}
	})
}
