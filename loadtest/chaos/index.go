package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"weir/loadtest/chaos/record"
)

// Index is the page over all results of a folder: a row for each that Write has left there, and a line for each page of
// another kind.
func Index(dir string) (string, error) {
	pages, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return "", fmt.Errorf("list the results: %w", err)
	}
	var all struct {
		Results []indexed
		Others  []other
	}
	for _, path := range pages {
		name := filepath.Base(path)
		if name == indexName {
			continue
		}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".md") + ".json")
		if os.IsNotExist(err) {
			text, err = os.ReadFile(path)
			title, _, _ := strings.Cut(string(text), "\n")
			all.Others = append(all.Others, other{strings.TrimPrefix(title, "# "), name})
		} else if err == nil {
			one := indexed{Page: name}
			err = json.Unmarshal(text, &one.Result)
			all.Results = append(all.Results, one)
		}
		if err != nil {
			return "", fmt.Errorf("read the result %s: %w", name, err)
		}
	}
	var b strings.Builder
	err = index.Execute(&b, all)
	return b.String(), err
}

// indexName is the index's own file.
const indexName = "README.md"

type other struct{ Title, Page string }

type indexed struct {
	Result
	Page string
}

// Day is when it ran.
func (r indexed) Day() string { return r.Started.UTC().Format(time.DateOnly) }

// Recovery is the slowest after a crash, beside what is allowed.
func (r indexed) Recovery() string {
	slowest, found := slowest(&r.Verdict)
	for _, c := range r.Checks {
		if found && strings.HasPrefix(c.Name, wholeAgain) {
			return fmt.Sprintf("%s of %s (%s %s)", c.Found, c.Limit, slowest.Action.Do, slowest.Action.Target)
		}
	}
	return "–"
}

var index = template.Must(template.New("index").Parse(`# Results

One row a run: what was acknowledged, what of it was missing or doubled in the table when the auditor had read Kafka, the
ledger and the objects, and the longest time until the table was whole again after a crash. Each page says what was
killed and when. Again: ` + "`make chaos SCENARIO=zombie`, or `bin/weirchaos -world kafka loadtest/scenarios/zombie.yaml`" + `,
which also writes this page.

| scenario | world | date | acknowledged | indeterminate | missing | doubled | worst recovery, of what is allowed | verdict | page |
|---|---|---|---:|---:|---:|---:|---|---|---|
{{range .Results}}| {{.Scenario}} | {{.World}} | {{.Day}} | {{.Verdict.Acked}} | {{.Verdict.Indeterminate}} | {{.Verdict.Missing}} | {{.Verdict.Doubled}} | {{.Recovery}} | {{if .Passed}}passed{{else}}FAILED{{end}} | [page]({{.Page}}) |
{{end}}
Measured otherwise:
{{range .Others}}
- [{{.Title}}]({{.Page}}){{end}}
`))

func slowest(v *record.Verdict) (slowest record.Recovery, found bool) {
	for _, rec := range v.Recoveries {
		if rec.Action.Crash && rec.Seconds > slowest.Seconds {
			slowest, found = rec, true
		}
	}
	return slowest, found
}
