package intake

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/jsonscan"
)

func TestRejections(t *testing.T) {
	for _, c := range []struct{ event, code string }{
		{`null`, CodeNotObject},
		{`[{"userId":"u"}]`, CodeNotObject},
		{`"x"`, CodeNotObject},
		{`{}`, CodeMissingType},
		{`{"type":7,"userId":"u"}`, CodeInvalidType},
		{`{"type":{},"userId":"u"}`, CodeInvalidType},
		{`{"userId":"u"}`, CodeMissingType},
		{`{"userId":"u","type":null,"event":""}`, CodeMissingType},
		{`{"userId":"u","type":""}`, CodeMissingType},
		{`{"userId":"u","event":"e"}`, ""},
		{`{"userId":"u","type":"what.ever"}`, ""},
		{`{"type":"page"}`, CodeNoID},
		{`{"type":"page","userId":null,"anonymousId":""}`, CodeNoID},
		{`{"type":"group","groupId":"g"}`, CodeNoID},
		{`{"type":"alias","previousId":"p"}`, CodeNoID},
		{`{"type":"what.ever"}`, CodeNoID},
		{`{"type":"page","anonymousId":"a"}`, ""},
		{`{"type":"page","userId":1}`, CodeIDNotString},
		{`{"type":"page","userId":"u","anonymousId":false}`, CodeIDNotString},
		{`{"type":"group","userId":"u","groupId":{}}`, CodeIDNotString},
		{`{"type":"alias","userId":"u","previousId":[]}`, CodeIDNotString},
		{`{"type":"page","userId":"u","messageId":1}`, CodeIDNotString},
		{`{"type":"page","userId":"u","messageId":"` + strings.Repeat("é", 100) + `"}`, ""},
		{`{"type":"page","userId":"u","messageId":"` + strings.Repeat("é", 101) + `"}`, CodeIDTooLong},
		{`{"type":"page","userId":"u","messageId":"` + strings.Repeat(`\u00e9`, 100) + `"}`, ""},
		{`{"type":"track","userId":"u"}`, CodeNoEvent},
		{`{"type":"track","userId":"u","event":null}`, CodeNoEvent},
		{`{"type":"track","userId":"u","event":""}`, CodeNoEvent},
		{`{"type":"track","userId":"u","event":1}`, CodeEventString},
		{`{"type":"track","userId":"u","event":"e"}`, ""},
		{`{"type":"tr\u0061ck","userId":"u"}`, CodeNoEvent},
		{`{"type":"track","userId":"u","event":"e","properties":[]}`, CodeProperties},
		{`{"type":"track","userId":"u","event":"e","properties":null,"traits":7,"name":7,"category":7}`, ""},
		{`{"type":"page","userId":"u","properties":"x"}`, CodeProperties},
		{`{"type":"screen","userId":"u","properties":1}`, CodeProperties},
		{`{"type":"page","userId":"u","name":1}`, CodeNameString},
		{`{"type":"screen","userId":"u","category":true}`, CodeCategoryString},
		{`{"type":"page","userId":"u","name":"","category":null}`, ""},
		{`{"type":"identify","userId":"u","traits":[]}`, CodeTraits},
		{`{"type":"group","userId":"u","groupId":"g","traits":"x"}`, CodeTraits},
		{`{"type":"identify","userId":"u","traits":null,"properties":7}`, ""},
		{`{"type":"track","userId":"u","event":"e","event":null}`, CodeNoEvent},
		{`{"type":"track","userId":"u","event":null,"event":"e"}`, ""},
		{`{"type":"page","userId":"u","context":"x","integrations":"y"}`, ""},
	} {
		t.Run(c.event, func(t *testing.T) {
			var in Intake
			good := `{"type":"page","userId":"u","messageId":"good"}`
			require.NoError(t, in.Parse(request(Batch, `{"batch":[`+good+`,`+c.event+`,`+good[:len(good)-2]+`2"}]}`)))
			if c.code == "" {
				require.Empty(t, in.Rejected)
				require.Len(t, in.Events, 3)
				return
			}
			require.Len(t, in.Events, 2, "the others are stored")
			require.Len(t, in.Rejected, 1)
			r := in.Rejected[0]
			require.Equal(t, 1, r.Index)
			require.Equal(t, c.code, r.Code)
			require.Equal(t, messageOf(c.code), r.Message)
			require.NotEmpty(t, r.Message)
			require.Equal(t, c.event, string(r.Original))
		})
	}
}

