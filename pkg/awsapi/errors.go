package awsapi

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Meaning says which of an adapter's errors a code of its API is; nil where it has none.
type Meaning func(code, message string) error

// Wrap turns the SDK's error into one of the adapter's: by its code, or unavailable where a server failed without one
// that is known, or did not answer whole. Any other stays the SDK's, wrapped. what says what was tried, to what.
func Wrap(err error, what string, meaning Meaning, unavailable error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	var resp *awshttp.ResponseError
	var send *smithyhttp.RequestSendError
	var read *smithy.DeserializationError
	if errors.As(err, &api) {
		if domain := meaning(api.ErrorCode(), api.ErrorMessage()); domain != nil {
			return &Error{What: what, Domain: domain, Code: api.ErrorCode(), Said: api.ErrorMessage(), SDK: err}
		}
	}
	switch {
	case errors.As(err, &resp) && resp.HTTPStatusCode() >= http.StatusInternalServerError:
		return &Error{What: what, Domain: unavailable, Code: resp.Response.Status, Said: err.Error(), SDK: err}
	case errors.As(err, &send), errors.As(err, &read): // no answer, or half of one
		return &Error{What: what, Domain: unavailable, Code: "no answer", Said: err.Error(), SDK: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Error says what was tried, what it came to and what the API said.
type Error struct {
	What   string
	Domain error // the adapter's
	Code   string
	Said   string
	SDK    error // nil for an item of a batch
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %v (%s: %s)", e.What, e.Domain, e.Code, e.Said)
}

func (e *Error) Unwrap() []error {
	if e.SDK == nil {
		return []error{e.Domain}
	}
	return []error{e.Domain, e.SDK}
}
