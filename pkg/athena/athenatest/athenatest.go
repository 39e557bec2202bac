// Package athenatest is a double of Athena's API that plays a script: which states a
// query goes through, what its answer holds, which calls are throttled, fail, or lose
// their answer. It runs no SQL. It keeps Athena's rules where clients lean on them: a
// start with a token that it knows is the same query, an answer comes in pages of at
// most 1000 rows whose first holds the columns' names, a query that has ended cannot
// be cancelled. Owned by the tests of whoever speaks to Athena.
package athenatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"weir/pkg/athena"
	"weir/pkg/awsapi/awstest"
)

// Script is what becomes of every query.
type Script struct {
	States    []athena.State // what one look after another finds; the last stays. None: it has succeeded
	Reason    string
	Retryable bool
	Scanned   int64
	Reused    bool
	Kind      string // DML, DDL or UTILITY; "" = DML
	Columns   []athena.Column
	Rows      int // of the answer
	Row       func(i int) []*string
}

// Server is one Athena. It is safe for concurrent use.
type Server struct {
	awstest.Desk

	mu      sync.Mutex
	script  Script
	queries map[string]*query // by id
}

type query struct {
	id, token string
	input     Start
	looks     int
	stopped   bool
}

// Start is what a query was started with.
type Start struct {
	QueryString              string
	ExecutionParameters      []string
	ClientRequestToken       string
	WorkGroup                string
	QueryExecutionContext    struct{ Database string }
	ResultConfiguration      *struct{ OutputLocation string }
	ResultReuseConfiguration *struct {
		ResultReuseByAgeConfiguration struct {
			Enabled         bool
			MaxAgeInMinutes int
		}
	}
}

// New makes a server; every query follows the script.
func New(s Script) *Server { return &Server{script: s, queries: make(map[string]*query)} }

// Queries are those that were started, each once, and whether each was cancelled.
func (s *Server) Queries() (started []Start, cancelled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queries {
		started = append(started, q.input)
		if q.stopped {
			cancelled++
		}
	}
	return started, cancelled
}

// RoundTrip answers a request without a network: a client in virtual time can use it.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) { return awstest.RoundTrip(s, r) }

// ServeHTTP answers over a network.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonAthena.")
	s.Answer(w, op, func() (answer any, code, said string) { return s.perform(op, r) })
}

func (s *Server) perform(op string, r *http.Request) (answer any, code, said string) {
	var in struct {
		Start
		QueryExecutionId string
		NextToken        string
		MaxResults       int
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, "SerializationException", err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op == "StartQueryExecution" {
		return s.start(in.Start)
	}
	q := s.queries[in.QueryExecutionId]
	if q == nil {
		return nil, "InvalidRequestException", "QueryExecution " + in.QueryExecutionId + " was not found"
	}
	switch op {
	case "GetQueryExecution":
		q.looks++
		return map[string]any{"QueryExecution": s.execution(q)}, "", ""
	case "StopQueryExecution":
		if state := s.state(q); state == athena.Queued || state == athena.Running {
			q.stopped = true
		}
		return struct{}{}, "", ""
	case "GetQueryResults":
		return s.page(q, in.NextToken, in.MaxResults)
	}
	return nil, "InvalidAction", op
}

func (s *Server) start(in Start) (answer any, code, said string) {
	if n := len(in.ClientRequestToken); n < 32 || n > 128 {
		return nil, "InvalidRequestException", "ClientRequestToken has the wrong length"
	}
	for _, q := range s.queries {
		if q.token != in.ClientRequestToken {
			continue
		}
		if q.input.QueryString != in.QueryString {
			return nil, "InvalidRequestException", "Idempotent parameters do not match"
		}
		return map[string]string{"QueryExecutionId": q.id}, "", ""
	}
	q := &query{id: fmt.Sprintf("q-%d", len(s.queries)+1), token: in.ClientRequestToken, input: in}
	s.queries[q.id] = q
	return map[string]string{"QueryExecutionId": q.id}, "", ""
}

func (s *Server) state(q *query) athena.State {
	switch {
	case q.stopped:
		return athena.Cancelled
	case len(s.script.States) == 0:
		return athena.Succeeded
	}
	return s.script.States[min(max(q.looks-1, 0), len(s.script.States)-1)]
}

func (s *Server) execution(q *query) any {
	status := map[string]any{"State": s.state(q)}
	if s.state(q) == athena.Failed {
		status["StateChangeReason"] = s.script.Reason
		status["AthenaError"] = map[string]any{"ErrorCategory": 2, "Retryable": s.script.Retryable, "ErrorMessage": s.script.Reason}
	}
	kind := s.script.Kind
	if kind == "" {
		kind = "DML"
	}
	return map[string]any{
		"QueryExecutionId": q.id, "Query": q.input.QueryString, "StatementType": kind, "Status": status,
		"Statistics": map[string]any{
			"DataScannedInBytes":     s.script.Scanned,
			"ResultReuseInformation": map[string]any{"ReusedPreviousResult": s.script.Reused},
		},
	}
}

func (s *Server) page(q *query, next string, most int) (answer any, code, said string) {
	if s.state(q) != athena.Succeeded {
		return nil, "InvalidRequestException", "Query has not yet finished"
	}
	from, _ := strconv.Atoi(next)
	head := s.script.Kind == "" || s.script.Kind == "DML"
	var rows []any
	if from == 0 && head {
		names := make([]*string, len(s.script.Columns))
		for i := range s.script.Columns {
			names[i] = &s.script.Columns[i].Name
		}
		rows = append(rows, row(names))
	}
	for ; from < s.script.Rows && len(rows) < min(most, athena.MaxPage); from++ {
		rows = append(rows, row(s.script.Row(from)))
	}
	set := map[string]any{"Rows": rows, "ResultSetMetadata": map[string]any{"ColumnInfo": s.script.Columns}}
	if from < s.script.Rows {
		return map[string]any{"ResultSet": set, "NextToken": strconv.Itoa(from)}, "", ""
	}
	return map[string]any{"ResultSet": set}, "", ""
}

func row(values []*string) any {
	data := make([]map[string]string, len(values))
	for i, v := range values {
		data[i] = map[string]string{}
		if v != nil {
			data[i]["VarCharValue"] = *v
		}
	}
	return map[string]any{"Data": data}
}