func TestSingleRoutesGiveTheType(t *testing.T) {
	for route, name := range typeNames {
		if Route(route) == Batch {
			continue
		}
		var in Intake
		require.NoError(t, in.Parse(request(Route(route), `{"userId":"u","event":"e"}`)))
		require.Len(t, in.Events, 1)
		require.Equal(t, name, in.Events[0].Type)
		require.Contains(t, string(in.Events[0].Value), `"type":"`+name+`"`)
	}
	var in Intake
	require.NoError(t, in.Parse(request(Track, `{}`)))
	require.Equal(t, []Rejection{{Code: CodeNoID, Message: messageOf(CodeNoID), Original: []byte(`{}`)}}, in.Rejected)
	require.NoError(t, in.Parse(request(Track, `{"userId":"u","event":"e","type":"custom"}`)))
	require.Equal(t, "other", in.Events[0].Type)
}

// The rejected topic gets what the client sent, even what is dirty, but never a write key.
func TestOriginals(t *testing.T) {
	for _, c := range [][2]string{
		{"{\"writeKey\":\"secret\",\"type\" : \"page\",\"x\":\"\xff\\u0000\"}", "{\"writeKey\":\"\",\"type\" : \"page\",\"x\":\"\xff\\u0000\"}"},
		{`{"type":"page","writeKey":"secret"}`, `{"type":"page","writeKey":""}`},
		{`{"type":"page","writeKey":"secret","writeK\u0065y":"secret"}`, `{"type":"page","writeK\u0065y":""}`},
		{`{"timestamp":1,"timestamp":2,"messageId":"m\n"}`, `{"timestamp":1,"timestamp":2,"messageId":"m\n"}`},
	} {
		var in Intake
		require.NoError(t, in.Parse(request(Batch, `{"batch":[`+c[0]+`]}`)))
		require.Len(t, in.Rejected, 1)
		require.Equal(t, c[1], string(in.Rejected[0].Original))
		require.NoError(t, jsonscan.Valid(in.Rejected[0].Original))
	}
	var in Intake
	require.NoError(t, in.Parse(request(Batch, `{"batch":[{"messageId":"m\n"},{"messageId":7}]}`)))
	require.Equal(t, "m\n", string(in.Rejected[0].MessageID))
	require.Nil(t, in.Rejected[1].MessageID)
}

func TestUnusableBodies(t *testing.T) {
	event := `{"userId":"u","type":"page"}`
	for _, c := range []struct {
		route Route
		body  string
		want  Error
	}{
		{Batch, ``, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, `{"batch":[` + event, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, `{"batch":[` + event + `]} x`, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, `{"batch":[` + event + `,{]}`, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, `{"batch":[` + event + `,]}`, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, `[1,`, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, "{\"batch\":[\x00]}", Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Batch, strings.Repeat("[", 100000), Error{Code: "invalid_request", Message: "malformed JSON: nested too deeply"}},
		{Batch, `{"batch":[{"a":` + strings.Repeat("[", 126), Error{Code: "invalid_request", Message: "malformed JSON: nested too deeply"}},
		{Batch, `[` + event + `]`, Error{Code: "invalid_request", Message: "the body must be a JSON object"}},
		{Batch, `null`, Error{Code: "invalid_request", Message: "the body must be a JSON object"}},
		{Batch, event, Error{Code: "invalid_request", Message: "batch must be an array of events"}},
		{Batch, `{}`, Error{Code: "invalid_request", Message: "batch must be an array of events"}},
		{Batch, `{"batch":null}`, Error{Code: "invalid_request", Message: "batch must be an array of events"}},
		{Batch, `{"batch":` + event + `}`, Error{Code: "invalid_request", Message: "batch must be an array of events"}},
		{Batch, `{"batch":[` + event + `],"batch":{}}`, Error{Code: "invalid_request", Message: "batch must be an array of events"}},
		{Batch, `{"batch":[]}`, Error{Code: "empty_batch", Message: "batch contains no events"}},
		{Batch, `{"batch":[` + event + `],"batch":[]}`, Error{Code: "empty_batch", Message: "batch contains no events"}},
		{Track, ``, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Track, event + event, Error{Code: "invalid_request", Message: "malformed JSON"}},
		{Track, `[` + event + `]`, Error{Code: "invalid_request", Message: "the body must be a JSON object"}},
		{Track, `7`, Error{Code: "invalid_request", Message: "the body must be a JSON object"}},
	} {
		var in Intake
		var got *Error
		require.ErrorAs(t, in.Parse(request(c.route, c.body)), &got, c.body)
		if strings.HasPrefix(got.Message, "malformed") {
			var cause *jsonscan.Error
			require.ErrorAs(t, got, &cause, c.body)
		}
		got = &Error{Class: got.Class, Code: got.Code, Message: got.Message}
		require.Equal(t, &c.want, got, "%.80s", c.body)
		require.Empty(t, in.Events)
		require.Empty(t, in.Rejected)
	}
}

