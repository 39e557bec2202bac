// Package awstest is what the scripted doubles of AWS's JSON APIs have in common: calls
// are counted, told of, and get trouble by a list of faults. Owned by the doubles of
// pkg/athena and pkg/emr.
package awstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
)

// Fault is trouble with calls.
type Fault struct {
	Op    string // "StartQueryExecution"; "" = every call
	Code  string // the error it answers
	Drop  bool   // no answer at all
	Land  bool   // the call takes effect all the same
	Count int    // how many calls; 0 = all
	After int    // so many calls of the op go through first
}

// Desk is where the calls of a double come in. It is safe for concurrent use, and its
// zero value has no trouble.
type Desk struct {
	mu     sync.Mutex
	faults []*Fault
	calls  []string
	before func(op string)
}

// Perform does a call: what it answers, or the error by which it is refused.
type Perform func() (answer any, code, said string)

// Inject adds trouble; the first fault that fits a call counts.
func (d *Desk) Inject(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &f)
}

// Before is called with the name of each call before it takes effect.
func (d *Desk) Before(tell func(op string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = tell
}

// Calls counts the calls of an op.
func (d *Desk) Calls(op string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.calls {
		if c == op {
			n++
		}
	}
	return n
}

// Answer has a call performed, or not, and answers it.
func (d *Desk) Answer(w http.ResponseWriter, op string, perform Perform) {
	d.mu.Lock()
	d.calls = append(d.calls, op)
	fault, before := d.fault(op), d.before
	d.mu.Unlock()
	if before != nil {
		before(op)
	}
	if fault != nil && !fault.Land {
		fail(w, fault)
		return
	}
	answer, code, said := perform()
	switch {
	case fault != nil:
		fail(w, fault)
	case code != "":
		refuse(w, http.StatusBadRequest, code, said)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	}
}

func (d *Desk) fault(op string) *Fault {
	for i, f := range d.faults {
		if f.Op != "" && f.Op != op {
			continue
		}
		if f.After > 0 {
			f.After--
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				d.faults = slices.Delete(d.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

func fail(w http.ResponseWriter, f *Fault) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	status := http.StatusBadRequest
	if strings.HasPrefix(f.Code, "Internal") {
		status = http.StatusInternalServerError
	}
	refuse(w, status, f.Code, "as the script says")
}

func refuse(w http.ResponseWriter, status int, code, said string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": said})
}

// RoundTrip has a double answer a request without a network, so that a client in
// virtual time can use it.
func RoundTrip(double http.Handler, r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, fmt.Errorf("the connection broke: %v", p)
		}
	}()
	w := httptest.NewRecorder()
	double.ServeHTTP(w, r)
	return w.Result(), nil
}
