package promote

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// versions are three that grew into one another, by index.
func versions(t *testing.T) [4]Registry {
	var all [4]Registry
	for i, text := range []string{"properties.revenue: double", "traits.name: string", "traits.age: bigint"} {
		var err error
		all[i+1], _, err = all[i].Extend(list(t, text))
		require.NoError(t, err)
	}
	return all
}

// Whatever of a registry was deleted or put back to an older version, the newest that is left counts.
func TestSettle(t *testing.T) {
	v := versions(t)
	at := func(n int) *Registry {
		if n == 0 {
			return nil
		}
		return &v[n]
	}
	for _, c := range []struct {
		what                  string
		current, copied, know int
		want                  int
		behind, uncopied      bool
	}{
		{what: "a new lake"},
		{what: "all is well", current: 2, copied: 2, know: 2, want: 2},
		{what: "a start", current: 2, copied: 2, want: 2},
		{what: "a lake of a weir that made no copies", current: 2, want: 2, uncopied: true},
		{what: "somebody else has moved it on", current: 3, copied: 3, know: 2, want: 3},
		{what: "whoever moved it on has not copied it yet", current: 3, copied: 2, know: 2, want: 3, uncopied: true},
		{what: "the current object was deleted", copied: 3, want: 3, behind: true},
		{what: "the current object was put back to an older version", current: 1, copied: 3, want: 3, behind: true},
		{what: "the copies were deleted", current: 3, want: 3, uncopied: true},
		{what: "the newest copy was deleted", current: 3, copied: 1, want: 3, uncopied: true},
		{what: "both were deleted, and the process knows it", know: 3, want: 3, behind: true, uncopied: true},
		{what: "both were put back, and the process knows it", current: 1, copied: 1, know: 3, want: 3, behind: true, uncopied: true},
	} {
		got, err := Found{Current: at(c.current), Copy: at(c.copied)}.Settle(v[c.know])
		require.NoError(t, err, c.what)
		require.Equal(t, Settled{Registry: v[c.want], Behind: c.behind, Uncopied: c.uncopied}, got, c.what)
	}
}

// A registry that was made anew, from another list, is not taken for an older version.
func TestSettleRefusesWhatContradicts(t *testing.T) {
	v := versions(t)
	anew, _, err := Registry{}.Extend(list(t, "properties.orderId: string"))
	require.NoError(t, err)
	for what, found := range map[string]Found{
		"the current object was made anew": {Current: &anew, Copy: &v[3]},
		"the copy is another":              {Current: &v[3], Copy: &anew},
		"both are not what is known":       {Current: &anew, Copy: &anew},
	} {
		_, err := found.Settle(v[2])
		require.ErrorIs(t, err, ErrContradiction, what)
		require.ErrorContains(t, err, "properties_order_id (properties.orderId: string, field 35)", what)
		require.ErrorContains(t, err, "properties_revenue (properties.revenue: double, field 35)", what)
	}
	other := v[1]
	other.Version = 9
	_, err = Found{Current: &other}.Settle(v[2])
	require.ErrorContains(t, err, "version 2 has the column traits_name (traits.name: string, field 40), version 9 has not")

	typed := Registry{Version: 1, Columns: []Column{v[1].Columns[0]}}
	typed.Columns[0].Type = "string"
	_, err = Found{Current: &typed}.Settle(v[1])
	require.ErrorIs(t, err, ErrContradiction)
}

// What stands beside a column says that files hold it, and contradicts nothing.
func TestSettleLeavesWhatStandsBeside(t *testing.T) {
	v := versions(t)
	beside := v[1].Beside([]string{"properties_revenue__string"})
	got, err := Found{Current: &beside, Copy: &v[3]}.Settle(Registry{})
	require.NoError(t, err)
	require.Equal(t, v[3], got.Registry)
	require.False(t, beside.Equal(v[2]))
	require.True(t, beside.Equal(beside))
}
