package spec

import (
	"regexp"
	"strconv"
	"strings"
)

// Refused is the code with which a job says that it left partitions alone which others
// have written, and did the rest.
const Refused = 3

// Fate is what a failed run's reason tells.
type Fate struct {
	Code   int    // the job's exit code; 0 = not known
	Advice string // whether it helps to run it again, and what to do
}

// exitCode finds what EMR Serverless says of how the driver ended: "Job failed, please
// check complete logs in configured logging destination. ExitCode: 3. Last few …".
var exitCode = regexp.MustCompile(`(?i)exit ?(?:code|status)[: ]+(\d{1,3})\b`)

// symptoms are texts of reasons, in lower case, with what can be done; the first that
// fits counts.
var symptoms = []struct{ text, advice string }{
	{"accessdenied", noRight},
	{"access denied", noRight},
	{"not authorized", noRight},
	{"status code: 403", noRight},
	{"nosuchbucket", "The bucket is not there: running it again helps once it is."},
	{"no such file", "Something that it reads is not there: look at --raw, --lake and --layout before running it again."},
	{"capacity", noRoom},
	{"quota", noRoom},
	{"limit exceeded", noRoom},
	{"throttl", noRoom},
	{"outofmemory", "It ran out of memory: run it again with more, such as --spark-conf spark.executor.memory=8g, or with fewer days."},
	{"execution timeout", "It took longer than it may: run it again, with a longer --job-timeout or fewer days; what it has finished stays."},
	{"run the job again", "Running it again helps: it does what is missing."},
}

const (
	noRight = "Running it again does not help before its role has the rights of deploy/iam/jobs-runtime.json."
	noRoom  = "Running it again later may help: there was no room for it."
)

// Judge reads the reason of a failure.
func Judge(reason string) Fate {
	f := Fate{}
	if m := exitCode.FindStringSubmatch(reason); m != nil {
		f.Code, _ = strconv.Atoi(m[1])
	}
	if f.Code == Refused {
		f.Advice = "It left partitions alone that hold objects of others, which its log names, and did the rest. " +
			"Running it again does not help before they are left out with --from, --to and --source."
		return f
	}
	lower := strings.ToLower(reason)
	for _, s := range symptoms {
		if strings.Contains(lower, s.text) {
			f.Advice = s.advice
			return f
		}
	}
	f.Advice = "Running it again may help: it does what is missing. Its log says more."
	return f
}
