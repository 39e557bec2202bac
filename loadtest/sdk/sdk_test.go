//go:build duckdb && e2e

// Package sdk sends events with Segment's own libraries, unmodified and as their package registries give them, through
// weir's processes, and looks for each event in the table.
package sdk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/loadtest/replay"
)

// Every call of the libraries once in turn; more than one of their batches.
const events = 600

var calls = []string{"track", "identify", "page", "screen", "group", "alias"}

func TestPython(t *testing.T) {
	python, err := parts.FetchPythonSDK(t.Context())
	parts.Need(t, "python-sdk", err)
	w, lakeDir := fleet.Embedded(t)
	w.Sources = "sources:\n- {id: plain, enabled: true, write_keys: [plain-key]}\n- {id: gzip, enabled: true, write_keys: [gzip-key]}\n"
	f := fleet.Launch(t, w)
	for _, source := range []string{"plain", "gzip"} {
		send(t, nil, python, "testdata/send.py", "http://"+f.Gateway, source+"-key", strconv.Itoa(events), source)
	}
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	for _, source := range []string{"plain", "gzip"} {
		requireOnce(t, lakeDir, source, "analytics-python", parts.PythonSDKVersion)
	}
}

func TestNode(t *testing.T) {
	modules, err := parts.FetchNodeSDK(t.Context())
	parts.Need(t, "node-sdk", err)
	w, lakeDir := fleet.Embedded(t)
	w.Sources = "sources:\n- {id: node, enabled: true, write_keys: [node-key]}\n"
	f := fleet.Launch(t, w)
	send(t, []string{"NODE_PATH=" + modules}, "node", "testdata/send.cjs", "http://"+f.Gateway, "node-key", strconv.Itoa(events))
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	requireOnce(t, lakeDir, "node", "@segment/analytics-node", parts.NodeSDKVersion)
}

// send runs a script to its end; it fails where the library reports an event that it could not send.
func send(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// requireOnce finds each event that a script sent in the table, once, with what the library says of itself.
func requireOnce(t *testing.T, lakeDir, source, library, version string) {
	t.Helper()
	rows, err := replay.ReadTable(t.Context(), lakeDir, source)
	require.NoError(t, err)
	require.Len(t, rows, events)
	seen := map[string]int{}
	for _, row := range rows {
		kind := *row.Text["type"]
		n, where := row.Maps["properties"]["n"], row.Maps["traits"]["n"]
		if kind == "alias" {
			n = *row.Text["previousid"]
		}
		seen[kind+" "+n+where]++
		require.JSONEq(t, fmt.Sprintf(`{"name":%q,"version":%q}`, library, version), row.Maps["context"]["library"])
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
