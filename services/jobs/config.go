package jobs

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/pkg/emr"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/jobs/internal/spec"
)

// Config says where jobs run. Where EMR and S3 are is the AWS SDK's own environment,
// unless EMR and S3 say it.
type Config struct {
	Application string `name:"application" placeholder:"00f…" help:"The application of EMR Serverless that runs jobs: its id."`
	Cluster     string `name:"cluster" placeholder:"j-…" help:"A cluster of EMR on EC2 that runs them instead: its id."`

	EMR emr.Config `kong:"-"`
	S3  s3.Config  `kong:"-"` // its Lake does not count
}

// ids are letters and digits, of a cluster with a j- before them.
var (
	applicationID = regexp.MustCompile(`^[0-9a-z]{1,64}$`)
	clusterID     = regexp.MustCompile(`^j-[0-9A-Z]{1,61}$`)
	runID         = regexp.MustCompile(`^[0-9A-Za-z-]{1,256}$`)
)

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	var f settings.Faults
	f.Check((c.Application == "") != (c.Cluster == ""), "application", "name one application (EMR Serverless) with it, or one cluster (EMR on EC2) with cluster")
	f.Check(c.Application == "" || applicationID.MatchString(c.Application), "application", "%q is no id of an application, such as 00f1a2b3c4d5e6f7", c.Application)
	f.Check(c.Cluster == "" || clusterID.MatchString(c.Cluster), "cluster", "%q is no id of a cluster, such as j-2AXXXXXXGAPLF", c.Cluster)
	return f
}

// target names where runs are, for people and for tokens.
func (c Config) target() string {
	if c.Cluster != "" {
		return "cluster " + c.Cluster
	}
	return "application " + c.Application
}

// flag is the setting that names it, as a command line has it.
func (c Config) flag() string {
	if c.Cluster != "" {
		return "--cluster " + c.Cluster
	}
	return "--application " + c.Application
}

// ValidRun says whether a text can be the id of a run.
func ValidRun(id string) bool { return runID.MatchString(id) }

// Work is a job with what it is to do.
type Work struct {
	Job       string   `arg:"" name:"job" help:"json_to_parquet or rollup_by_type."`
	Lake      string   `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix; with --local also a folder."`
	Raw       string   `name:"raw" help:"Of json_to_parquet: where the raw files are. Empty: <lake>/raw."`
	Layout    string   `name:"layout" enum:"weir,segment" default:"weir" help:"Of json_to_parquet: of the raw files' folders: weir or segment."`
	Source    []string `name:"source" help:"Only these sources. Empty: all."`
	From      string   `name:"from" help:"Only from this day on, YYYY-MM-DD."`
	To        string   `name:"to" help:"Only to this day, YYYY-MM-DD, included."`
	Codec     string   `name:"codec" enum:"zstd,snappy" default:"zstd" help:"Of the Parquet files: zstd or snappy."`
	SparkConf []string `name:"spark-conf" sep:"none" placeholder:"key=value" help:"A setting of Spark, such as spark.executor.memory=8g; may be repeated."`
}

// Jobs are the names that a Work may have.
func Jobs() []string { return spec.Names() }

// Validate lists everything that is wrong; local is whether Spark runs on this machine.
func (w Work) Validate(local bool) []error {
	var f settings.Faults
	known := slices.Contains(spec.Names(), w.Job)
	f.Check(known, "job", "there is no job %q: want %s", w.Job, strings.Join(spec.Names(), " or "))
	f.Check(placeOK(w.Lake, local), "lake", "%q is no place for a lake: want s3://bucket/prefix", w.Lake)
	f.Check(w.Raw == "" || placeOK(w.Raw, local), "raw", "%q is no place of raw files: want s3://bucket/prefix", w.Raw)
	f.Check(w.Raw == "" || w.Job != spec.RollupByType, "raw", "rollup_by_type reads the lake's eventlogs, no raw files")
	f.Check(w.Raw != "" || w.Layout != "segment" || w.Job != spec.JSONToParquet, "raw", "is needed where the layout is segment")
	for _, source := range w.Source {
		f.Check(lake.ValidSourceID([]byte(source)), "source", "%q is no source id", source)
	}
	first, last := w.day(&f, "from", w.From), w.day(&f, "to", w.To)
	f.Check(w.From == "" || w.To == "" || first <= last, "to", "%s is before %s, where it begins", w.To, w.From)
	for _, conf := range w.SparkConf {
		key, _, ok := strings.Cut(conf, "=")
		f.Check(ok && key != "" && !strings.ContainsAny(conf, " \t\r\n\"'"), "spark-conf", "%q: want key=value without spaces and quotes", conf)
	}
	return f
}

