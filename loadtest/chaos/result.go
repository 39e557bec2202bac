package chaos

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"weir/loadtest/chaos/record"
)

// Seconds is a duration in a result, with milliseconds.
type Seconds float64

// SecondsOf rounds to milliseconds.
func SecondsOf(d time.Duration) Seconds { return Seconds(math.Round(d.Seconds()*1000) / 1000) }

// Result is what a scenario leaves in loadtest/results.
type Result struct {
	Scenario string    `json:"scenario"`
	About    string    `json:"about"`
	World    string    `json:"world"`
	Seed     uint64    `json:"seed"`
	Started  time.Time `json:"started"`
	Passed   bool      `json:"passed"`
	Build    Build     `json:"build"`

	Load       Tally          `json:"load"`
	Verdict    record.Verdict `json:"verdict"`
	Done       map[string]int `json:"done"`        // "kill sink-1" → how often
	FaultsMet  map[string]int `json:"faults_met"`  // "s3-500 PutObject" → how often
	Moves      []string       `json:"moves"`       // partitions that changed hands
	LongestGap Seconds        `json:"longest_gap"` // for which a partition had no owner
	Drain      Seconds        `json:"drain"`       // from the end of the load until all is visible
	NotDrained string         `json:"not_drained,omitempty"`
	Ended      []string       `json:"ended,omitempty"` // processes that ended by themselves, or not as they should
	Checks     []Check        `json:"checks"`
}

// Build is what ran where.
type Build struct {
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	CPUs     int    `json:"cpus"`
}

// Check is one threshold and what was found.
type Check struct {
	Name  string `json:"name"`
	Limit string `json:"limit"`
	Found string `json:"found"`
	OK    bool   `json:"ok"`
}

// finish fills in what was watched, and judges by the thresholds.
func (r *run) finish(out *Result) {
	out.Build = buildOf(r.Weir)
	out.Done = r.actor.done
	out.FaultsMet = map[string]int{}
	for _, p := range r.proxies {
		for what, n := range p.Hits() {
			out.FaultsMet[what] = n
		}
	}
	moves, longest := r.owners.found()
	out.LongestGap = SecondsOf(longest.took)
	for _, m := range moves {
		out.Moves = append(out.Moves, fmt.Sprintf("%.1fs: partition %d from %s to %s", m.at.Sub(r.began).Seconds(), m.partition, m.from, m.to))
	}
	out.Checks = r.checks(out)
	out.Passed = !slices.ContainsFunc(out.Checks, func(c Check) bool { return !c.OK })
}

// wholeAgain begins the name of the check of recoveries.
const wholeAgain = "the table is whole again"

func (r *run) checks(out *Result) []Check {
	v, must := out.Verdict, r.Must
	var all []Check
	add := func(ok bool, name, limit, found string) {
		all = append(all, Check{Name: name, Limit: limit, Found: found, OK: ok})
	}
	within := func(name string, limit time.Duration, found Seconds) {
		if limit > 0 {
			add(found <= SecondsOf(limit), name, limit.String(), fmt.Sprintf("%.1fs", found))
		}
	}
	add(v.OK, "exactly once", "no fault", fmt.Sprintf("%d faults", v.Faults))
	add(v.Acked > 0 && v.Acked == out.Load.Acked, "the ledger is whole", strconv.FormatInt(out.Load.Acked, 10), strconv.FormatInt(v.Acked, 10))
	add(out.NotDrained == "", "all is visible after the load", must.Drain.String(), fmt.Sprintf("%.1fs", out.Drain))
	add(len(out.Ended) == 0, "no process ends by itself", "0", strconv.Itoa(len(out.Ended)))
	add(out.Load.Skipped == 0, "the generator kept its pace", "0 skipped", fmt.Sprintf("%d skipped", out.Load.Skipped))
	if slowest, found := slowest(&v); found {
		within(wholeAgain+" after "+slowest.Action.Do+" "+slowest.Action.Target, must.Recovery, Seconds(slowest.Seconds))
	}
	within("freshness", must.Freshness, Seconds(v.Freshness.Max))
	within("no partition is without an owner", must.Gap, out.LongestGap)
	if must.Moves != nil {
		add(len(out.Moves) <= *must.Moves, "partitions that change hands", strconv.Itoa(*must.Moves), strconv.Itoa(len(out.Moves)))
	}
	add(len(v.Recoveries) >= len(r.moments()), "the timeline was played", fmt.Sprintf("%d steps", len(r.moments())), fmt.Sprintf("%d actions", len(v.Recoveries)))
	for _, s := range r.Timeline {
		for _, at := range s.Points {
			n := out.Done[doCrash+" "+at]
			add(n > 0, "somebody was killed at "+at, "at least once", strconv.Itoa(n))
		}
	}
	for _, kind := range r.faultKinds() {
		met := 0
		for what, n := range out.FaultsMet {
			if strings.HasPrefix(what, kind+" ") {
				met += n
			}
		}
		add(met > 0, "the fault "+kind+" was met", "at least once", strconv.Itoa(met))
	}
	return all
}