func TestOfTwoBatchesTheLastCounts(t *testing.T) {
	var in Intake
	require.NoError(t, in.Parse(request(Batch, `{"batch":[{"userId":"u","type":"page","messageId":"a","x":1,"x":2,"type":"page"}],"batch":[{"userId":"u","type":"page","messageId":"b"}]}`)))
	require.Len(t, in.Events, 1)
	require.Equal(t, "b", string(in.Events[0].MessageID))
}

func TestWriteKeys(t *testing.T) {
	const page = `{"userId":"u","type":"page"}`
	for _, c := range []struct {
		route     Route
		body, key string
		mixed     bool
	}{
		{Batch, `{"batch":[` + page + `]}`, "", false},
		{Batch, `{"batch":[` + page + `],"writeKey":"k"}`, "k", false},
		{Batch, `{"writeKey":"k","batch":[` + page + `]}`, "k", false},
		{Batch, `{"write\u004bey":"k\n","batch":[` + page + `]}`, "k\n", false},
		{Batch, `{"writeKey":null,"batch":[{"writeKey":"","userId":"u"}]}`, "", false},
		{Batch, `{"writeKey":7,"batch":[{"writeKey":{},"userId":"u"}]}`, "", false},
		{Batch, `{"batch":[` + page + `,{"writeKey":"k","userId":"u"}]}`, "k", false},
		{Batch, `{"writeKey":"k","batch":[{"writeKey":"\u006b","userId":"u"},{"writeKey":"k"}]}`, "k", false},
		{Batch, `{"writeKey":"k","batch":[{"writeKey":"l","userId":"u"}]}`, "k", true},
		{Batch, `{"batch":[{"writeKey":"k","userId":"u"},` + page + `,{"writeKey":"l","userId":"u"}]}`, "k", true},
		{Batch, `{"batch":[{"writeKey":"l","writeKey":"k","userId":"u"},{"writeKey":"k","userId":"u"}]}`, "k", false},
		{Track, `{"writeKey":"k","userId":"u"}`, "k", false},
		{Track, `{"userId":"u","properties":{"writeKey":"k"}}`, "", false},
	} {
		var in Intake
		err := in.Parse(request(c.route, c.body))
		require.Equal(t, c.key, string(in.WriteKey), c.body)
		if !c.mixed {
			require.NoError(t, err, c.body)
			continue
		}
		var fault *Error
		require.ErrorAs(t, err, &fault, c.body)
		require.Equal(t, Unauthorized, fault.Class)
		require.Equal(t, CodeMixedKeys, fault.Code)
		require.Empty(t, in.Events)
	}
}

func TestDuplicates(t *testing.T) {
	page := func(id string) string { return fmt.Sprintf(`{"userId":"u","type":"page","messageId":%s}`, id) }
	var in Intake
	body := `{"batch":[` + strings.Join([]string{
		page(`"a"`), page(`"b"`), page(`"\u0061"`), `{"messageId":"c"}`, page(`"c"`), page(`""`), page(`""`), page(`"a"`), page(`"B"`),
	}, ",") + `]}`
	require.NoError(t, in.Parse(request(Batch, body)))
	require.Equal(t, 2, in.Duplicates)
	require.Len(t, in.Rejected, 1, "an event that is rejected has not been seen")
	var ids []string
	var indexes []int
	for _, e := range in.Events {
		ids, indexes = append(ids, string(e.MessageID)), append(indexes, e.Index)
	}
	require.Equal(t, []string{"a", "b", "c", "new-id", "new-id", "B"}, ids, "what is generated is new by contract")
	require.Equal(t, []int{0, 1, 4, 5, 6, 8}, indexes)
	require.NoError(t, in.Parse(request(Batch, body)))
	require.Equal(t, 2, in.Duplicates, "the next request begins anew")
}

