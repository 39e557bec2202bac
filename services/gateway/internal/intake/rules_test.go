package intake

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The oracle of the rules applies them to maps, and lets an Intake without rules do the rest.

var testKey = []byte("a key of some length, longer than a block of the hash function has bytes")

func sumOf(text string) string {
	h := hmac.New(sha256.New, testKey)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

func testMask(dst, address []byte) []byte {
	if string(address) == "10.0.0.1" || string(address) == "203.0.113.7" {
		return append(append(dst, address[:len(address)-1]...), '0')
	}
	return dst
}

// below is the path of a member: names may be empty, and may have dots.
func below(path []string, name string) []string { return append(path[:len(path):len(path)], name) }

func among(list []string, path []string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return slices.Equal(strings.Split(p, "."), path) })
}

// ruled is what the policy leaves of a value that stands at path.
func ruled(p Policy, path []string, v any, act action) any {
	switch v := v.(type) {
	case object:
		o := object{}
		for name, e := range v {
			at, next := below(path, name), act
			isIP := among([]string{"context.ip"}, at)
			switch {
			case among(p.Drop, at) || isIP && p.DropIP:
				continue
			case among(p.Hash, at):
				next = hashMember
			case isIP && p.MaskIP != nil:
				next = maskMember
			}
			o[name] = ruled(p, at, e, next)
		}
		return o
	case []any:
		a := []any{}
		for _, e := range v {
			a = append(a, ruled(p, path, e, act))
		}
		return a
	case nil:
		return nil
	}
	switch act {
	case hashMember:
		if v == "" {
			return v
		}
		return sumOf(fmt.Sprint(v))
	case maskMember:
		if s, ok := v.(string); ok {
			if masked := p.MaskIP(nil, []byte(s)); len(masked) > 0 {
				return string(masked)
			}
		}
		return nil
	}
	return v
}

// ruledBody is the body with its events, and what they inherit, as the policy leaves them.
func ruledBody(t require.TestingT, p Policy, r Request) []byte {
	body := decode(t, r.Body).(object)
	if r.Route != Batch {
		body = ruled(p, nil, body, keepMember).(object)
	} else {
		body["batch"] = ruled(p, nil, body["batch"], keepMember)
		shared := object{}
		for _, k := range []string{"context", "integrations"} {
			if v, ok := body[k]; ok {
				shared[k] = v
				delete(body, k)
			}
		}
		for k, v := range ruled(p, nil, shared, keepMember).(object) {
			body[k] = v
		}
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return text
}

// leaks lists what stands in a text at a path of Drop, duplicates of a key included.
func leaks(t require.TestingT, p Policy, text []byte) (found []string) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var walk func(path []string)
	walk = func(path []string) {
		token, err := d.Token()
		require.NoError(t, err, "%q", text)
		if among(p.Drop, path) || p.DropIP && among([]string{"context.ip"}, path) {
			found = append(found, strings.Join(path, "."))
		}
		switch token {
		case json.Delim('{'):
			for d.More() {
				name, err := d.Token()
				require.NoError(t, err)
				walk(below(path, strings.ReplaceAll(name.(string), "\x00", "\uFFFD")))
			}
			_, err = d.Token()
		case json.Delim('['):
			for d.More() {
				walk(path)
			}
			_, err = d.Token()
		}
		require.NoError(t, err)
	}
	walk(nil)
	return found
}

func (d draw) policy() Policy {
	some := func(name string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 4, rapid.ID).Draw(d.T, name)
	}
	p := Policy{
		Key: testKey,
		Drop: some("drop", "context", "context.a", "context.b", "context.a.a", "context.library", "context.library.name", "context.direct",
			"integrations", "integrations.X", "properties", "properties.a", "traits.a", "unknown", "unknown.a", "name", "groupId", "\uFFFD"),
		Hash: some("hash", "userId", "anonymousId", "groupId", "previousId", "traits", "properties.a", "context", "context.a", "context.library",
			"integrations", "unknown", "unknown.a.a", "category", "context.\uFFFD"),
	}
	switch d.pick("ip", "keep", "mask", "drop") {
	case "mask":
		p.MaskIP = testMask
	case "drop":
		p.DropIP = true
	}
	for _, path := range p.Drop {
		require.Empty(d.T, CheckPath(path, false))
	}
	for _, path := range p.Hash {
		require.Empty(d.T, CheckPath(path, true))
	}
	return p
}