func (r *run) faultKinds() []string {
	var all []string
	for _, s := range r.Timeline {
		if s.Do == doFault && !slices.Contains(all, s.Fault.Kind) {
			all = append(all, s.Fault.Kind)
		}
	}
	return all
}

// buildOf asks git for what was built where the binary does not say it: builds of a checkout may leave that out.
func buildOf(bin string) Build {
	b := Build{Go: runtime.Version(), CPUs: runtime.NumCPU()}
	if info, err := buildinfo.ReadFile(bin); err == nil {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Revision == "" {
		revision, err1 := exec.Command("git", "rev-parse", "HEAD").Output()
		changes, err2 := exec.Command("git", "status", "--porcelain").Output()
		if err1 == nil && err2 == nil {
			b.Revision, b.Modified = strings.TrimSpace(string(revision)), len(changes) > 0
		}
	}
	return b
}

// Write leaves the result as JSON and as a page, named by day, revision, scenario and world, and writes the index anew. It
// returns the page's path.
func (r *Result) Write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the results' folder: %w", err)
	}
	revision := r.Build.Revision[:min(7, len(r.Build.Revision))]
	if r.Build.Modified {
		revision += "-dirty"
	}
	name := filepath.Join(dir, strings.Join([]string{r.Started.UTC().Format(time.DateOnly), revision, r.Scenario, r.World}, "-"))
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the result: %w", err)
	}
	if err := os.WriteFile(name+".json", append(text, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("write the result: %w", err)
	}
	if err := os.WriteFile(name+".md", []byte(r.Page()), 0o644); err != nil {
		return "", fmt.Errorf("write the result's page: %w", err)
	}
	overview, err := Index(dir)
	if err != nil {
		return "", err
	}
	return name + ".md", os.WriteFile(filepath.Join(dir, indexName), []byte(overview), 0o644)
}

// Page is the result for reading.
func (r *Result) Page() string {
	var b strings.Builder
	if err := page.Execute(&b, r); err != nil {
		return err.Error() // a defect of the template, which the test of this package shows
	}
	return b.String()
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"clock": func(start time.Time, ms int64) string {
		return fmt.Sprintf("%.1f", time.UnixMilli(ms).Sub(start).Seconds())
	},
	"verdict": func(ok bool) string {
		if ok {
			return "held"
		}
		return "**broken**"
	},
}).Parse(`# {{.Scenario}} on {{.World}}: {{if .Passed}}passed{{else}}FAILED{{end}}

{{.About}}

{{.Started.UTC.Format "2006-01-02 15:04:05"}} UTC, seed {{.Seed}}, revision {{.Build.Revision}}{{if .Build.Modified}} with changes{{end}}, {{.Build.Go}}, {{.Build.CPUs}} CPUs.

| events | |
|---|---:|
| acknowledged | {{.Verdict.Acked}} |
| indeterminate | {{.Verdict.Indeterminate}} |
| of these in the table | {{.Verdict.IndeterminateInTable}} |
| rejected | {{.Verdict.Rejected}} |
| in Kafka | {{.Verdict.InKafka}} |
| in the table | {{.Verdict.InTable}} |
| in the raw copy | {{.Verdict.InRaw}} |
| dead letters (produced again) | {{.Verdict.DeadLetters}} ({{.Verdict.DeadLettersRepeated}}) |
| **missing** | **{{.Verdict.Missing}}** |
| **doubled** | **{{.Verdict.Doubled}}** |
| all faults | {{.Verdict.Faults}} |

| must hold | limit | found | |
|---|---|---|---|
{{range .Checks}}| {{.Name}} | {{.Limit}} | {{.Found}} | {{verdict .OK}} |
{{end}}
Acknowledged after {{.Load.AckP50}} s (p50), {{.Load.AckP99}} s (p99), {{.Load.AckMax}} s (worst); in the table {{.Verdict.Freshness.P50}} s (p50), {{.Verdict.Freshness.P99}} s (p99), {{.Verdict.Freshness.Max}} s (worst) after that. {{.Verdict.Files}} objects. The generator was late by {{.Load.DelayP999}} s at p99.9. {{len .Moves}} partitions changed hands; the longest time without an owner was {{.LongestGap}} s.
{{range .Verdict.FaultList}}
- {{.Count}} × {{.Kind}}: {{range .First}}{{.}} {{end}}{{end}}
{{if .NotDrained}}
Not drained: {{.NotDrained}}
{{end}}{{range .Ended}}
` + "```\n{{.}}\n```" + `
{{end}}{{if .FaultsMet}}
| fault met | times |
|---|---:|
{{range $what, $n := .FaultsMet}}| {{$what}} | {{$n}} |
{{end}}{{end}}
| at (s) | until | what | to recover (s) | events that waited |
|---:|---:|---|---:|---:|
{{$start := .Started}}{{range .Verdict.Recoveries}}| {{clock $start .Action.At}} | {{if .Action.Until}}{{clock $start .Action.Until}}{{end}} | {{.Action.Do}} {{.Action.Target}} {{.Action.Detail}} | {{printf "%.1f" .Seconds}} | {{.Waiting}} |
{{end}}`))