func (w Work) day(f *settings.Faults, setting, text string) lake.Day {
	if text == "" {
		return 0
	}
	day, err := lake.ParseDay(text)
	f.AddErr(setting, err)
	return day
}

// placeOK: what Spark on this machine reads may also be a folder.
func placeOK(place string, local bool) bool {
	if local && strings.HasPrefix(place, "/") {
		return true
	}
	_, err := lake.ParseLocation(place)
	return err == nil
}

// spec is the work in the words of the job.
func (w Work) spec() spec.Job {
	j := spec.Job{Name: w.Job, Lake: w.Lake, Raw: w.Raw, Layout: w.Layout, Sources: w.Source, From: w.From, To: w.To, Codec: w.Codec}
	if j.Raw == "" && j.Name == spec.JSONToParquet {
		j.Raw = strings.TrimSuffix(w.Lake, "/") + "/raw"
	}
	return j
}

// Written is what of a table the catalog does not know after a run.
type Written = spec.Written

// Writes are the partitions that a run may have written.
func (w Work) Writes() []Written { return w.spec().Writes() }

// RegisterCommands tell the catalog of them.
func (w Work) RegisterCommands(database string) []string { return w.spec().Register(database) }

// How is how a run is started.
type How struct {
	Role    string        `name:"job-role" placeholder:"arn:aws:iam::…" help:"The role as which the job runs, with the rights of deploy/iam/jobs-runtime.json. A cluster has one of its own."`
	Logs    string        `name:"job-logs" placeholder:"s3://…" help:"Where the logs of a run go. A cluster has a place of its own."`
	Timeout time.Duration `name:"job-timeout" default:"0s" help:"A run that takes longer is ended, whole minutes; 0s: after EMR's own 12 h. Not of a cluster."`
	Day     string        `name:"day" help:"The same work is started once a day: for this one, YYYY-MM-DD. Empty: today, UTC."`
	Attempt int           `name:"attempt" default:"1" help:"Starts the same work once more on the same day: 2, 3, …"`
}

// Validate lists everything that is wrong with starting a run there.
func (h How) Validate(c Config) []error {
	var f settings.Faults
	f.Check(h.Role == "" || strings.HasPrefix(h.Role, "arn:"), "job-role", "%q is no ARN of a role", h.Role)
	if c.Cluster == "" {
		f.Check(h.Role != "", "job-role", "is needed: the role as which the job runs in the application")
	} else {
		f.Check(h.Logs == "", "job-logs", "a cluster has its own place for logs")
		f.Check(h.Timeout == 0, "job-timeout", "a cluster's steps have no bound")
	}
	if h.Logs != "" {
		_, err := lake.ParseLocation(h.Logs)
		f.AddErr("job-logs", err)
	}
	f.Check(h.Timeout == 0 || h.Timeout >= 5*time.Minute && h.Timeout%time.Minute == 0, "job-timeout", "%s: want whole minutes, at least 5", h.Timeout)
	if h.Day != "" {
		_, err := lake.ParseDay(h.Day)
		f.AddErr("day", err)
	}
	f.Check(h.Attempt >= 1, "attempt", "%d: want 1 or more", h.Attempt)
	return f
}

func (h How) day(now time.Time) string {
	if h.Day != "" {
		return h.Day
	}
	return lake.DayOf(now).String()
}