// Whatever is sent, and whatever the rules are: what an Intake makes of it is what it makes of a body on which the rules
// were applied before, and nothing that goes is anywhere, in no event and in nothing that is rejected.
func TestRulesAgainstOracle(t *testing.T) {
	var used Intake
	changed := 0
	rapid.Check(t, func(t *rapid.T) {
		r, p := draw{t}.request(), draw{t}.policy()
		if strings.TrimSpace(string(r.Body))[0] != '{' {
			return
		}
		plain := r
		plain.Body = ruledBody(t, p, r)
		switch {
		case p.DropIP:
			plain.ClientIP = ""
		case p.MaskIP != nil && r.ClientIP != "":
			plain.ClientIP = string(testMask(nil, []byte(r.ClientIP)))
		}
		r.Rules = NewRules(p)
		var want Intake
		require.NoError(t, want.Parse(plain), "%s", plain.Body)
		require.NoError(t, used.Parse(r), "%s", r.Body)
		require.Equal(t, len(want.Events), len(used.Events), "%s", r.Body)
		require.Equal(t, len(want.Rejected), len(used.Rejected), "%s", r.Body)
		require.Equal(t, want.Duplicates, used.Duplicates)
		for i, e := range used.Events {
			require.Equal(t, decode(t, want.Events[i].Value), decode(t, e.Value), "%s", r.Body)
			require.Equal(t, want.Events[i].Index, e.Index)
			require.Equal(t, string(want.Events[i].MessageID), string(e.MessageID))
			require.Empty(t, leaks(t, p, e.Value), "%s", e.Value)
		}
		for i, e := range used.Rejected {
			require.Equal(t, want.Rejected[i].Code, e.Code)
			require.Equal(t, decode(t, want.Rejected[i].Original), decode(t, e.Original))
			require.Empty(t, leaks(t, p, e.Original), "%s", e.Original)
		}
		if used.Copied() > 0 {
			changed++
		}
	})
	require.Positive(t, changed, "the draw reaches the rules")
}

