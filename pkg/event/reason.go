package event

import "weir/pkg/jsonscan"

// Reason says why a record is no event; empty for one that is. It stands in manifests, headers and metric labels.
type Reason string

// The closed set of reasons.
const (
	Empty         Reason = "empty"          // no value, or an empty one
	Malformed     Reason = "malformed"      // not JSON
	TooDeep       Reason = "too_deep"       // nested deeper than jsonscan.MaxDepth
	NotObject     Reason = "not_object"     // JSON, but no object
	NoSource      Reason = "no_source"      // neither a weir-source header nor a key that is not empty
	BadSource     Reason = "bad_source"     // one that lake.ValidSourceID refuses
	NoType        Reason = "no_type"        // neither a type nor an event
	BadReceivedAt Reason = "bad_receivedat" // no weir-received-at header, and no record timestamp, or one outside of the years 1 to 9999
)

// Reasons is the closed set.
func Reasons() []Reason {
	return []Reason{Empty, Malformed, TooDeep, NotObject, NoSource, BadSource, NoType, BadReceivedAt}
}

// reasonOf judges a text that the scanner refused.
func reasonOf(err error) Reason {
	if e, ok := err.(*jsonscan.Error); ok && e.Reason == jsonscan.ReasonDepth {
		return TooDeep
	}
	return Malformed
}
