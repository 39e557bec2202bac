// Package emr is where Spark jobs run on AWS: an application of EMR Serverless, or a
// cluster of EMR on EC2, or what speaks their protocols, behind the few words that weir
// has for both. A call is tried a few times as the SDK does it, a start once, because
// only its owner can tell whether one whose answer was lost took effect: an application
// knows a token again, a cluster does not. When to ask again and what to make of two
// equal runs is decided by services/jobs. Values are safe for concurrent use and owned
// by the command that opened them.
package emr

import (
	"strings"
	"time"

	"weir/pkg/awsapi"
)

// Config says where EMR is and how often a call is tried.
type Config = awsapi.Config

// Job is what a start asks for.
type Job struct {
	Name    string        // what lists show; of a cluster's step also how it is found again
	Token   string        // of at most 64 letters, digits and .-_: an application takes starts with the same one for one run
	Script  string        // s3://…/job.py
	Modules []string      // s3://… of what the script imports
	Args    []string      // the script's
	Conf    []string      // key=value of Spark, without spaces
	Role    string        // ARN of the role that the run has; on a cluster "" = the cluster's own
	Logs    string        // s3://… for the logs of a run in an application; "" = none in S3. A cluster has its own place
	Timeout time.Duration // of a run in an application, whole minutes; 0 = EMR's 12 h
}

// State is how far a run is.
type State string

// The states.
const (
	Waiting   State = "waiting" // for its turn, or for machines
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Over tells whether a state is a run's last.
func (s State) Over() bool { return s != Waiting && s != Running }

// Run is a run as EMR sees it.
type Run struct {
	ID, Name string
	State    State
	Said     string // EMR's own word for it: SCHEDULED
	Reason   string // why it failed, or what it waits for
	Created  time.Time
	Ended    time.Time // zero: it is not over, or it was read from a list, which does not tell
}

// Page is one piece of a list: of a cluster's steps the newest first, of an application's
// runs in the order that EMR has them.
type Page struct {
	Runs []Run
	Next string // asks for the next page; "" = this is the last
}

// sparkArgs are the arguments of spark-submit before the script.
func (j Job) sparkArgs() []string {
	var args []string
	if len(j.Modules) > 0 {
		args = append(args, "--py-files", strings.Join(j.Modules, ","))
	}
	for _, conf := range j.Conf {
		args = append(args, "--conf", conf)
	}
	return args
}

// folder is an address in S3 with a slash at its end, as every service writes it.
func folder(uri string) string {
	_, path, found := strings.Cut(uri, "://") // an old cluster's begins with s3n:// or s3a://
	if !found {
		return ""
	}
	return "s3://" + strings.TrimSuffix(path, "/") + "/"
}