func testRules() Policy {
	return Policy{
		Key: testKey, Drop: []string{"properties.email", "context.page", "traits.a.b", "secret"}, Hash: []string{"userId", "traits.email"}, MaskIP: testMask,
		Blocked: []string{"Noise"}, Suppressed: []string{"gone"},
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"batch":[{"type":"page","userId":"u","properties":{"em\u0061il":"x","email":2,"a":1}}],"context":{"page":{"url":"x"},"ip":"10.0.0.1"}}`), uint8(Batch))
	f.Add([]byte(`{"event":"Noise","userId":"gone","secret":1}`), uint8(Track))
	p := testRules()
	rules := NewRules(p)
	f.Fuzz(func(t *testing.T, body []byte, route uint8) {
		r := request(Route(route)%(Alias+1), string(body))
		var with, without Intake
		refused := without.Parse(r)
		r.Rules = rules
		err := with.Parse(r)
		require.Equal(t, refused, err)
		if err != nil {
			return
		}
		require.Equal(t, len(without.Events)+len(without.Rejected)+without.Duplicates, len(with.Events)+len(with.Rejected)+with.Duplicates)
		for _, e := range with.Events {
			require.Empty(t, leaks(t, p, e.Value), "%q", body)
			id, _ := decode(t, e.Value).(object)["userId"].(string)
			require.True(t, id == "" || len(id) == 64, "%q", body)
		}
		for _, e := range with.Rejected {
			if e.Original == nil {
				continue
			}
			require.NotEqual(t, CodeSuppressed, e.Code)
			require.Empty(t, leaks(t, p, e.Original), "%q", body)
		}
	})
}

func TestRules(t *testing.T) {
	const head, tail = `{"type":"page","userId":"u","messageId":"m",`, `,` + at10 + `}`
	for _, c := range []struct {
		name     string
		policy   Policy
		in, want string // between head and tail
	}{
		{"the only member", Policy{Drop: []string{"properties.a"}}, `"properties":{ "a":1 }`, `"properties":{}`},
		{"the first", Policy{Drop: []string{"properties.a"}}, `"properties":{"a":1 , "b":2}`, `"properties":{"b":2}`},
		{"the last", Policy{Drop: []string{"properties.b"}}, `"properties":{"a":1.50 , "b":[2,{}] }`, `"properties":{"a":1.50 }`},
		{"in the middle, twice", Policy{Drop: []string{"properties.b"}}, `"properties":{"a":1,"b":2,"\u0062":3,"c":4,"b":5}`, `"properties":{"a":1,"c":4}`},
		{"in an array", Policy{Drop: []string{"properties.p.b"}}, `"properties":{"p":[{"a":1,"b":2},[{"b":3}],7]}`, `"properties":{"p":[{"a":1},[{}],7]}`},
		{"a whole field", Policy{Drop: []string{"properties"}}, `"properties":{"b":2},"a":1`, `"a":1`},
		{"a key of its own", Policy{Drop: []string{"a.b"}}, `"a.b":1`, `"a.b":1`},
		{"a sum", Policy{Key: testKey, Hash: []string{"a"}}, `"a":"x"`, `"a":"` + sumOf("x") + `"`},
		{"sums inside, but for what goes", Policy{Key: testKey, Hash: []string{"a"}, Drop: []string{"a.d"}}, `"a":{"b":[1.0,"",null,true],"d":3}`, `"a":{"b":["` + sumOf("1.0") + `","",null,"` + sumOf("true") + `"]}`},
		{"what does not match", Policy{Drop: []string{"a.b.c"}}, `"a":{"b":"c"}`, `"a":{"b":"c"}`},
		{"an address", Policy{MaskIP: testMask}, `"context":{"ip":"10.0.0.1"}`, `"context":{"ip":"10.0.0.0"}`},
		{"no address", Policy{MaskIP: testMask}, `"context":{"ip":"somewhere"}`, `"context":{"ip":null}`},
		{"the connection's address", Policy{MaskIP: testMask}, `"context":{"direct":true}`, `"context":{"direct":true,"ip":"203.0.113.0"}`},
		{"no address at all", Policy{DropIP: true}, `"context":{"direct":true,"ip":"10.0.0.1"}`, `"context":{"direct":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(Batch, `{"batch":[`+head+c.in+`}]}`)
			r.Rules = NewRules(c.policy)
			var in Intake
			require.NoError(t, in.Parse(r))
			require.Len(t, in.Events, 1)
			require.Equal(t, head+c.want+tail, string(in.Events[0].Value))
		})
	}
	require.Nil(t, NewRules(Policy{}), "nothing to do costs nothing")
}

func TestBlockedAndSuppressed(t *testing.T) {
	r := request(Batch, `{"batch":[`+strings.Join([]string{
		`{"type":"track","event":"Noise","userId":"u","properties":{"email":"x"}}`,
		`{"type":"track","event":"Other","userId":"gone","messageId":"m1"}`,
		`{"type":"track","event":"Other","anonymousId":"gone"}`,
		`{"type":"alias","previousId":"gone","userId":"u"}`,
		`{"type":"nothing of it is kept, right or not","userId":"gone","messageId":7}`,
		`{"type":"track","event":"Other","userId":"still here"}`,
	}, ",")+`]}`)
	r.Rules = NewRules(testRules())
	var in Intake
	require.NoError(t, in.Parse(r))
	require.Len(t, in.Events, 1)
	require.Equal(t, 5, in.Events[0].Index)
	require.Equal(t, Rejection{
		Index: 0, Code: CodeBlocked, Message: messageOf(CodeBlocked),
		Original: []byte(`{"type":"track","event":"Noise","userId":"` + sumOf("u") + `","properties":{}}`),
	}, in.Rejected[0])
	for i, rej := range in.Rejected[1:] {
		require.Equal(t, i+1, rej.Index)
		require.Equal(t, CodeSuppressed, rej.Code)
		require.Nil(t, rej.Original)
	}

	p := testRules()
	p.Hash, p.Suppressed = nil, []string{"7"}
	r = request(Track, `{"event":"e","userId":7}`) // rejected, and would be kept
	r.Rules = NewRules(p)
	require.NoError(t, in.Parse(r))
	require.Equal(t, CodeSuppressed, in.Rejected[0].Code)
}

