package intake

import (
	"errors"

	"weir/pkg/jsonscan"
)

// Why one event is rejected. Where Segment has a code for it, the code is Segment's.
const (
	CodeMalformed      = "malformed_json" // of a List only: elsewhere nobody knows where the next event begins
	CodeNotObject      = "not_object"
	CodeTooLarge       = "event_too_large"
	CodeTooMany        = "too_many_events"
	CodeMissingType    = "missing_type"
	CodeInvalidType    = "invalid_type"
	CodeNoID           = "no_user_anon_id"
	CodeIDNotString    = "id_not_string"
	CodeIDTooLong      = "message_id_too_long"
	CodeNoEvent        = "event_not_defined"
	CodeEventString    = "event_not_string"
	CodeProperties     = "properties_not_object"
	CodeTraits         = "traits_not_object"
	CodeNameString     = "name_not_string"
	CodeCategoryString = "category_not_string"
	CodeBlocked        = "event_blocked"
	CodeSuppressed     = "user_suppressed" // nothing of such an event is kept
)

// messageOf puts a code into words.
func messageOf(code string) string {
	switch code {
	case CodeMalformed:
		return "malformed JSON"
	case CodeNotObject:
		return "an event must be a JSON object"
	case CodeTooLarge:
		return "Exceed payload limit"
	case CodeTooMany:
		return "the batch has more events than the limit"
	case CodeMissingType:
		return "type is missing"
	case CodeInvalidType:
		return "type must be a string"
	case CodeNoID:
		return "userId or anonymousId is required"
	case CodeIDNotString:
		return "userId, anonymousId, groupId, previousId and messageId must be strings"
	case CodeIDTooLong:
		return "messageId must not be longer than 100 characters"
	case CodeNoEvent:
		return "a track event must have an event name"
	case CodeEventString:
		return "event must be a string"
	case CodeProperties:
		return "properties must be an object"
	case CodeTraits:
		return "traits must be an object"
	case CodeNameString:
		return "name must be a string"
	case CodeCategoryString:
		return "category must be a string"
	case CodeBlocked:
		return "the source takes no events of this name"
	case CodeSuppressed:
		return "the source keeps nothing of this user"
	}
	return ""
}

// Class says what kind of answer an Error calls for; a transport maps it to its own status.
type Class uint8

const (
	// Unusable: the body is not what the route takes.
	Unusable Class = iota
	// TooLarge: a limit on the body as a whole is exceeded.
	TooLarge
	// Unauthorized: the body's write keys contradict each other.
	Unauthorized
)

// Codes of an Error.
const (
	CodeInvalidRequest  = "invalid_request"
	CodeEmptyBatch      = "empty_batch"
	CodePayloadTooLarge = "payload_too_large"
	CodeMixedKeys       = "mixed_write_keys"
)

// Error says why a body as a whole is unusable. Code and Message are fit for the client.
type Error struct {
	Class   Class
	Code    string
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap is the *jsonscan.Error of a malformed body, which says where.
func (e *Error) Unwrap() error { return e.cause }

var (
	errNotObject = &Error{Code: CodeInvalidRequest, Message: "the body must be a JSON object"}
	errNoBatch   = &Error{Code: CodeInvalidRequest, Message: "batch must be an array of events"}
	errEmpty     = &Error{Code: CodeEmptyBatch, Message: "batch contains no events"}
	errTooLarge  = &Error{Class: TooLarge, Code: CodePayloadTooLarge, Message: "Exceed payload limit"}
	errTooMany   = &Error{Class: TooLarge, Code: CodePayloadTooLarge, Message: "batch contains too many events"}
	errMixedKeys = &Error{Class: Unauthorized, Code: CodeMixedKeys, Message: "events of one batch must have one write key"}
)

// malformed wraps what the scanner found in Segment's words.
func malformed(cause error) *Error {
	e := &Error{Code: CodeInvalidRequest, Message: "malformed JSON", cause: cause}
	var s *jsonscan.Error
	if errors.As(cause, &s) && s.Reason == jsonscan.ReasonDepth {
		e.Message = "malformed JSON: nested too deeply"
	}
	return e
}
