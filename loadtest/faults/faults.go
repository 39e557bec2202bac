// Package faults stands between weir and a store that speaks HTTP (S3, Glue) and answers as such stores do on a bad
// day: it knows operations and error codes, which a TCP fault proxy does not. Requests that no rule meets pass
// untouched, signatures included. It keeps count of what it did, so that a scenario whose faults met nothing is
// noticed. It decides nothing about when: loadtest/chaos sets and clears rules.
package faults

import (
	"fmt"
	"maps"
	"slices"
)

// Rule says which requests meet which fault.
type Rule struct {
	Kind  string  `yaml:"kind"`  // one of Kinds
	Op    string  `yaml:"op"`    // the operations it meets: PutObject, PutObject|UploadPart, BatchCreatePartition, …; "" = all
	Share float64 `yaml:"share"` // of those that match, drawn; 0 = all
	Path  string  `yaml:"path"`  // what the request's path holds; "" = any

	Door  string `yaml:"-"` // what the name of the door that it came through begins with; "" = any
	Times int    `yaml:"-"` // how often it meets anybody; 0 = as long as it is set
}

// kind is what one fault does. Exactly one of answer and the landed ones is set: a fault either keeps the request
// from the store, or lets it take effect and spoils what the client hears.
type kind struct {
	target string // s3 or glue
	status int    // of the answer
	code   string // the error's code
	lands  bool   // the store gets the request first
	then   breaking
}

type breaking int

const (
	answers breaking = iota // the client gets an answer
	hangs                   // the client hears nothing until it goes away
	cutsIn                  // the connection breaks in the middle of the request's body
	cutsOut                 // the connection breaks in the middle of the answer's body
	kills                   // the client dies
)

// Kinds are the faults, by the name that a scenario gives them.
var kinds = map[string]kind{
	"s3-500":              {target: "s3", status: 500, code: "InternalError"},
	"s3-slow-down":        {target: "s3", status: 503, code: "SlowDown"},
	"s3-timeout":          {target: "s3", then: hangs},
	"s3-lost-answer":      {target: "s3", lands: true, then: hangs},
	"s3-reset-in-body":    {target: "s3", then: cutsIn},
	"s3-reset-in-answer":  {target: "s3", lands: true, then: cutsOut},
	"s3-error-in-200":     {target: "s3", status: 200, code: "InternalError"},
	"s3-no-such-upload":   {target: "s3", status: 404, code: "NoSuchUpload", lands: true},
	"s3-conflict":         {target: "s3", status: 409, code: "ConditionalRequestConflict"},
	"s3-expired":          {target: "s3", status: 403, code: "ExpiredToken"},
	"s3-full":             {target: "s3", status: 507, code: "InsufficientStorage"},
	"s3-kill-before":      {target: "s3", then: kills},
	"s3-kill-after":       {target: "s3", lands: true, then: kills},
	"glue-kill-before":    {target: "glue", then: kills},
	"glue-kill-after":     {target: "glue", lands: true, then: kills},
	"glue-500":            {target: "glue", status: 500, code: "InternalServiceException"},
	"glue-throttling":     {target: "glue", status: 400, code: "ThrottlingException"},
	"glue-concurrent":     {target: "glue", status: 400, code: "ConcurrentModificationException"},
	"glue-lost-answer":    {target: "glue", lands: true, then: hangs},
	"glue-exists-applied": {target: "glue", status: 400, code: "AlreadyExistsException", lands: true},
	"glue-timeout":        {target: "glue", then: hangs},
	"glue-expired":        {target: "glue", status: 400, code: "ExpiredTokenException"},
}

// Check says what is wrong with a rule for target.
func (r Rule) Check(target string) error {
	k, known := kinds[r.Kind]
	if !known || k.target != target {
		return fmt.Errorf("fault: %q is no fault of %s; known are %v", r.Kind, target, slices.Sorted(maps.Keys(kinds)))
	}
	if r.Share < 0 || r.Share > 1 {
		return fmt.Errorf("fault: share %v is not between 0 and 1", r.Share)
	}
	return nil
}
