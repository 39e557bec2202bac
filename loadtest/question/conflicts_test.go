//go:build duckdb

package question

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
)

// promoteLists are those of one sink after the other: paths come and go, and change their types.
var promoteLists = []string{
	"properties.a: double, properties.b: string, context.c.d: bigint, traits.e: timestamp, traits.f: boolean",
	"properties.a: string, properties.b: bigint, context.c.d: double, traits.g: date",
	"properties.a: double, context.c.d: bigint, traits.e: timestamp, traits.f: boolean, traits.g: string",
}

// conflictPaths are all of them, with the columns that weir names for them.
var conflictPaths = map[string]string{
	"properties.a": "properties_a", "properties.b": "properties_b", "context.c.d": "context_c_d",
	"traits.e": "traits_e", "traits.f": "traits_f", "traits.g": "traits_g",
}

const (
	conflictSource = "conflicts"
	conflictRound  = 60
)

// conflict is one event whose promoted values are of any type, by path; "" where there is none.
type conflict map[string]string

func newConflict(rnd *rand.Rand, list string) (c conflict, value string) {
	values := map[string]string{}
	for path := range conflictPaths {
		values[path] = []string{
			"", "null", "true", "7", "-12.5", "3.0", "9007199254740993", "18446744073709551615", "1e999", `"text"`, `"2026-11-24"`,
			`"2026-11-24T10:00:00.5Z"`, `[1]`, `{"k":"v"}`,
		}[rnd.IntN(14)]
	}
	member := func(key, path string) string {
		if values[path] == "" {
			return `"other":1`
		}
		return fmt.Sprintf("%q:%s", key, values[path])
	}
	c = conflict{}
	for path, v := range values {
		if strings.Contains(list, path+":") && v != "null" {
			c[path] = v
		}
	}
	return c, fmt.Sprintf(`{"type":"track","event":"Conflict","properties":{%s,%s},"context":{"c":{%s}},"traits":{%s,%s,%s}}`,
		member("a", "properties.a"), member("b", "properties.b"), member("d", "context.c.d"), member("e", "traits.e"), member("f", "traits.f"), member("g", "traits.g"))
}

// requireConflicts has sinks with one list after the other write events of any type into one table, and then asks for
// every value: it stands in exactly one of its path's columns. It needs a world without a fleet; ask gives rows by
// column.
func requireConflicts(t *testing.T, w fleet.World, ask func(f *fleet.Fleet, columns []string, from string) ([]map[string]any, error)) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	var sent []conflict
	var f *fleet.Fleet
	for _, list := range promoteLists {
		if f != nil {
			require.NoError(t, f.Stop())
		}
		w.Env = []string{"WEIR_PROMOTE=" + list}
		f = fleet.Launch(t, w)
		var records []*kgo.Record
		for range conflictRound {
			c, value := newConflict(rnd, list)
			value = fmt.Sprintf(`%s,"messageId":"c-%03d"}`, strings.TrimSuffix(value, "}"), len(sent))
			records = append(records, &kgo.Record{Key: []byte(conflictSource), Value: []byte(value)})
			sent = append(sent, c)
		}
		produce(t, w.Broker, records)
		require.NoError(t, f.Drained(t.Context(), time.Minute))
	}
	const from = "eventlogs where sourceid = '" + conflictSource + "' and event = 'Conflict'"
	require.NoError(t, f.Await(t.Context(), time.Minute, func(context.Context) error {
		rows, err := ask(f, []string{"messageid"}, from)
		if err == nil && len(rows) != len(sent) {
			err = errors.New("not every row is registered yet")
		}
		return err
	}))
	columns := conflictColumns(t, f)
	require.Greater(t, len(columns), 2*len(conflictPaths), "values of many types do not fit")
	rows, err := ask(f, append(columns, "messageid"), from)
	require.NoError(t, err)
	require.Len(t, rows, len(sent))
	for _, row := range rows {
		n, err := strconv.Atoi(strings.TrimPrefix(row["messageid"].(string), "c-"))
		require.NoError(t, err)
		for path, column := range conflictPaths {
			var there []string
			for _, c := range columns {
				if (c == column || strings.HasPrefix(c, column+"__")) && row[c] != nil {
					there = append(there, sameText(fmt.Sprint(row[c])))
				}
			}
			var want []string
			if v := sent[n][path]; v != "" {
				var text string
				if json.Unmarshal([]byte(v), &text) != nil {
					text = v
				}
				want = []string{sameText(text)}
			}
			require.Equal(t, want, there, "%s of event %d: %v", path, n, sent[n][path])
		}
	}
}

// sameText makes one text of the ways in which engines show one value.
func sameText(text string) string {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04:05 UTC"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f < 1<<53 && f > -(1<<53) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return text
}

func produce(t *testing.T, broker string, records []*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic))
	require.NoError(t, err)
	defer cl.Close()
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}

// conflictColumns are the columns of the paths that Glue lists.
func conflictColumns(t *testing.T, f *fleet.Fleet) []string {
	t.Helper()
	out, err := f.Weir(t.Context(), "catalog", "tables", "--output", "json")
	require.NoError(t, err)
	var listed []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &listed), out)
	var columns []string
	for _, l := range listed {
		name, _ := l["column"].(string)
		for _, column := range conflictPaths {
			if l["table"] == "eventlogs" && (name == column || strings.HasPrefix(name, column+"__")) {
				columns = append(columns, name)
			}
		}
	}
	return columns
}

// The check on embedded parts, by `weir query`.
func TestConflictsEmbedded(t *testing.T) {
	w, _ := fleet.Embedded(t)
	w.Sources = Sources
	requireConflicts(t, w, askWeir(t))
}

func askWeir(t *testing.T) func(*fleet.Fleet, []string, string) ([]map[string]any, error) {
	return func(f *fleet.Fleet, columns []string, from string) ([]map[string]any, error) {
		out, err := weirQuery(t.Context(), f, "select "+shownAs("varchar", columns)+" from "+from)
		if err != nil {
			return nil, err
		}
		var rows []map[string]any
		err = json.Unmarshal([]byte(out), &rows)
		return rows, err
	}
}

// shownAs lists columns as texts, which have the engine's own name of that type.
func shownAs(text string, columns []string) string {
	var shown []string
	for _, c := range columns {
		shown = append(shown, fmt.Sprintf("cast(%s as %s) as %[1]s", c, text))
	}
	return strings.Join(shown, ", ")
}
