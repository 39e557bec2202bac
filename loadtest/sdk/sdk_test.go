//go:build duckdb && e2e

package sdk

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/loadtest/replay"
)

// Every call of the libraries once in turn; more than one of their batches.
const events = 600

// Every library, and Python's with compression, through the whole of weir: each event stands in the table, once, with
// what the library says of itself.
func TestTable(t *testing.T) {
	libraries := libraries(t)
	gzip := libraries[0]
	gzip.name, gzip.command = "gzip", append(slices.Clone(gzip.command), "--gzip")
	libraries = append(libraries, gzip)
	w, lakeDir := fleet.Embedded(t)
	w.Sources = "sources:\n"
	for _, l := range libraries {
		w.Sources += fmt.Sprintf("- {id: %s, write_keys: [%[1]s-key]}\n", l.name)
	}
	f := fleet.Launch(t, w)
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			parts.Need(t, l.part, l.err)
			s := l.start(t, "http://"+f.Gateway, l.name+"-key")
			list := tracks(0, events)
			for n := range list {
				list[n].Call = calls[n%len(calls)]
			}
			s.send(list...)
			told := s.end(t)
			for n := range events {
				require.Equal(t, []string{delivered}, told[n], "event %d", n)
			}
			require.NoError(t, f.Drained(t.Context(), time.Minute))
			requireOnce(t, lakeDir, l)
		})
	}
}

// requireOnce finds each event that a library sent in the table, once.
func requireOnce(t *testing.T, lakeDir string, l library) {
	t.Helper()
	rows, err := replay.ReadTable(context.WithoutCancel(t.Context()), lakeDir, l.name)
	require.NoError(t, err)
	require.Len(t, rows, events)
	seen := map[string]int{}
	for _, row := range rows {
		kind := *row.Text["type"]
		n, where := row.Maps["properties"]["n"], row.Maps["traits"]["n"]
		if kind == "alias" {
			n, where = *row.Text["previousid"], ""
		}
		seen[kind+" "+n+where]++
		require.JSONEq(t, fmt.Sprintf(`{"name":%q,"version":%q}`, l.context, l.version), row.Maps["context"]["library"])
		require.NotEmpty(t, *row.Text["messageid"])
	}
	for n := range events {
		require.Equal(t, 1, seen[fmt.Sprintf("%s %d", calls[n%len(calls)], n)], "event %d", n)
	}
	i := slices.IndexFunc(rows, func(r replay.Row) bool { return *r.Text["type"] == "track" })
	require.Equal(t, "Order Completed", *rows[i].Text["event"])
	require.Equal(t, "9.9", rows[i].Maps["properties"]["price"])
	require.Equal(t, "äöü", rows[i].Maps["properties"]["größe"])
}
