package intake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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

// Whatever the bytes and wherever they are cut, each element becomes one of an event, a duplicate and a rejection, and
// what comes out is JSON.
func FuzzList(f *testing.F) {
	f.Add([]byte(`{"type":"page","userId":"u"}{"type":"page","userId":"u"}`), []byte{28, 28})
	f.Add([]byte(`{"writeKey":"k","event":"e"}[]7{"a":`), []byte{27, 2, 1, 200})
	f.Add([]byte(``), []byte{0, 0})
	f.Fuzz(func(t *testing.T, body, lengths []byte) {
		var ends []int32
		at := 0
		for i, n := range lengths {
			if at += int(n); at > len(body) || i == len(lengths)-1 {
				at = len(body)
			}
			ends = append(ends, int32(at))
		}
		if at < len(body) {
			body = body[:at]
		}
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
