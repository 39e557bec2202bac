// Package emrtest is a double of the APIs of EMR Serverless and of EMR on EC2 that plays
// a script: which states a run goes through, which calls are throttled, fail, or lose
// their answer. It runs no job. It keeps EMR's rules where clients lean on them: an
// application takes a start with a token that it knows for the same run, and refuses it
// if anything else in it differs; a cluster adds a step for every start; lists are paged,
// newest first; what is over cannot be cancelled. Owned by the tests of whoever speaks
// to EMR.
package emrtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/pkg/awsapi/awstest"
)

// Script is what becomes of every run.
type Script struct {
	States []string // EMR's words, what one look after another finds; the last stays. None: it has succeeded
	Reason string   // of its last state
	Logs   string   // the cluster's place for logs
	Page   int      // runs in a page of a list; 0 = 50
}

// Start is what a run was started with: of an application or of a cluster.
type Start struct {
	ClientToken, ExecutionRoleArn, Name string
	ExecutionTimeoutMinutes             int
	JobDriver                           struct {
		SparkSubmit struct {
			EntryPoint, SparkSubmitParameters string
			EntryPointArguments               []string
		}
	}
	ConfigurationOverrides json.RawMessage `json:",omitempty"`

	ActionOnFailure string
	HadoopJarStep   struct {
		Jar  string
		Args []string
	}
}

// Run is what the server holds.
type Run struct {
	ID string
	Start
	Created   time.Time
	Looks     int
	Cancelled bool
}

// Server is one account's EMR with an application and a cluster of any id. It is safe
// for concurrent use.
type Server struct {
	awstest.Desk

	mu     sync.Mutex
	script Script
	runs   []*Run // of both, in the order of their starts
}

// New makes a server; every run follows the script.
func New(s Script) *Server { return &Server{script: s} }

// Add begins a run beside those of clients, as somebody else would.
func (s *Server) Add(in Start) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(in).ID
}

// Runs are all that were started, in that order.
func (s *Server) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Run, len(s.runs))
	for i, r := range s.runs {
		all[i] = *r
	}
	return all
}

// RoundTrip answers a request without a network: a client in virtual time can use it.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) { return awstest.RoundTrip(s, r) }

// ServeHTTP speaks both protocols.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	op, id := route(r)
	s.Answer(w, op, func() (answer any, code, said string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.perform(op, id, body, r)
	})
}

// route names the call; id is what its path names.
func route(r *http.Request) (op, id string) {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, op, _ = strings.Cut(target, ".")
		return op, ""
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // applications/<id>/jobruns[/<id>]
	if len(parts) == 4 {
		id = parts[3]
	}
	switch {
	case r.Method == http.MethodPost:
		return "StartJobRun", id
	case r.Method == http.MethodDelete:
		return "CancelJobRun", id
	case id != "":
		return "GetJobRun", id
	}
	return "ListJobRuns", id
}

func (s *Server) perform(op, id string, body []byte, r *http.Request) (answer any, code, said string) {
	switch op {
	case "StartJobRun":
		return s.startJobRun(body)
	case "GetJobRun":
		return s.getJobRun(id)
	case "ListJobRuns":
		return s.listJobRuns(r.URL.Query().Get("nextToken"))
	case "CancelJobRun":
		return s.cancelJobRun(id)
	}
	return s.performOnCluster(op, body)
}

func (s *Server) add(in Start) *Run {
	r := &Run{ID: fmt.Sprintf("r-%d", len(s.runs)+1), Start: in, Created: time.Unix(1_764_400_000+int64(len(s.runs)), 0)}
	s.runs = append(s.runs, r)
	return r
}

func (s *Server) find(id string) *Run {
	i := slices.IndexFunc(s.runs, func(r *Run) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return s.runs[i]
}

// state is how far a run is, and why it ended.
func (s *Server) state(r *Run, succeeded string) (state, reason string) {
	switch {
	case r.Cancelled:
		return "CANCELLED", "cancelled by a client"
	case len(s.script.States) == 0:
		return succeeded, ""
	}
	at := min(max(r.Looks-1, 0), len(s.script.States)-1)
	if at == len(s.script.States)-1 {
		reason = s.script.Reason
	}
	return s.script.States[at], reason
}

// over tells whether a state is a run's last, of an application or of a cluster.
func over(state string) bool {
	return slices.Contains([]string{"SUCCESS", "COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}, state)
}

// page cuts a list, newest first, after the runs that earlier pages held.
func (s *Server) page(next string) (runs []*Run, more string) {
	from, _ := strconv.Atoi(next)
	size := s.script.Page
	if size == 0 {
		size = 50
	}
	all := slices.Clone(s.runs)
	slices.Reverse(all)
	to := min(from+size, len(all))
	if to < len(all) {
		more = strconv.Itoa(to)
	}
	return all[from:to], more
}
