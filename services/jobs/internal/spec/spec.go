// Package spec is what weir jobs knows of a job: which files it needs, what its arguments
// are, by which token a run of it is known again, and which tables of the catalog it
// writes. Its invariant: equal work on one day has one token, whatever order things were
// named in, and other work has another. It does no I/O. Owned by whoever owns weir jobs.
package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/pkg/lake"
)

// The jobs.
const (
	JSONToParquet = "json_to_parquet"
	RollupByType  = "rollup_by_type"
)

// Names are those of all jobs.
func Names() []string { return []string{JSONToParquet, RollupByType} }

// Job is one job with what it is to do.
type Job struct {
	Name    string
	Lake    string   // s3://…
	Raw     string   // s3://…; "" of a job that reads none
	Layout  string   // of the raw files' folders
	Sources []string // only these; none: all
	From    string   // first day, YYYY-MM-DD; "" = from the first on
	To      string   // last day; "" = to the last
	Codec   string
}

// Script is the job's file.
func (j Job) Script() string { return j.Name + ".py" }

// Modules are the files that it imports.
func (j Job) Modules() []string {
	if j.Name == JSONToParquet {
		return []string{"weirevent.py", "weirlake.py"}
	}
	return []string{"weirlake.py"}
}

// Args are the job's arguments. place makes of an address what the Spark in question
// reads there.
func (j Job) Args(place func(string) string) []string {
	var args []string
	if j.Name == JSONToParquet {
		args = append(args, "--raw", place(strings.TrimSuffix(j.Raw, "/")), "--layout", j.Layout)
	}
	args = append(args, "--lake", place(strings.TrimSuffix(j.Lake, "/")), "--codec", j.Codec)
	sources := slices.Clone(j.Sources)
	slices.Sort(sources)
	for _, s := range slices.Compact(sources) {
		args = append(args, "--source", s)
	}
	if j.From != "" {
		args = append(args, "--from", j.From)
	}
	if j.To != "" {
		args = append(args, "--to", j.To)
	}
	return args
}

// Token is what all starts of one run have in common: where it runs, the job, its
// arguments, the day and the attempt. How it runs (its role, Spark's settings, the
// version of its files) is no part of it: the same work twice on one day is asked for
// with another attempt.
func (j Job) Token(target, day string, attempt int) string {
	text, err := json.Marshal([]any{target, j.Name, j.Args(func(s string) string { return s }), day, attempt})
	if err != nil {
		panic("spec: texts and numbers are always JSON: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// RunName is how a run is named in EMR, so that a list tells what it is.
func (j Job) RunName(day, token string) string { return "weir/" + j.Name + "/" + day + "/" + token }

// Named is what a run's name tells.
type Named struct{ Job, Day, Token string }

// ParseRunName is the inverse of RunName; false of a run that weir did not start.
func ParseRunName(name string) (Named, bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != "weir" || !slices.Contains(Names(), parts[1]) || len(parts[3]) != 32 {
		return Named{}, false
	}
	return Named{Job: parts[1], Day: parts[2], Token: parts[3]}, true
}

// Written is what of a table the catalog does not know after a run.
type Written struct {
	Table    string
	Sources  []string
	From, To string // YYYY-MM-DD; "" = unbounded
}

// Writes are the partitions that a run may have written. A rollup counts the whole weeks
// of its days.
func (j Job) Writes() []Written {
	if j.Name == JSONToParquet {
		return []Written{{lake.EventLogsName, j.Sources, j.From, j.To}}
	}
	from, to := monday(j.From), sunday(j.To)
	return []Written{
		{lake.MessagesByTypeDaily().Name, j.Sources, from, to},
		{lake.MessagesByTypeWeekly().Name, j.Sources, from, to},
	}
}

func monday(day string) string {
	return shifted(day, func(w time.Weekday) int { return -(int(w) + 6) % 7 })
}

func sunday(day string) string {
	return shifted(day, func(w time.Weekday) int { return (7 - int(w)) % 7 })
}

func shifted(day string, by func(time.Weekday) int) string {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day // none
	}
	return at.AddDate(0, 0, by(at.Weekday())).Format(time.DateOnly)
}

// Register are the commands that tell the catalog of what a run has written.
func (j Job) Register(database string) []string {
	var lines []string
	for _, w := range j.Writes() {
		line := fmt.Sprintf("weir catalog register --lake %s --database %s --table %s", j.Lake, database, w.Table)
		for _, s := range w.Sources {
			line += " --source " + s
		}
		if w.From != "" {
			line += " --from " + w.From
		}
		if w.To != "" {
			line += " --to " + w.To
		}
		lines = append(lines, line)
	}
	return lines
}
