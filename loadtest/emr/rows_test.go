package emr

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/lake"
)

const received = "2026-11-23T10:00:00.123Z"

// The jobs' parser in Python makes of each line what pkg/event makes of the record that it was: real events, hostile ones,
// and both with bytes of them changed, so that much of it is no JSON any more.
func TestRowsAreTheSinks(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: part python3 cannot be had: the jobs' parser is Python")
	}
	lines := candidates(t)
	made := pythonRows(t, python, lines)
	require.Len(t, made, len(lines))
	refused := map[string]int{}
	for i, line := range lines {
		want, reason := sinkRow(line)
		got := made[i]
		if reason != "" {
			refused[reason]++
			require.NotNil(t, got[0], "%q is %s to the sink", line, reason)
			if reason != string(event.TooDeep) && reason != string(event.Malformed) { // of two faults either may be named
				require.Equal(t, reason, got[0], "%q", line)
			}
			continue
		}
		require.Nil(t, got[0], "%q is a row to the sink", line)
		if want[1] == "derived" { // from where the record stood, and here from the line
			require.Regexp(t, "^raw-[0-9a-f]{32}$", got[2], "%q", line)
			got[2] = "derived"
		}
		require.Equal(t, want, got[1:], "%q", line)
	}
	for _, reason := range []event.Reason{event.Empty, event.Malformed, event.TooDeep, event.NotObject, event.NoType} {
		require.NotZero(t, refused[string(reason)], "no line was %s", reason)
	}
	t.Logf("%d lines, refused: %v", len(lines), refused)
}

// candidates are lines of all kinds. An event ends with the receivedAt that its record has in Kafka.
func candidates(t *testing.T) [][]byte {
	inside := hostile()
	for _, e := range corpus.Generate(7, 300) {
		inside = append(inside, string(e[1:len(e)-1]))
	}
	real, err := os.ReadFile(filepath.Join("..", "replay", "testdata", "segment-events.jsonl"))
	require.NoError(t, err)
	for line := range bytes.Lines(real) {
		if s := strings.TrimSpace(string(line)); strings.HasPrefix(s, "{") && s != "{}" {
			inside = append(inside, s[1:len(s)-1])
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	lines := [][]byte{{}, []byte(" "), []byte("[]"), []byte("7"), []byte("{}"), []byte(`{"type":1} {}`), []byte("NaN"), []byte(`{"a":NaN}`), []byte(`{"type":"a","a":-Infinity}`)}
	for _, s := range inside {
		whole := fmt.Appendf(nil, `{%s,"receivedAt":%q}`, s, received)
		lines = append(lines, whole)
		if len(whole) > 8<<10 {
			continue
		}
		for range 8 {
			lines = append(lines, mutated(rng, whole, len(s)))
		}
	}
	lines = append(lines, fmt.Appendf(nil, `{"type":"t","a":%s%s,"receivedAt":%q}`, strings.Repeat("[", 128), strings.Repeat("]", 128), received))
	return append(lines, fmt.Appendf(nil, `{"type":"t","a":%s%s,"receivedAt":%q}`, strings.Repeat("[", 5000), strings.Repeat("]", 5000), received))
}

// mutated changes some of the first n bytes; what says when it was received stays.
func mutated(rng *rand.Rand, line []byte, n int) []byte {
	const likely = "{}[]\",:\\u0019-+.eEtrufalsn \t\x00\x1f\x7f\x80\xc3\xed\xff"
	b := bytes.Clone(line)
	for range 1 + rng.IntN(3) {
		i := 1 + rng.IntN(n)
		switch c := likely[rng.IntN(len(likely))]; rng.IntN(3) {
		case 0:
			b[i] = c
		case 1:
			b = append(b[:i], append([]byte{c}, b[i:]...)...)
		default:
			b = append(b[:i], b[i+1:]...)
			n = max(n-1, 1)
		}
	}
	return bytes.ReplaceAll(b, []byte{'\n'}, []byte{' '})
}

func pythonRows(t *testing.T, python string, lines [][]byte) [][]any {
	var in bytes.Buffer
	for _, line := range lines {
		in.WriteString(base64.StdEncoding.EncodeToString(line) + "\n")
	}
	jobs, err := filepath.Abs("../../deploy/emr")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", "rows.py"), fmt.Sprint(int(lake.DayOf(mustTime(received)))))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+jobs, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = &in
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(t, err, said.String())
	var rows [][]any
	for line := range bytes.Lines(out) {
		var row []any
		require.NoError(t, json.Unmarshal(line, &row))
		rows = append(rows, row)
	}
	return rows
}

func mustTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return at
}

// sinkRow is the row of a record of these bytes, as JSON would give it, in the order of the jobs' columns.
func sinkRow(line []byte) (row []any, reason string) {
	var v event.View
	at := mustTime(received)
	why := v.Decode(&event.Record{
		Timestamp: at, Key: []byte("source1"), Value: line, Offset: 1,
		Headers: []event.Header{{Key: event.HeaderReceivedAt, Value: []byte(received)}},
	})
	if why != "" {
		return nil, string(why)
	}
	if strings.HasSuffix(string(v.MessageID.B), "-0-1") && strings.HasPrefix(string(v.MessageID.B), "00000000-") {
		v.MessageID.B = []byte("derived")
	}
	for _, text := range []event.Text{v.AnonymousID, v.MessageID, v.Type, v.UserID, v.Event, v.Name, v.Category, v.GroupID, v.PreviousID, v.Version} {
		if !text.Valid {
			row = append(row, nil)
			continue
		}
		row = append(row, string(text.B))
	}
	for _, at := range []event.Instant{v.Timestamp, v.OriginalTimestamp, v.SentAt, v.ReceivedAt} {
		if !at.Valid {
			row = append(row, nil)
			continue
		}
		row = append(row, float64(at.Micros/1000))
	}
	for _, m := range []event.Map{v.Context, v.Traits, v.Properties, v.Integrations, v.Rescued} {
		if !m.Valid {
			row = append(row, nil)
			continue
		}
		entries := map[string]any{}
		for _, e := range m.Entries {
			entries[string(e.Key)] = nil
			if e.Value != nil {
				entries[string(e.Key)] = string(e.Value)
			}
		}
		row = append(row, entries)
	}
	return row, ""
}
