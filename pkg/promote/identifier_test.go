package promote

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdentifier(t *testing.T) {
	for text, name := range map[string]string{
		"Order Completed":        "order_completed",
		"orderCompleted":         "order_completed",
		"HTTPServer":             "http_server",
		"2nd Visit":              "n_2nd_visit",
		"select":                 "select_",
		"Timestamp":              "timestamp_",
		"価格":                     "f_" + digest("価格"),
		"Cízǔ":                   "cizu",
		"_":                      "f_" + digest("_"),
		"":                       "f_" + digest(""),
		strings.Repeat("a", 200): strings.Repeat("a", 119) + "_" + digest(strings.Repeat("a", 200)),
	} {
		require.Equal(t, name, Identifier(text), text)
		require.LessOrEqual(t, len(name), maxName)
	}
}

func TestDistinct(t *testing.T) {
	taken := map[string]bool{}
	for _, text := range []string{"orderId", "order_id", "Order ID"} {
		name := Distinct(text, func(n string) bool { return taken[n] })
		require.False(t, taken[name])
		taken[name] = true
	}
	require.Equal(t, map[string]bool{"order_id": true, "order_id_" + digest("order_id"): true, "order_id_" + digest("Order ID"): true}, taken)

	one := Distinct("a", func(n string) bool { return n == "a" || n == "a_"+digest("a") })
	require.Equal(t, "a_"+digest("a\x00"), one)
}
