package glue

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// What a catalog may answer, for a call or for one item of a batch. Everything
// else is the SDK's error, wrapped.
var (
	ErrNotFound    = errors.New("no such entity")               // database, table, partition, index
	ErrExists      = errors.New("it exists")                    //
	ErrChanged     = errors.New("somebody else has changed it") // or the answer to our own first sending was lost: read again
	ErrThrottled   = errors.New("throttled")                    //
	ErrUnavailable = errors.New("the catalog is not available") // internal error, timeout: try again
	ErrInvalid     = errors.New("invalid input")                // trying again is of no use
	ErrLimit       = errors.New("a limit of the catalog is reached")
	ErrDenied      = errors.New("access denied")
)

// domainErrors by the API's code.
var domainErrors = map[string]error{
	"EntityNotFoundException":              ErrNotFound,
	"AlreadyExistsException":               ErrExists,
	"ConcurrentModificationException":      ErrChanged,
	"VersionMismatchException":             ErrChanged,
	"ThrottlingException":                  ErrThrottled,
	"Throttling":                           ErrThrottled,
	"ThrottledException":                   ErrThrottled,
	"TooManyRequestsException":             ErrThrottled,
	"RequestLimitExceeded":                 ErrThrottled,
	"LimitExceededException":               ErrThrottled,
	"SlowDown":                             ErrThrottled,
	"InternalServiceException":             ErrUnavailable,
	"InternalServerException":              ErrUnavailable,
	"InternalFailure":                      ErrUnavailable,
	"OperationTimeoutException":            ErrUnavailable,
	"ResourceNotReadyException":            ErrUnavailable,
	"ServiceUnavailable":                   ErrUnavailable,
	"ServiceUnavailableException":          ErrUnavailable,
	"InvalidInputException":                ErrInvalid,
	"ValidationException":                  ErrInvalid,
	"InvalidStateException":                ErrInvalid,
	"ResourceNumberLimitExceededException": ErrLimit,
	"AccessDeniedException":                ErrDenied,
	"UnrecognizedClientException":          ErrDenied,
	"ExpiredTokenException":                ErrDenied,
	"InvalidSignatureException":            ErrDenied,
}

// wrap turns the SDK's error into a domain error, once.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	var api smithy.APIError
	var resp *awshttp.ResponseError
	var send *smithyhttp.RequestSendError
	var read *smithy.DeserializationError
	switch {
	case errors.As(err, &api) && domain(api.ErrorCode(), api.ErrorMessage()) != nil:
		return &opError{what: what, domain: domain(api.ErrorCode(), api.ErrorMessage()), code: api.ErrorCode(), said: api.ErrorMessage(), sdk: err}
	case errors.As(err, &resp) && resp.HTTPStatusCode() >= http.StatusInternalServerError:
		return &opError{what: what, domain: ErrUnavailable, code: resp.Response.Status, said: err.Error(), sdk: err}
	case errors.As(err, &send), errors.As(err, &read): // no answer, or half of one
		return &opError{what: what, domain: ErrUnavailable, code: "no answer", said: err.Error(), sdk: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// domain names the error of a code; nil where it has none. Glue has been seen
// to say that it throttles under other codes.
func domain(code, message string) error {
	if message == "Rate exceeded" {
		return ErrThrottled
	}
	return domainErrors[code]
}

// opError says what was tried, what it came to and what the catalog said.
type opError struct {
	what   string
	domain error
	code   string
	said   string
	sdk    error // nil for an item of a batch
}

func (e *opError) Error() string {
	return fmt.Sprintf("%s: %v (%s: %s)", e.what, e.domain, e.code, e.said)
}

func (e *opError) Unwrap() []error {
	if e.sdk == nil {
		return []error{e.domain}
	}
	return []error{e.domain, e.sdk}
}

// ItemError is what a batch call said of one partition.
type ItemError struct {
	Values []string
	Err    error // one of this package's, or an unknown code
}

func itemError(what string, values []string, code, message string) ItemError {
	if d := domain(code, message); d != nil {
		return ItemError{values, &opError{what: what, domain: d, code: code, said: message}}
	}
	return ItemError{values, fmt.Errorf("%s: %s: %s", what, code, message)}
}
