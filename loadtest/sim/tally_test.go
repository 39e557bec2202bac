package sim

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// tally adds up what many seeds came to.
type tally struct {
	stats Stats
	bad   int
	times map[string]int // a fault happened
	runs  map[string]int // in which it happened
	whole map[string]int // of those, after which everything stood once
}

func newTally() *tally {
	return &tally{times: map[string]int{}, runs: map[string]int{}, whole: map[string]int{}}
}

func (t *tally) add(r Report) {
	t.stats.add(r.Stats)
	whole := 1
	if len(r.Violations) > 0 {
		t.bad++
		whole = 0
	}
	for name, n := range r.Faults {
		if n > 0 {
			t.times[name] += n
			t.runs[name]++
			t.whole[name] += whole
		}
	}
}

// page is the result in Markdown.
func (t *tally) page(first, n uint64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The simulation, seeds %d to %d\n\n", first, first+n-1)
	fmt.Fprintf(&b, "%s, commit %s. Again: `go test ./loadtest/sim -run TestSeeds -timeout 100m -args -seed %d -seeds %d -report page.md`.\n\n",
		time.Now().UTC().Format(time.DateOnly), commit(), first, n)
	fmt.Fprintf(&b, "Seeds with a violation: %d. Events in Kafka %d, acknowledged %d, of hot sources %d, dead letters %d, flushes %d, files %d, virtual time %s.\n\n",
		t.bad, t.stats.Events, t.stats.Acknowledged, t.stats.Laned, t.stats.DeadLetters, t.stats.Flushes, t.stats.Files, t.stats.Virtual.Round(time.Minute))
	b.WriteString("A run is whole when afterwards every acknowledged event stands once, in the table and in the raw copy, Glue lists what is\n")
	b.WriteString("published, and no upload is left that somebody could have aborted.\n\n| fault | times | runs | whole after |\n|---|---:|---:|---:|\n")
	for _, f := range Faults() {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", f.Name, t.times[f.Name], t.runs[f.Name], t.whole[f.Name])
	}
	return b.Bytes()
}

// commit asks git: a test's binary does not say it.
func commit() string {
	revision, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(revision))
}
