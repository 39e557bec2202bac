package promote

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

func TestParse(t *testing.T) {
	w, err := Parse(" context.page.url :string")
	require.NoError(t, err)
	require.Equal(t, Wanted{Path: []string{"context", "page", "url"}, Type: lake.String}, w)
	require.Equal(t, "context.page.url: string", w.String())
	for text, reason := range map[string]string{
		"properties.revenue":                "has no type",
		"properties.revenue: decimal":       `"decimal" is no type`,
		"integrations.All: boolean":         "begins with neither",
		"context: string":                   "has not two to 6 keys",
		"context..url: string":              "has not two to 6 keys",
		"context.a.b.c.d.e.f: string":       "has not two to 6 keys",
		"context." + long(300) + ": string": "longer than 256 bytes",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, reason, text)
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func TestNames(t *testing.T) {
	for path, name := range map[string]string{
		"context.page.url":        "context_page_url",
		"context.userAgent":       "context_user_agent",
		"properties.HTTPServer":   "properties_http_server",
		"properties.utm2":         "properties_utm2",
		"properties.utm2Source":   "properties_utm2_source",
		"properties.Order ID":     "properties_order_id",
		"properties.__x--y__":     "properties_x_y",
		"properties.Cízǔ":         "properties_cizu",
		"properties.ﬁrst":         "properties_first",
		"properties.2nd":          "properties_2nd",
		"properties.価格":           "properties_f_" + digest("価格"),
		"properties.価格.USD":       "properties_f_" + digest("価格") + "_usd",
		"properties." + long(200): "properties_" + long(108) + "_" + digest("properties."+long(200)),
		"properties.omega v2":     "properties_omega_v2",
		"properties.\x00select":   "properties_select",
		"properties.ID":           "properties_id",
		"properties.userIDs":      "properties_user_i_ds",
		"properties.x.y.z":        "properties_x_y_z",
	} {
		require.Equal(t, name, nameOf(strings.Split(path, ".")), path)
		require.LessOrEqual(t, len(nameOf(strings.Split(path, "."))), maxName)
	}
}

func list(t testing.TB, text string) []Wanted {
	var l List
	require.NoError(t, l.UnmarshalText([]byte(text)), text)
	require.Equal(t, text, l.String())
	return l.Paths
}

func TestList(t *testing.T) {
	all := DefaultList()
	require.Equal(t, "default", all.String())
	require.Greater(t, len(all.Paths), 50)
	require.Len(t, strings.Split(defaults, "\n"), len(all.Paths), "a path stands twice")
	require.Empty(t, list(t, "none"))
	require.Equal(t, []Wanted{{[]string{"traits", "a"}, lake.Date}, {[]string{"traits", "b"}, lake.Boolean}}, list(t, "traits.a: date, traits.b: boolean"))
	require.Len(t, list(t, "default,traits.only_ours: string"), len(all.Paths)+1)

	ours := list(t, "default, properties.revenue: string")
	require.Len(t, ours, len(all.Paths), "it is said anew of what type this one is")
	require.Contains(t, ours, Wanted{[]string{"properties", "revenue"}, lake.String})

	var l List
	require.Equal(t, "none", l.String())
	for text, reason := range map[string]string{
		"":                               "has no type",
		"traits.a: date,":                "has no type",
		"traits.a: date, traits.a: date": "traits.a stands twice",
		"none, traits.a: date":           "has no type",
	} {
		require.ErrorContains(t, l.UnmarshalText([]byte(text)), reason, text)
	}
	var many []string
	for i := range MaxWanted + 1 {
		many = append(many, fmt.Sprintf("traits.a%d: string", i))
	}
	require.ErrorContains(t, l.UnmarshalText([]byte(strings.Join(many, ","))), "301 paths are more than 300")
}

// What a list asks for gets columns; a later list changes nothing of them.
func TestRegistryOnlyGrows(t *testing.T) {
	first, kept, err := Registry{}.Extend(list(t, "properties.revenue: double, properties.orderId: string"))
	require.NoError(t, err)
	require.Empty(t, kept)
	require.EqualValues(t, 1, first.Version)
	require.Equal(t, []Column{
		{Name: "properties_revenue", Path: []string{"properties", "revenue"}, Type: "double", FieldID: 35},
		{Name: "properties_order_id", Path: []string{"properties", "orderId"}, Type: "string", FieldID: 40},
	}, first.Columns)

	again, kept, err := first.Extend(list(t, "properties.orderId: string"))
	require.NoError(t, err)
	require.Empty(t, kept)
	require.Equal(t, first, again)

	wanted := list(t, "properties.order_id: bigint, properties.revenue: string, traits.age: bigint")
	second, kept, err := first.Extend(wanted)
	require.NoError(t, err)
	require.EqualValues(t, 2, second.Version)
	require.Equal(t, first.Columns, second.Columns[:2])
	require.Equal(t, []Kept{{wanted[1], first.Columns[0]}}, kept)
	require.Equal(t, "properties_order_id_"+digest("properties.order_id"), second.Columns[2].Name, "another path of the same name")
	require.Equal(t, []lake.Promoted{
		{Name: second.Columns[2].Name, Path: []string{"properties", "order_id"}, Type: lake.BigInt, FieldID: 45},
		{Name: "properties_revenue", Path: []string{"properties", "revenue"}, Type: lake.Double, FieldID: 35},
		{Name: "traits_age", Path: []string{"traits", "age"}, Type: lake.BigInt, FieldID: 50},
	}, second.Promoted(wanted))

	stored, err := Decode(second.Encode())
	require.NoError(t, err)
	second.Format = format
	require.Equal(t, second, stored)
}

func TestColumnsBesideAreListedOnceTheyAreThere(t *testing.T) {
	r, _, err := Registry{}.Extend(list(t, "properties.revenue: double, traits.name: string"))
	require.NoError(t, err)
	names := func(r Registry) (names []string) {
		for _, c := range r.Listed() {
			names = append(names, c.Name+" "+c.Type.Glue()+" "+c.Path)
		}
		return names
	}
	require.Equal(t, []string{"properties_revenue double properties.revenue", "traits_name string traits.name"}, names(r))
	require.Equal(t, r, r.Beside(nil))
	require.Equal(t, r, r.Beside([]string{"traits_name__string", "properties_revenue__double", "unknown"}), "there are no such columns")

	grown := r.Beside([]string{"properties_revenue__string"})
	require.EqualValues(t, 2, grown.Version)
	require.Equal(t, grown, grown.Beside([]string{"properties_revenue__string"}))
	require.Equal(t, []string{
		"properties_revenue double properties.revenue", "properties_revenue__string string properties.revenue",
		"traits_name string traits.name",
	}, names(grown))
	require.Empty(t, r.Columns[0].Beside, "the older value stays as it was")
}

func TestIDsAreUnique(t *testing.T) {
	r, _, err := Registry{}.Extend(DefaultList().Paths)
	require.NoError(t, err)
	seen := map[int32]string{}
	for _, c := range lake.EventLogs().Schema {
		seen[c.FieldID], seen[c.KeyID], seen[c.ValueID] = c.Name, c.Name, c.Name
	}
	names := map[string]bool{}
	for _, p := range r.Promoted(DefaultList().Paths) {
		for s := lake.Main; s < lake.Sides; s++ {
			c, ok := p.Column(s)
			require.Equal(t, s == lake.Main || p.Type != lake.String && c.Type != p.Type, ok)
			require.Empty(t, seen[c.FieldID], c.Name)
			if seen[c.FieldID] = c.Name; ok {
				require.False(t, names[c.Name], c.Name)
				names[c.Name] = true
			}
		}
	}
}

func TestRegistryIsBounded(t *testing.T) {
	var r Registry
	for i := range MaxColumns {
		r.Columns = append(r.Columns, Column{Name: "x", Path: []string{"traits", long(i)}, Type: "string"})
	}
	same, _, err := r.Extend(list(t, "traits.b: string"))
	require.ErrorContains(t, err, "promote traits.b: the table has 1000 promoted columns")
	require.Equal(t, r, same)
}

func TestDecodeRefuses(t *testing.T) {
	for text, reason := range map[string]string{
		"{":            "read the registry",
		`{}`:           "format 0",
		`{"format":2}`: "run a newer one",
		`{"format":1,"columns":[{"name":"x","type":"decimal"}]}`: `gives x the unknown type "decimal"`,
	} {
		_, err := Decode([]byte(text))
		require.ErrorContains(t, err, reason, text)
	}
}
