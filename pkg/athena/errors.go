package athena

import (
	"errors"
	"fmt"

	"weir/pkg/awsapi"
)

// What Athena may answer to a call. Everything else is the SDK's error, wrapped.
var (
	ErrThrottled   = errors.New("throttled")                                                              //
	ErrUnavailable = errors.New("Athena is not available")                                                // internal error, no answer: try again
	ErrInvalid     = errors.New("invalid request")                                                        // trying again is of no use
	ErrDenied      = errors.New("access denied")                                                          //
	ErrExpired     = errors.New("the AWS credentials have expired: sign in again, then run it once more") // the query itself goes on
)

// domainErrors by the API's code.
var domainErrors = map[string]error{
	"ThrottlingException":         ErrThrottled,
	"Throttling":                  ErrThrottled,
	"ThrottledException":          ErrThrottled,
	"TooManyRequestsException":    ErrThrottled,
	"RequestLimitExceeded":        ErrThrottled,
	"SlowDown":                    ErrThrottled,
	"InternalServerException":     ErrUnavailable,
	"InternalFailure":             ErrUnavailable,
	"ServiceUnavailable":          ErrUnavailable,
	"ServiceUnavailableException": ErrUnavailable,
	"InvalidRequestException":     ErrInvalid,
	"ValidationException":         ErrInvalid,
	"MetadataException":           ErrInvalid,
	"ResourceNotFoundException":   ErrInvalid,
	"AccessDeniedException":       ErrDenied,
	"UnrecognizedClientException": ErrDenied,
	"InvalidSignatureException":   ErrDenied,
	"ExpiredTokenException":       ErrExpired,
	"ExpiredToken":                ErrExpired,
}

// wrap turns the SDK's error into a domain error, once.
func wrap(err error, format string, args ...any) error {
	return awsapi.Wrap(err, fmt.Sprintf(format, args...), func(code, _ string) error { return domainErrors[code] }, ErrUnavailable)
}
