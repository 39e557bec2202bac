package promote

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// shown is the table as the catalog makes it of a registry that has grown by and by.
func shown(all ...Registry) (table []Shown) {
	for _, r := range all {
		for _, c := range r.Listed() {
			s := Shown{c.Name, c.Type.Glue(), c.Path}
			if !contains(table, s) {
				table = append(table, s)
			}
		}
	}
	return table
}

func contains(table []Shown, s Shown) bool {
	for _, o := range table {
		if o == s {
			return true
		}
	}
	return false
}

func TestRebuild(t *testing.T) {
	first, _, err := Registry{}.Extend(list(t, "properties.revenue: double, properties.orderId: string, traits.at: timestamp"))
	require.NoError(t, err)
	second := first.Beside([]string{"properties_revenue__bigint", "traits_at__bigint"})
	third, _, err := second.Extend(list(t, "properties.order_id: bigint, traits.day: date"))
	require.NoError(t, err)
	fourth := third.Beside([]string{"traits_day__string", "properties_revenue__string"})

	table := append([]Shown{{"messageid", "string", ""}, {"theirs", "date", ""}}, shown(first, second, third, fourth)...)
	rebuilt, err := Rebuild(table, 9)
	require.NoError(t, err)
	require.EqualValues(t, 9, rebuilt.Version)
	rebuilt.Version = fourth.Version
	require.True(t, rebuilt.Equal(fourth), "%+v is not %+v", rebuilt, fourth)

	for reason, table := range map[string][]Shown{
		"column x: it is neither":              {{"x", "string", "traits.name"}},
		"column traits_name: \"binary\" is no": {{"traits_name", "binary", "traits.name"}},
		"column name: the path name begins":    {{"name", "string", "name"}},
		"the path traits.name has two columns": {{"traits_name", "string", "traits.name"}, {"traits_name_" + digest("traits.name"), "string", "traits.name"}},
		"column traits_name__double: it is":    {{"traits_name", "string", "traits.name"}, {"traits_name__double", "double", "traits.name"}},
	} {
		_, err := Rebuild(table, 1)
		require.ErrorContains(t, err, reason)
	}
}
