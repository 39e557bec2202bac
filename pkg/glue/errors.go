package glue

import (
	"errors"
	"fmt"

	"weir/pkg/awsapi"
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
	return awsapi.Wrap(err, fmt.Sprintf(format, args...), domain, ErrUnavailable)
}

// domain names the error of a code; nil where it has none. Glue has been seen
// to say that it throttles under other codes.
func domain(code, message string) error {
	if message == "Rate exceeded" {
		return ErrThrottled
	}
	return domainErrors[code]
}

// ItemError is what a batch call said of one partition.
type ItemError struct {
	Values []string
	Err    error // one of this package's, or an unknown code
}

func itemError(what string, values []string, code, message string) ItemError {
	if d := domain(code, message); d != nil {
		return ItemError{values, &awsapi.Error{What: what, Domain: d, Code: code, Said: message}}
	}
	return ItemError{values, fmt.Errorf("%s: %s: %s", what, code, message)}
}
