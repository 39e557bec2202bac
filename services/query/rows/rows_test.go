package rows

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func text(t *testing.T, r *Rows, f Format) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.Write(&b, f))
	return b.String()
}

func sample() *Rows {
	r := New("type", "n", "traits")
	r.Add("track", int64(12), Map{{"plan", "a,b"}, {"age", nil}})
	r.Add("", nil, List{int64(1), "x"})
	r.Add("<a&b>\x1b[31m\n", json.Number("12345678901234567890.10"), nil)
	return r
}

func TestTable(t *testing.T) {
	r := New("type", "n", "traits")
	r.Add("track", int64(12), Map{{"plan", "a,b"}, {"age", nil}})
	r.Add("<a&b>\x1b[31m\n", json.Number("12345678901234567890.10"), List{int64(1), "x"})
	r.Add("", nil, nil)
	require.Equal(t, ""+
		"type                                   n  traits\n"+
		"---------------  -----------------------  --------------------\n"+
		"track                                 12  {plan=a,b, age=NULL}\n"+
		"<a&b>\\x1b[31m\\n  12345678901234567890.10  [1, x]\n"+
		"                                    NULL  NULL\n", text(t, r, Table),
		"numbers stand right, and an event cannot steer the terminal")
}

func TestCSVLeavesNullEmptyAndNestsAsJSON(t *testing.T) {
	require.Equal(t, "type,n,traits\n"+
		"track,12,\"{\"\"plan\"\":\"\"a,b\"\",\"\"age\"\":null}\"\n"+
		",,\"[1,\"\"x\"\"]\"\n"+
		"\"<a&b>\x1b[31m\n\",12345678901234567890.10,\n", text(t, sample(), CSV))
}

func TestJSONKeepsOrderDigitsAndNull(t *testing.T) {
	got := text(t, sample(), JSON)
	require.True(t, json.Valid([]byte(got)))
	require.Contains(t, got, `{"type":"track","n":12,"traits":{"plan":"a,b","age":null}}`)
	require.Contains(t, got, `"n":12345678901234567890.10`)
	require.Equal(t, "[]\n", text(t, New("a"), JSON))
}

func TestWhatIsNoNumberInJSONIsAText(t *testing.T) {
	r := New("a", "b", "c", "nested")
	r.Add(math.NaN(), math.Inf(1), math.Inf(-1), List{math.NaN(), Map{{"<k>", math.Inf(-1)}}, 1.5})
	require.Equal(t, `[
  {"a":"NaN","b":"Infinity","c":"-Infinity","nested":["NaN",{"<k>":"-Infinity"},1.5]}
]
`, text(t, r, JSON))
	require.Equal(t, "a,b,c,nested\nNaN,Infinity,-Infinity,\"[\"\"NaN\"\",{\"\"<k>\"\":\"\"-Infinity\"\"},1.5]\"\n", text(t, r, CSV))
	require.Contains(t, text(t, r, Table), "NaN  Infinity  -Infinity  [NaN, {<k>=-Infinity}, 1.5]")
}

func TestUnknownFormat(t *testing.T) {
	require.ErrorContains(t, New("a").Write(&strings.Builder{}, "xml"), `"xml" is no output`)
}