// Where nobody looks for an id somebody may stand all the same: of such an event nothing is kept as it was sent, and only
// where somebody is suppressed.
func TestNothingIsKeptOfHiddenIDs(t *testing.T) {
	hiding := []string{
		`[{"type":"page","userId":"gone"}]`, `"gone"`, `{"type":"page","userId":["gone"]}`, `{"type":"page","anonymousId":{"a":"gone"}}`,
		`{"type":7,"userId":"u","userId":"gone","userId":"x"}`, `{"type":"page","previousId":"gone","\u0070reviousId":"x"}`,
		`{"type":"page","previousId":["gone"],"userId":"u"}`,
	}
	plain := []string{`{"type":"page"}`, `{"type":7,"userId":"u"}`, `{"type":7,"userId":7}`, `{"type":"page","messageId":["m"],"userId":"u"}`}
	r := request(Batch, `{"batch":[`+strings.Join(append(hiding, plain...), ",")+`]}`)
	var in Intake
	for _, hash := range [][]string{nil, {"userId"}} {
		p := Policy{Key: testKey, Hash: hash, Suppressed: []string{"gone"}}
		r.Rules = NewRules(p)
		require.NoError(t, in.Parse(r))
		require.Len(t, in.Rejected, len(hiding)+len(plain))
		for i, rej := range in.Rejected {
			require.NotEqual(t, CodeSuppressed, rej.Code)
			require.Equal(t, i < len(hiding), rej.Original == nil, "%s", rej.Original)
		}
	}
	r.Rules = NewRules(Policy{Blocked: []string{"Noise"}})
	require.NoError(t, in.Parse(r))
	for _, rej := range in.Rejected {
		require.NotNil(t, rej.Original)
	}
}

// A policy that hides an id from suppression is refused; one that hashes it is not, and holds.
func TestHashedPreviousID(t *testing.T) {
	require.NotEmpty(t, CheckPath("previousId", false))
	require.NotEmpty(t, CheckPath("previousId.x", false))
	r := request(Alias, `{"previousId":"gone","userId":"u"}`)
	r.Rules = NewRules(Policy{Key: testKey, Hash: []string{"previousId"}, Suppressed: []string{"gone"}})
	var in Intake
	require.NoError(t, in.Parse(r))
	require.Equal(t, CodeSuppressed, in.Rejected[0].Code)
}

// Sums may make a small body large: up to the bound that inheritance has.
func TestSumsAreBounded(t *testing.T) {
	r := request(Track, `{"userId":"u","event":"e","a":[1`+strings.Repeat(",1", 1000)+`]}`)
	r.Rules = NewRules(Policy{Key: testKey, Hash: []string{"a"}})
	r.Limits.MaxEventBytes = 1 << 20
	var in Intake
	require.NoError(t, in.Parse(r))
	require.Len(t, in.Events, 1)
	r.Limits.MaxInheritedBytes = 50_000
	require.ErrorIs(t, in.Parse(r), errTooLarge)
}

func TestPaths(t *testing.T) {
	for path, right := range map[string][2]bool{ // to drop, to hash
		"properties": {true, true}, "a.b.c": {true, true}, "traits.email": {true, true}, "context": {true, true},
		"userId": {false, true}, "anonymousId": {false, true}, "previousId": {false, true}, "groupId": {true, true},
		"messageId": {}, "type": {}, "event": {}, "timestamp": {}, "sentAt": {}, "receivedAt": {}, "originalTimestamp": {}, "writeKey": {},
		"context.ip": {}, "": {}, ".": {}, "a.": {}, ".a": {}, "a..b": {},
	} {
		require.Equal(t, right, [2]bool{CheckPath(path, false) == "", CheckPath(path, true) == ""}, path)
	}
}

func TestMAC(t *testing.T) {
	for _, key := range [][]byte{testKey, []byte("0123456789abcdef"), bytes.Repeat([]byte("k"), 64)} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte("text"))
		m := newMAC(key)
		require.Equal(t, "x"+hex.EncodeToString(h.Sum(nil)), string(m.append([]byte("x"), []byte("text"))))
	}
}