// Ids that meet in the table are told apart.
func TestDuplicatesOfMany(t *testing.T) {
	const n = 2000
	var b strings.Builder
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"userId":"u","type":"page","messageId":"%d"}`, i%(n/2))
	}
	b.WriteString(`]}`)
	var in Intake
	require.NoError(t, in.Parse(request(Batch, b.String())))
	require.Len(t, in.Events, n/2)
	require.Equal(t, n/2, in.Duplicates)
}

func TestLimits(t *testing.T) {
	event := func(id string, size int) string {
		s := `{"userId":"u","type":"page","messageId":"` + id + `","properties":{"p":""}}`
		return strings.Replace(s, `"p":""`, `"p":"`+strings.Repeat("x", size-len(s))+`"`, 1)
	}
	batch := func(more string, events ...string) string {
		return `{"batch":[` + strings.Join(events, ",") + `]` + more + `}`
	}
	many := func(n int) []string {
		events := make([]string, n)
		for i := range events {
			events[i] = fmt.Sprintf(`{"userId":"u","type":"page","messageId":"%d"}`, i)
		}
		return events
	}
	const max = 36 << 10
	var in Intake

	require.NoError(t, in.Parse(request(Batch, batch("", event("a", max), event("b", max+1), event("c", 200)))))
	require.Len(t, in.Events, 2)
	require.Equal(t, CodeTooLarge, in.Rejected[0].Code)
	require.Equal(t, "Exceed payload limit", in.Rejected[0].Message)
	require.Len(t, in.Rejected[0].Original, max+1)

	shared := `{"x":"` + strings.Repeat("y", 1000) + `"}`
	for _, name := range []string{"context", "integrations", "sentAt"} {
		require.NoError(t, in.Parse(request(Batch, batch(`,"`+name+`":`+shared, event("a", max-len(shared)), event("b", max-len(shared)+1)))))
		require.Len(t, in.Events, 1, "what is inherited counts")
		require.Equal(t, CodeTooLarge, in.Rejected[0].Code)
	}

	require.NoError(t, in.Parse(request(Batch, batch("", many(2502)...))))
	require.Len(t, in.Events, 2500)
	require.Len(t, in.Rejected, 2)
	require.Equal(t, CodeTooMany, in.Rejected[1].Code)
	require.Equal(t, 2501, in.Rejected[1].Index)

	var fault *Error
	require.NoError(t, in.Parse(request(Batch, batch("", many(10000)...))))
	require.ErrorAs(t, in.Parse(request(Batch, batch("", many(10001)...))), &fault)
	require.Equal(t, errTooMany, fault)

	shared = `{"x":"` + strings.Repeat("y", 30000) + `"}`
	require.ErrorAs(t, in.Parse(request(Batch, batch(`,"context":`+shared, many(1000)...))), &fault)
	require.Equal(t, errTooLarge, fault, "30 MB from 80 kB")
	require.ErrorAs(t, in.Parse(request(Batch, batch(`,"sentAt":`+shared, many(1000)...))), &fault)
	require.Equal(t, errTooLarge, fault)
	require.Less(t, in.Size(), 20<<20)

	r := request(Batch, batch("", many(3)...))
	r.Limits = Limits{MaxEvents: 1, MaxElements: 2}
	require.ErrorIs(t, in.Parse(r), errTooMany)
	r.Limits = Limits{MaxEvents: 1, MaxEventBytes: 10}
	require.NoError(t, in.Parse(r))
	require.Len(t, in.Rejected, 3)
}

// Notes on more elements than a batch stores do not outlive the body; those of a usual batch are used again.
func TestNotesOfTooManyElements(t *testing.T) {
	for n, kept := range map[int]bool{100: true, 10_000: false} {
		in := new(Intake)
		require.NoError(t, in.Parse(Request{Route: Batch, Body: []byte(`{"batch":[` + strings.Repeat("{},", n-1) + "{}]}"), NewID: testID}))
		require.Len(t, in.Rejected, n)
		require.Equal(t, kept, cap(in.found) > 0)
	}
}

// The body may be used for the next request as soon as Parse has returned.
func TestNothingPointsIntoTheBody(t *testing.T) {
	body := `{"writeKey":"key","batch":[{"userId":"u","type":"page","messageId":"m"},{"userId":7,"type":"page","messageId":"bad"},3]}`
	r := request(Batch, body)
	var in Intake
	require.NoError(t, in.Parse(r))
	clear(r.Body)
	require.Equal(t, "key", string(in.WriteKey))
	require.Equal(t, "m", string(in.Events[0].MessageID))
	require.Contains(t, string(in.Events[0].Value), `"messageId":"m"`)
	require.Equal(t, "bad", string(in.Rejected[0].MessageID))
	require.Equal(t, `{"userId":7,"type":"page","messageId":"bad"}`, string(in.Rejected[0].Original))
	require.Equal(t, `3`, string(in.Rejected[1].Original))
}
